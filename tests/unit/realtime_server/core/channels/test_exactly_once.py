"""Promise to subscribers of a recoverable channel: every publication once and in order, or a truthful loss."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace

import msgspec
from centrifuge.fossil import apply_delta
from hypothesis import example, given, settings
from hypothesis import strategies as st

from realtime_server.codes import DisconnectCode
from realtime_server.core.model.channel_options import ChannelOptions
from realtime_server.core.model.namespaces import Namespaces
from realtime_server.core.model.values import HistoryOptions
from realtime_server.core.node import Node
from realtime_server.core.ports.api import Message
from realtime_server.core.server_api import ServerApi
from realtime_server.core.sessions.session import Session
from realtime_server.protocols.centrifuge.json_codec import JsonCodec
from tests.kit.scripted_broker import ScriptedBroker
from tests.kit.server_doubles import make_node

CHANNEL = "chat:room"
PLAIN = ChannelOptions(history=HistoryOptions(1000, 60.0), recovery=True)
DELAYED = replace(PLAIN, write_delay_seconds=3600.0)
"""Options with a write delay that ends at the step `flush`, or when something must follow."""
DELTAS = replace(PLAIN, delta=True)
"""Options with which all but the first client use deltas."""
OPTIONS = (PLAIN, DELAYED, DELTAS, replace(DELAYED, delta=True))
DOCUMENT = b'{"what stays the same in every publication":%d}'
SUBSCRIBERS = 3
LINES = JsonCodec(lambda message: message + b"\n")


class Pub(msgspec.Struct):
    """Publication as a client gets it."""

    data: msgspec.Raw
    offset: int = 0
    delta: bool = False


class Reply(msgspec.Struct):
    """Part of a reply that these tests need."""

    class Subscribed(msgspec.Struct):
        """Event that a subscription begins."""

        epoch: str = ""
        offset: int = 0
        publications: list[Pub] = []
        recovered: bool = False

    class Push(msgspec.Struct):
        """Event of a publication, or of the end of the subscription."""

        pub: Pub | None = None
        unsubscribe: dict[str, object] | None = None

    subscribe: Subscribed | None = None
    push: Push | None = None


class Client:
    """Client that acts as an SDK: it resumes its subscription whenever that was ended or cut off."""

    def __init__(self, node: Node, *, delta: bool) -> None:
        self._node = node
        self._delta = delta
        self._previous = b""
        self._session: Session | None = None
        self._commands = 1
        self._waiting = False
        self.subscribed = False
        self.seen: list[int] = []
        """Publications' numbers since the beginning or the last truthful loss."""
        self.offset: int | None = None
        self.epoch = ""
        self.disorder = ""

    def write(self, frames: bytes) -> None:
        """Handle what the server sends."""
        for line in frames.splitlines():
            self._take(msgspec.json.decode(line, type=Reply))

    def _take(self, reply: Reply) -> None:
        if reply.subscribe is not None:
            self._on_subscribed(reply.subscribe)
        elif reply.push is not None and reply.push.pub is not None:
            self._on_publication(reply.push.pub)
        elif reply.push is not None and reply.push.unsubscribe is not None:
            self.subscribed = False

    @property
    def congested(self) -> bool:
        """Always False."""
        return False

    written_bytes = 0

    def unsent(self) -> int:
        """Return 0: everything is sent at once."""
        return 0

    def unacknowledged(self) -> int:
        """Return 0: nothing waits."""
        return 0

    def pause_reading(self) -> None:
        """Do nothing: the client sends one command after the other."""
        raise AssertionError

    def resume_reading(self) -> None:
        """Do nothing."""
        raise AssertionError

    def close(self, code: DisconnectCode) -> None:
        """Handle a disconnect by the server."""
        raise AssertionError(code)

    def subscribe(self) -> None:
        """Subscribe, from the last position if there is one."""
        if self.subscribed or self._waiting:
            return
        if self._session is None:
            self._session = self._node.accept(self, LINES)
            self._session.on_text(b'{"id":1,"connect":{}}', self._node.clock())
        self._commands += 1
        self._waiting = True
        wanted: dict[str, object] = {"channel": CHANNEL, "delta": "fossil" if self._delta else ""}
        if self.offset is not None:
            wanted |= {"recover": True, "offset": self.offset, "epoch": self.epoch}
        self._session.on_text(msgspec.json.encode({"id": self._commands, "subscribe": wanted}), self._node.clock())

    def cut(self) -> None:
        """Lose the connection."""
        if self._session is not None:
            self._session.on_closed()
        self._session = None
        self.subscribed = self._waiting = False

    def _on_subscribed(self, result: Reply.Subscribed) -> None:
        self.subscribed, self._waiting = True, False
        self._previous = b""
        if not result.recovered:
            self.seen = []
            self.offset, self.epoch = result.offset, result.epoch
        if result.epoch != self.epoch:
            self.disorder = "recovered in another epoch"
        for publication in result.publications:
            self._on_publication(publication)
        if self.offset != result.offset:
            self.disorder = f"recovered up to {self.offset}, told {result.offset}"

    def _on_publication(self, publication: Pub) -> None:
        if not self.subscribed:
            self.disorder = f"{publication.offset} came without a subscription"
        if self.offset is None or publication.offset != self.offset + 1:
            self.disorder = f"{publication.offset} came after {self.offset}"
        self.offset = publication.offset
        self.seen.append(self._number_in(publication))

    def _number_in(self, publication: Pub) -> int:
        data = bytes(publication.data)
        if self._delta:
            text = msgspec.json.decode(data, type=str).encode()
            self._previous = data = bytes(apply_delta(self._previous, text)) if publication.delta else text
        [number] = msgspec.json.decode(data, type=dict[str, int]).values()
        return number


