"""Session of one socket: the order of events, their queue, and what ends it."""

from __future__ import annotations

import asyncio

import pytest

from realtime_server import codes
from realtime_server.codes import DisconnectCode, UnsubscribeCode
from realtime_server.core.auth.claims import Claims
from realtime_server.core.limits.limit import Limit
from realtime_server.core.model.errors import CommandError
from realtime_server.core.model.grant import PLAIN
from realtime_server.core.ports.api import Connections, Message
from realtime_server.core.ports.backend import Connected, Hook
from realtime_server.core.server_api import ServerApi
from realtime_server.socket_io.socket_session import SocketSession
from tests.kit.server_doubles import SECRET
from tests.kit.tokens import connection_token
from tests.unit.realtime_server.socket_io.world import World, settle

TOKEN = connection_token(SECRET, "ann")


async def test_events_are_handled_in_their_order() -> None:
    """One that waits for the backend delays those after it; reading pauses when many wait."""
    count = SocketSession.pause_at + 2
    world = World(Hook.RPC, answers=[b"%d" % number for number in range(count)])
    client = world.open()
    await client.connect()
    world.backend.gate = asyncio.Event()
    assert await client.ask(*[f'42{number}["x"]' for number in range(count)]) == []
    assert client.wire.is_paused()
    [session] = world.node.sessions
    assert [session.busy] == [True]
    world.backend.gate.set()
    for _ in range(count):
        await settle()
    assert client.take() == [f"43{number}[{number}]" for number in range(count)]
    assert not client.wire.is_paused()
    assert [session.busy] == [False]


async def test_the_queue_is_bounded() -> None:
    """A client that ignores the pause is disconnected, and comes back."""
    world = World(Hook.RPC, messages=10_000)
    client = world.open()
    await client.connect()
    world.backend.gate = asyncio.Event()
    most = world.node.settings.limits.waiting_commands
    client.text(*['42["x"]'] * most)
    assert len(world.node.sessions) == 1
    client.text('42["x"]')
    assert client.closed_by == codes.TOO_MANY_REQUESTS_DISCONNECT
    assert world.node.counters.limits[Limit.WAITING_COMMANDS] == 1
    await settle()


