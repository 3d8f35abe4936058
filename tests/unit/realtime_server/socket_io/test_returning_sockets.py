"""CONNECT of a client that comes back, to another node with the same backplane in memory."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec
import pytest

from realtime_server import codes
from realtime_server.backplane.memory import MemoryBroker
from realtime_server.backplane.memory_sessions import MemorySessionStore
from realtime_server.core.model.errors import CommandError
from realtime_server.core.model.grant import PLAIN, Grant
from realtime_server.core.operations.session_recovery import RECOVERY_SECONDS
from realtime_server.core.ports.api import Connections, Message
from realtime_server.core.ports.backend import Hook
from realtime_server.core.server_api import ServerApi
from tests.kit.server_doubles import SECRET, Clock
from tests.kit.tokens import connection_token
from tests.unit.realtime_server.socket_io.world import Client, World, settle

TOKEN = connection_token(SECRET, "ann", channels=["rooms:a", "rooms:b"])


@dataclass
class Socket:
    """Socket of a client, with what a stock client knows of it. `events`: those since the last call of `take`."""

    client: Client
    sid: str
    pid: str
    offset: str | None
    events: list[str] = field(default_factory=list)

    def note(self, *messages: str | bytes) -> None:
        """Take events, and remember their positions as a stock client does."""
        for message in messages:
            assert isinstance(message, str)
            *items, position = msgspec.json.decode(message.partition(",")[2], type=list[str | None])
            self.offset = position or self.offset
            self.events.append(" ".join(map(str, items)))

    def take(self) -> list[str]:
        """Return the events since the last call, without their positions."""
        self.note(*self.client.take())
        events, self.events = self.events, []
        return events


class Cluster:
    """Nodes with one broker and one store of states, of which the newest one lives."""

    def __init__(self, *hooks: Hook) -> None:
        self.hooks = hooks
        self.broker = MemoryBroker(ordered=["rooms"])
        self.clock = Clock()
        self.states = MemorySessionStore(most=100, clock=self.clock)
        self.world = World()

    async def start(self) -> None:
        """Start a node that replaces the one before."""
        self.world = World(*self.hooks, broker=self.broker, states=self.states, clock=self.clock)
        await self.world.node.start()

    async def connect(self, auth: Mapping[str, object], namespace: str = "/rooms") -> Socket:
        """Connect a socket, and take what comes with the answer."""
        client = self.world.open()
        first, *missed = await client.ask(f"40{namespace},{msgspec.json.encode(auth).decode()}")
        assert isinstance(first, str)
        found = re.fullmatch(rf'40{namespace},{{"sid":"(io-[0-9a-f]{{32}})","pid":"([0-9a-f]{{32}})"}}', first)
        assert found is not None, first
        offset = auth.get("offset")
        socket = Socket(client, found[1], found[2], offset if isinstance(offset, str) else None)
        socket.note(*missed)
        return socket

    async def publish(self, room: str, *args: str, skip_history: bool = False) -> None:
        """Publish an event."""
        message = Message(msgspec.json.encode(args), skip_history=skip_history)
        await ServerApi(self.world.node).publish(f"rooms:{room}", message)
        await settle()

    async def come_back(
        self, socket: Socket, changes: Mapping[str, object] | None = None, namespace: str = "/rooms"
    ) -> Socket:
        """Connect again as a stock client does; `changes`: what is else in the data of CONNECT."""
        auth = {"pid": socket.pid, "offset": socket.offset, "token": TOKEN, **(changes or {})}
        return await self.connect(auth, namespace)


async def lose(socket: Socket) -> None:
    """Lose the transport."""
    socket.client.socket.on_closed()
    await settle()


async def begun(*hooks: Hook) -> tuple[Cluster, Socket]:
    """Return a socket in two rooms by its token and one that it has joined; it has got an event."""
    cluster = Cluster(*hooks)
    await cluster.start()
    socket = await cluster.connect({"token": TOKEN})
    cluster.world.backend.answers.extend([Grant()] if hooks else [])
    [answer] = await socket.client.ask('42/rooms,1["subscribe","c"]')
    assert str(answer).startswith('43/rooms,1[{"offset":')
    await cluster.publish("a", "x", "1")
    assert socket.take() == ["x 1"]
    return cluster, socket


def rooms(cluster: Cluster) -> list[str]:
    """Return the rooms of the one socket."""
    [session] = cluster.world.node.sessions
    return sorted(session.subscriptions)


async def test_a_socket_goes_on_at_another_node() -> None:
    """It has its ids and its rooms, gets what it missed in the order of all rooms, and can come back again."""
    cluster, socket = await begun()
    await cluster.start()  # the first node is killed
    for number, room in enumerate("cabc", 2):
        await cluster.publish(room, "x", str(number))
    again = await cluster.come_back(socket)
    assert (again.sid, again.pid) == (socket.sid, socket.pid)
    assert again.take() == ["x 2", "x 3", "x 4", "x 5"]
    await cluster.publish("c", "x", "6")
    assert again.take() == ["x 6"]
    assert rooms(cluster) == ["rooms:a", "rooms:b", "rooms:c"]
    await lose(again)
    await cluster.publish("b", "x", "7")
    last = await cluster.come_back(again)
    assert (last.sid, last.take()) == (socket.sid, ["x 7"])


async def test_an_event_without_a_position_leaves_the_position_of_the_client() -> None:
    """It is not recovered; everything else is, once."""
    cluster, socket = await begun()
    await cluster.publish("a", "x", "loose", skip_history=True)
    await cluster.publish("b", "x", "2")
    await cluster.publish("a", "x", "loose", skip_history=True)
    assert socket.take() == ["x loose", "x 2", "x loose"]
    await lose(socket)
    await cluster.publish("a", "x", "3")
    again = await cluster.come_back(socket)
    assert (again.sid, again.take()) == (socket.sid, ["x 3"])


async def is_new(cluster: Cluster, again: Socket, socket: Socket) -> bool:
    """Return True when a socket has nothing of the one before, and only the rooms of its claims."""
    await cluster.publish("c", "x", "of a room that is not by claims")
    return again.sid != socket.sid and again.pid != socket.pid and again.take() == []


@pytest.mark.parametrize(
    "changes",
    [
        {"pid": "0" * 32},
        {"pid": "x"},
        {"pid": 7},
        {"pid": None},
        {"offset": ""},
        {"offset": None},
        {"offset": "x-1"},
        {"offset": "x" * 10_000},
        {"offset": 7},
        {"token": connection_token(SECRET, "eve", channels=["rooms:a"])},
        {"token": connection_token(SECRET, "")},
    ],
)
async def test_what_is_not_the_state_of_the_user_gives_nothing(changes: Mapping[str, object]) -> None:
    cluster, socket = await begun()
    await lose(socket)
    await cluster.publish("c", "x", "missed")
    assert await is_new(cluster, await cluster.come_back(socket, changes), socket)


async def test_a_state_is_of_one_namespace() -> None:
    cluster, socket = await begun()
    await lose(socket)
    assert await is_new(cluster, await cluster.come_back(socket, namespace="/more"), socket)


async def test_a_state_is_taken_once() -> None:
    cluster, socket = await begun()
    await lose(socket)
    again = await cluster.come_back(socket)
    await lose(again)
    assert (await cluster.come_back(socket)).sid == socket.sid  # it was stored again
    await cluster.start()
    await cluster.states.take(socket.pid)
    assert await is_new(cluster, await cluster.come_back(socket), socket)


async def test_a_state_expires() -> None:
    cluster, socket = await begun()
    await lose(socket)
    cluster.clock.now += RECOVERY_SECONDS + 1
    assert await is_new(cluster, await cluster.come_back(socket), socket)


async def test_a_history_that_was_too_short_gives_nothing() -> None:
    """Ten are kept."""
    cluster, socket = await begun()
    await lose(socket)
    for number in range(11):
        await cluster.publish("b", "x", str(number))
    assert await is_new(cluster, await cluster.come_back(socket), socket)


async def test_a_room_that_is_not_granted_any_more_gives_nothing() -> None:
    """Neither one of the token, nor more rooms than a client may have: the rooms are those of the token now."""
    for channels in (["rooms:a"], ["rooms:d", "rooms:e"]):
        cluster, socket = await begun()
        await lose(socket)
        token = connection_token(SECRET, "ann", channels=[*channels])
        again = await cluster.come_back(socket, {"token": token})
        if "rooms:a" in channels:  # the others are open to all: they are as if the client had asked for them
            assert (again.sid, rooms(cluster)) == (socket.sid, ["rooms:a", "rooms:b", "rooms:c"])
        else:
            assert await is_new(cluster, again, socket)
            assert rooms(cluster) == channels


async def test_a_room_that_the_backend_refuses_now_gives_nothing() -> None:
    """It is asked again for the rooms that the client has joined."""
    cluster, socket = await begun(Hook.SUBSCRIBE)
    await lose(socket)
    cluster.world.backend.answers.append(Grant())
    cluster.world.backend.asked.clear()
    again = await cluster.come_back(socket)
    assert again.sid == socket.sid
    assert cluster.world.backend.asked == [("ann", "rooms:c", b"", "")]
    await lose(again)
    cluster.world.backend.answers.append(CommandError(codes.PERMISSION_DENIED))
    assert await is_new(cluster, await cluster.come_back(again), socket)
    assert rooms(cluster) == ["rooms:a", "rooms:b"]


async def test_rooms_of_the_server_api_are_kept() -> None:
    """Those that it adds, and not those that it ends."""
    cluster, socket = await begun()
    api = ServerApi(cluster.world.node)
    await api.unsubscribe(Connections("ann"), "rooms:c")
    await settle()
    await api.subscribe(Connections("ann"), "rooms:d", PLAIN)
    await settle()
    await lose(socket)
    await cluster.publish("c", "x", "left")
    await cluster.publish("d", "x", "added")
    again = await cluster.come_back(socket)
    assert (again.sid, again.take()) == (socket.sid, ["x added"])
    assert rooms(cluster) == ["rooms:a", "rooms:b", "rooms:d"]


async def test_a_socket_with_a_room_of_another_namespace_does_not_recover() -> None:
    """What it missed there would not be known."""
    cluster = Cluster()
    await cluster.start()
    token = connection_token(SECRET, "ann", channels=["rooms:a", "news:b"])
    socket = await cluster.connect({"token": token})
    await cluster.publish("a", "x", "1")
    assert socket.take() == ["x 1"]
    await lose(socket)
    assert await is_new(cluster, await cluster.come_back(socket, {"token": token}), socket)


async def test_a_socket_that_has_ended_does_not_come_back() -> None:
    """By its client, or for good by the server; an end after which clients come back is none."""
    for code, is_end in ((None, True), (codes.FORCE_DISCONNECT, True), (codes.FORCE_RECONNECT, False)):
        cluster, socket = await begun()
        if code is None:
            socket.client.text("41/rooms,")
        else:
            await ServerApi(cluster.world.node).disconnect(Connections("ann"), code=code)
        await settle()
        again = await cluster.come_back(socket)
        assert (again.sid != socket.sid) is is_end


async def present(cluster: Cluster, room: str) -> list[str]:
    """Return the ids of those present in a room."""
    await settle()
    return [*await ServerApi(cluster.world.node).presence(f"rooms:{room}")]


async def test_a_socket_that_takes_the_place_of_its_dead_one_is_present() -> None:
    """The end of the other one, which is left behind it, does not remove it."""
    cluster, socket = await begun()
    again = await cluster.come_back(socket)
    assert (again.sid, socket.client.closed_by) == (socket.sid, codes.STALE)
    assert [await present(cluster, room) for room in "abc"] == [[socket.sid]] * 3


async def test_a_socket_that_cannot_go_on_leaves_nobody_behind() -> None:
    """Neither the dead one whose place it took for a moment, nor itself under that id."""
    cluster, socket = await begun(Hook.SUBSCRIBE)
    cluster.world.backend.answers.append(Grant())
    for number in range(11):  # ten are kept
        await cluster.publish("b", "x", str(number))
    again = await cluster.come_back(socket)
    assert again.sid != socket.sid
    assert [await present(cluster, room) for room in "abc"] == [[again.sid], [again.sid], []]


async def test_the_id_is_that_of_one_living_socket() -> None:
    """One whose connection is dead, though nobody has noticed, ends: here at once, elsewhere with the next renewal."""
    cluster, socket = await begun()
    first = cluster.world
    again = await cluster.come_back(socket)
    assert (again.sid, socket.client.closed_by) == (socket.sid, codes.STALE)
    assert len(first.node.sessions) == 1
    await settle()
    await cluster.start()
    assert (await cluster.come_back(again)).sid == socket.sid
    await settle()
    assert first.node.operations.recovery is not None
    await first.node.operations.recovery.renew()
    assert again.client.closed_by == codes.STALE
    await settle()
    assert await cluster.states.take(socket.pid) is not None