async def settle() -> None:
    """Run every task until it waits for the broker."""
    for _ in range(12):
        await asyncio.sleep(0)


class World:
    """Server with its broker and some clients."""

    def __init__(self, options: ChannelOptions) -> None:
        self.broker = ScriptedBroker()
        self.node = make_node(self.broker, namespaces=Namespaces([("chat", options)]))
        self.clients = [Client(self.node, delta=options.delta and number > 0) for number in range(SUBSCRIBERS)]
        self.published = 0

    async def publish(self) -> None:
        """Publish the next number."""
        self.published += 1
        await ServerApi(self.node).publish(CHANNEL, Message(DOCUMENT % self.published))

    async def step(self, name: str, index: int) -> None:
        """Execute one step of a history."""
        client = self.clients[index % SUBSCRIBERS]
        steps: dict[str, Callable[[], Coroutine[None, None, None] | None]] = {
            "publish": self.publish,
            "deliver": self.broker.deliver,
            "lose": self.broker.lose,
            "break": self.broker.break_link,
            "forget": self.broker.forget,
            "read": lambda: self.broker.read(index),
            "answer": lambda: self.broker.answer(index),
            "subscribe": client.subscribe,
            "cut": client.cut,
            "flush": self.flush,
        }
        work = steps[name]()
        if work is not None:
            await work
        await settle()

    def flush(self) -> None:
        """Let the write delay end."""
        for channel in self.node.hub.channels.values():
            channel.flush()

    async def come_to_rest(self) -> None:
        """End all faults, let every client resubscribe as needed, and publish once more.

        The last publication reveals losses at the end, which the broker had no way to report.
        """
        await self.publish()
        for _ in range(10):
            for client in self.clients:
                client.subscribe()
            await settle()
            while self.broker.on_the_way:
                self.broker.deliver()
            await settle()
            reads = 0
            while self.broker.reads:
                reads += 1
                assert reads < 30, "the history is read again and again"
                self.broker.read(0)
                self.broker.answer(0)
                await settle()
            self.flush()


async def play(steps: list[tuple[str, int]], options: ChannelOptions = PLAIN) -> World:
    """Execute the steps, then come to rest."""
    world = World(options)
    await world.broker.start(world.node)
    for name, index in steps:
        await world.step(name, index)
    await world.come_to_rest()
    for client in world.clients:
        client.cut()
    await settle()
    return world


NAMES = ("publish", "deliver", "read", "answer", "subscribe", "cut", "lose", "break", "forget", "flush")
STEP = st.tuples(st.sampled_from(NAMES), st.integers(0, 5)).map(lambda step: [step])
JOIN = st.integers(0, SUBSCRIBERS - 1).map(lambda client: [("subscribe", client), ("read", 0), ("answer", 0)])
TELL = st.just([("publish", 0), ("deliver", 0)])
STEPS = st.lists(STEP | JOIN | TELL, max_size=40).map(lambda parts: [step for part in parts for step in part])
"""Any steps in any order, mixed with sequences that occur without network faults."""
TWO_JOIN_IN_DIFFERENT_ORDER = [
    ("subscribe", 0),
    ("subscribe", 1),
    ("read", 0),
    ("publish", 0),
    ("read", 0),
    ("answer", 1),
    ("answer", 0),
    ("deliver", 0),
]
"""The second subscriber reads the history after a publication that the first has yet to get."""
LOST_BETWEEN_READ_AND_ANSWER = [("subscribe", 0), ("read", 0), ("publish", 0), ("lose", 0)]
"""Only the next publication reveals the loss, and it arrives while the subscription is in progress."""
LEFT_OVER_FROM_A_FORMER_STREAM = [
    ("subscribe", 1),
    ("read", 0),
    ("answer", 0),
    ("publish", 0),
    ("lose", 0),
    ("publish", 0),
    ("deliver", 0),
    ("forget", 0),
]
"""Arrivals from before a restart of Redis fit nowhere afterwards, and must not be searched for repeatedly."""


@example(steps=TWO_JOIN_IN_DIFFERENT_ORDER, options=PLAIN)
@example(steps=LOST_BETWEEN_READ_AND_ANSWER, options=PLAIN)
@example(steps=LEFT_OVER_FROM_A_FORMER_STREAM, options=PLAIN)
@settings(max_examples=400)
@given(steps=STEPS, options=st.sampled_from(OPTIONS))
def test_every_publication_once_and_in_order(steps: list[tuple[str, int]], options: ChannelOptions) -> None:
    """Whatever the network loses and reorders, there is no gap and no duplicate, and at rest all have the last one.

    This holds with a write delay, and with deltas, which the client applies.
    """
    world = asyncio.run(play(steps, options))
    for client in world.clients:
        assert client.disorder == ""
        assert client.epoch == world.broker.epoch
        assert client.offset == len(world.broker.stream)
        assert client.seen == list(range(world.published - len(client.seen) + 1, world.published + 1))


@settings(max_examples=100)
@given(steps=STEPS.map(lambda steps: [step for step in steps if step[0] != "forget"]), options=st.sampled_from(OPTIONS))
def test_nothing_is_lost_while_the_history_is_there(steps: list[tuple[str, int]], options: ChannelOptions) -> None:
    """A client is never told of a loss when Redis has kept everything."""
    steps = [("subscribe", 0), ("read", 0), ("answer", 0), *steps]
    world = asyncio.run(play(steps, options))
    assert world.clients[0].seen == list(range(1, world.published + 1))
