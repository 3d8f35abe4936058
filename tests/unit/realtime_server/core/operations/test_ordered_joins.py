"""Promise to clients of an ordered namespace: every publication of all their channels once and in one order."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from hypothesis import example, given, settings
from hypothesis import strategies as st

from realtime_server.core.model.channel_options import ChannelOptions
from realtime_server.core.model.namespaces import Namespaces
from realtime_server.core.model.values import HistoryOptions
from realtime_server.core.ports.api import Message
from realtime_server.core.server_api import ServerApi
from tests.kit.ordered_broker import OrderedBroker
from tests.kit.room_clients import Client, Published
from tests.kit.server_doubles import make_node

ROOMS = tuple(f"rooms:{number}" for number in range(3))
CLIENTS = 2
LARGE, SMALL = HistoryOptions(1000, 60.0), HistoryOptions(2, 60.0)


async def settle() -> None:
    """Run every task until it waits for the broker."""
    for _ in range(30):
        await asyncio.sleep(0)


class World:
    """Server with its broker and some clients."""

    def __init__(self, history: HistoryOptions) -> None:
        options = ChannelOptions(history=history, recovery=True, ordered=True)
        self.broker = OrderedBroker()
        self.node = make_node(self.broker, namespaces=Namespaces([("rooms", options)]), channels=10)
        self.log: list[Published] = []
        self.clients = [Client(self.node, ROOMS[:2], self.log) for _ in range(CLIENTS)]

    async def publish(self, index: int) -> None:
        """Publish the next number in a room."""
        channel, data = ROOMS[index % len(ROOMS)], b"%d" % len(self.log)
        position = await ServerApi(self.node).publish(channel, Message(data))
        assert position is not None
        self.log.append(Published(channel, position, data))

    async def step(self, name: str, index: int) -> None:
        """Execute one step of a history."""
        client = self.clients[index % CLIENTS]
        steps: dict[str, Callable[[], Awaitable[None] | None]] = {
            "publish": lambda: self.publish(index),
            "deliver": self.broker.deliver,
            "read": lambda: self.broker.read(index),
            "answer": lambda: self.broker.answer(index),
            "connect": client.connect,
            "enter": lambda: client.enter(ROOMS[2]),
            "receive": lambda: client.receive(1 + index),
            "cut": client.cut,
            "lose": self.broker.cut_link,
            "restore": self.broker.restore_link,
            "gap": self.broker.report_gap,
            "forget": self.broker.forget,
        }
        work = steps[name]()
        if work is not None:
            await work
        await settle()

    async def come_to_rest(self) -> None:
        """End all faults, have every client connected, and publish once more everywhere."""
        self.broker.restore_link()
        for round_ in range(8):
            self.broker.report_gap()
            for client in self.clients:
                client.connect()
            await settle()
            calls = 0
            while self.broker.calls:
                calls += 1
                assert calls < 200, "histories are read again and again"
                await self.broker.read(0)
                self.broker.answer(0)
                await settle()
            if round_ == 5:
                self.verify()  # nothing has to follow a loss for it to be found
                for index in range(len(ROOMS)):
                    await self.publish(index)
            while self.broker.on_the_way:
                self.broker.deliver()
            await settle()
            for client in self.clients:
                client.receive(1000)

    def verify(self) -> None:
        """Check that every client is connected and has received everything."""
        for client in self.clients:
            assert client.wire is not None
            assert client.wire.closed_by is None
            client.verify(client.begun, whole=True)


async def play(steps: list[tuple[str, int]], history: HistoryOptions) -> World:
    """Execute the steps, then come to rest."""
    world = World(history)
    await world.broker.start(world.node)
    for name, index in steps:
        await world.step(name, index)
    await world.come_to_rest()
    world.verify()
    for client in world.clients:
        client.cut()
    await settle()
    await world.node.stop()
    return world


NAMES = ("publish", "deliver", "read", "answer", "connect", "enter", "receive", "cut", "lose", "restore", "gap")
STEP = st.tuples(st.sampled_from((*NAMES, "forget")), st.integers(0, 5)).map(lambda step: [step])
READ = [("read", 0), ("answer", 0)]
JOIN = st.integers(0, CLIENTS - 1).map(lambda client: [("connect", client), *READ * 8])
TELL = st.integers(0, 2).map(lambda room: [("publish", room), ("deliver", 0), ("receive", room)])
RELINK = st.just([("lose", 0), ("publish", 0), ("restore", 0), ("publish", 1), ("deliver", 0), ("gap", 0)])
STEPS = st.lists(STEP | JOIN | TELL | RELINK, max_size=30).map(lambda parts: [step for part in parts for step in part])
"""Any steps in any order, mixed with sequences that occur without faults, and with losses of the link."""
TELL_ALL = [step for room in (0, 1) for step in (("publish", room), ("deliver", 0), ("receive", 0), ("receive", 1))]
CONNECTED = [("connect", 0), *READ * 4, ("connect", 1), *READ * 4, *TELL_ALL]
LOST_IN_ONE_ROOM = [
    *CONNECTED,
    ("lose", 0),
    ("publish", 0),
    ("restore", 0),
    ("publish", 1),
    ("deliver", 0),
    ("receive", 5),
]
"""The link was lost with a publication of one room, and a later one of another room arrives before that is reported."""
ENTERED_WHILE_OTHERS_WAIT = [
    *CONNECTED, ("lose", 0), ("publish", 0), ("restore", 0), ("enter", 0), *READ * 3, ("publish", 2), ("deliver", 0),
    ("receive", 5), ("gap", 0),
]  # fmt: skip
"""A room is joined while others wait, so that its publications have to wait as well."""
ENTERED_WHILE_OTHERS_GO_ON = [
    *CONNECTED, ("enter", 0), ("read", 0), ("publish", 2), ("deliver", 0), ("publish", 0), ("deliver", 0),
    ("receive", 5), ("answer", 0), *READ * 3,
]  # fmt: skip
"""What is published in a room while it is joined came before what the client has of another room."""
ARRIVES_AFTER_IT_WAS_READ = [
    *CONNECTED, ("cut", 0), ("connect", 0), *READ * 2, ("read", 0), ("publish", 0), ("publish", 1),
    ("answer", 0), *READ,
]  # fmt: skip
"""The history of one room was read before two publications, that of another after them, and neither has arrived."""


@example(steps=LOST_IN_ONE_ROOM, history=LARGE)
@example(steps=ENTERED_WHILE_OTHERS_GO_ON, history=LARGE)
@example(steps=ENTERED_WHILE_OTHERS_WAIT, history=LARGE)
@example(steps=ARRIVES_AFTER_IT_WAS_READ, history=LARGE)
@settings(max_examples=80)
@given(steps=STEPS, history=st.sampled_from((LARGE, SMALL)))
def test_every_publication_once_and_in_one_order(steps: list[tuple[str, int]], history: HistoryOptions) -> None:
    """Wherever a client is cut off, it gets all publications of its rooms in their order, or is told of the loss."""
    asyncio.run(play(steps, history))


@settings(max_examples=30)
@given(steps=STEPS.map(lambda steps: [step for step in steps if step[0] != "forget"]))
def test_nothing_is_lost_while_the_histories_are_there(steps: list[tuple[str, int]]) -> None:
    """A client that has a position recovers when Redis has kept everything, also after losses of the link."""
    world = asyncio.run(play([*CONNECTED, *steps], LARGE))
    assert [client.anew for client in world.clients] == [1] * CLIENTS