async def test_the_bytes_in_the_queue_are_bounded() -> None:
    world = World(Hook.RPC)
    client = world.open()
    await client.connect()
    world.backend.gate = asyncio.Event()
    limits = world.node.settings.limits
    large = f'42["{"x" * (limits.message_bytes - 10)}"]'
    client.text(*[large] * (limits.waiting_bytes // limits.message_bytes + 2))
    assert client.closed_by == codes.TOO_MANY_REQUESTS_DISCONNECT
    await settle()


async def test_a_large_event_is_refused_for_itself() -> None:
    """The socket stays."""
    world = World()
    client = world.open()
    await client.connect()
    large = f'421["{"x" * world.node.settings.limits.message_bytes}"]'
    why = f"limit exceeded: an event may have {world.node.settings.limits.message_bytes} bytes"
    assert await client.ask(large) == [f'431[{{"error":{{"code":106,"message":"{why}"}}}}]']
    assert world.node.counters.limits[Limit.MESSAGE_BYTES] == 1


async def test_a_large_answer_of_the_backend_is_an_error() -> None:
    world = World(Hook.RPC, answers=[b'"%b"' % (b"x" * 600_000)])
    client = world.open()
    await client.connect()
    why = f"limit exceeded: an acknowledgement may have {world.node.settings.limits.reply_bytes} bytes"
    assert await client.ask('421["x"]') == [f'431[{{"error":{{"code":106,"message":"{why}"}}}}]']
    assert world.node.counters.limits[Limit.REPLY_BYTES] == 1


async def test_a_room_that_the_server_ends_meanwhile_is_not_joined() -> None:
    """Also when the event that asks for it still waits behind another one."""
    world = World(Hook.RPC, answers=[b"1"])
    await world.node.start()
    client = world.open()
    await client.connect(auth={"token": TOKEN})
    world.backend.gate = asyncio.Event()
    await client.ask('421["x"]', '422["subscribe","open:a"]', '423["subscribe","open:b"]')
    await ServerApi(world.node).unsubscribe(Connections("ann"), "open:a")
    await settle()
    world.backend.gate.set()
    await settle()
    why = "permission denied: this client may not join this room"
    assert client.take() == ["431[1]", f'432[{{"error":{{"code":103,"message":"{why}"}}}}]', "433[{}]"]
    await world.node.stop()


async def test_the_backend_subscribes_a_socket_without_its_request() -> None:
    """The protocol does not tell the client; what is published arrives."""
    world = World()
    await world.node.start()
    api = ServerApi(world.node)
    client = world.open()
    await client.connect(auth={"token": TOKEN})
    await api.subscribe(Connections("ann"), "open:a", PLAIN)
    await settle()
    assert client.take() == []
    await api.publish("open:a", Message(b'["x"]'))
    await settle()
    assert client.take() == ['42["x"]']
    await world.node.stop()


@pytest.mark.parametrize(
    ("code", "disconnect"),
    [
        (codes.UNSUBSCRIBED, None),
        (codes.UNSUBSCRIBED_INSUFFICIENT_STATE, codes.INSUFFICIENT_STATE),
        (codes.UNSUBSCRIBED_EXPIRED, codes.SUBSCRIPTION_EXPIRED),
    ],
)
async def test_a_client_that_should_join_a_room_again_comes_back(
    code: UnsubscribeCode, disconnect: DisconnectCode | None
) -> None:
    """It would wait in vain otherwise: the protocol does not tell it that it has left the room."""
    world = World()
    client = world.open()
    await client.connect(auth={"token": TOKEN})
    assert await client.ask('421["subscribe","open:a"]') == ["431[{}]"]
    [session] = world.node.sessions
    session.end_subscription("open:a", code)
    assert client.closed_by == disconnect
    assert session.subscriptions == {}


async def test_a_client_that_goes_while_it_connects_leaves_nothing() -> None:
    world = World(Hook.CONNECT, answers=[Connected(Claims("bob", channels=("chat:a",)))])
    world.backend.gate = asyncio.Event()
    client = world.open()
    await client.ask("40")
    [session] = world.node.sessions
    assert session.begun
    client.socket.on_closed()
    world.backend.gate.set()
    await settle()
    assert not world.node.sessions
    assert not world.node.hub.channels


async def test_an_event_before_the_answer_to_connect_breaks_the_protocol() -> None:
    """Clients keep what they send until then."""
    world = World(Hook.CONNECT, answers=[CommandError(codes.INTERNAL)])
    world.backend.gate = asyncio.Event()
    client = world.open()
    await client.ask("40", '42["x"]')
    assert client.closed_by is not None
    assert client.closed_by.code == 3501
    await settle()


async def test_a_connect_that_takes_too_long_closes_the_connection() -> None:
    """So that the client comes back; and nobody else's."""
    world = World(Hook.CONNECT)
    world.backend.gate = asyncio.Event()
    client = world.open()
    await client.ask("40")
    world.clock.now += world.node.settings.connect_seconds + 1
    await world.node._beat()
    assert client.closed_by == codes.STALE
    assert world.node.counters.connects_failed == {"3502": 1}
    await settle()


async def test_an_unexpected_failure_closes_the_connection() -> None:
    """It is reported to the event loop."""
    reported: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context["exception"]))
    world = World(Hook.RPC, answers=[ZeroDivisionError("in a test")])
    client = world.open()
    await client.connect()
    await client.ask('42["x"]')
    assert client.closed_by == codes.SERVER_ERROR
    assert len(reported) == 1


@pytest.mark.parametrize("immediate", [True, False])
async def test_an_unexpected_failure_at_once_closes_the_connection(
    immediate: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With and without a task."""
    reported: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context["exception"]))
    world = World(*([] if immediate else [Hook.RPC]))

    def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(world.node.operations.entry, "authenticate", fail)
    client = world.open()
    await client.ask("40")
    assert client.closed_by == codes.SERVER_ERROR
    assert len(reported) == 1
