"""Engine.IO connections: heartbeat, sockets, rate, the upgrade, the end, and packets in any order."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime_server import codes
from realtime_server.codes import DisconnectCode
from realtime_server.core.limits.limit import Limit
from realtime_server.core.ports.api import Connections, Message
from realtime_server.core.server_api import ServerApi
from realtime_server.core.serving import Serving
from realtime_server.protocols.socket_io.engine_requests import TransportName
from realtime_server.socket_io.engine_connection import CONNECT_SECONDS, UPGRADE_SECONDS, is_final
from tests.kit.deadline import eventually
from tests.kit.server_doubles import SECRET, connected, send
from tests.kit.tokens import connection_token
from tests.unit.realtime_server.socket_io.world import World, polled, settle

INTERVAL, TIMEOUT = 25, 8


# how it opens


async def test_it_opens_with_its_id_and_times() -> None:
    """The id begins with that of the worker; a WebSocket has nothing to upgrade to."""
    world = World()
    [opened] = world.open().take()
    assert isinstance(opened, str)
    assert opened.startswith(f'0{{"sid":"{world.node.uid}.')
    assert opened.endswith('"upgrades":[],"pingInterval":25000,"pingTimeout":8000,"maxPayload":106496}')
    assert '"upgrades":["websocket"]' in world.poll().opened().data.decode()


async def test_a_client_that_connects_to_no_namespace_is_closed() -> None:
    """Also one whose sockets have all ended."""
    world = World()
    idle, busy = world.open(), world.open()
    await busy.connect()
    for _ in range(3):
        world.pass_time(CONNECT_SECONDS / 3)
        idle.text("3")
        busy.text("3")
    assert idle.closed_by is None
    world.pass_time(0.1)
    assert [idle.closed_by, busy.closed_by] == [codes.STALE, None]
    busy.text("41")
    for _ in range(4):
        world.pass_time(CONNECT_SECONDS / 3)
        busy.text("3")
    assert busy.closed_by == codes.STALE


# heartbeat


async def test_all_sockets_of_a_connection_are_pinged_together() -> None:
    world = World()
    client = world.open()
    await client.connect()
    await client.connect("/chat")
    await world.node._beat()
    world.pass_time(INTERVAL)
    await world.node._beat()
    assert client.take() == ["2"]
    client.text("3")
    world.pass_time(INTERVAL - 1)
    assert client.take() == []
    world.pass_time(1)
    assert client.take() == ["2"]
    world.pass_time(TIMEOUT + 0.1)
    assert client.closed_by == codes.NO_PONG
    assert not world.node.sessions
    assert world.node.counters.disconnects == {codes.NO_PONG.code: 2}


async def test_what_a_client_sends_shows_that_it_is_alive() -> None:
    """Its pong may be queued behind that."""
    world = World()
    client = world.open()
    await client.connect()
    world.pass_time(INTERVAL)
    world.pass_time(TIMEOUT - 1)
    client.text('42["x"]')
    world.pass_time(TIMEOUT - 1)
    assert client.closed_by is None


async def test_a_polling_client_that_does_not_poll_is_closed() -> None:
    """Its later poll gets what waits, and then it is unknown."""
    world = World()
    connection = world.poll()
    connection.take_data(b"40")
    await settle()
    world.pass_time(INTERVAL)
    world.pass_time(TIMEOUT + 0.1)
    assert not world.node.sessions
    assert polled(connection)[-1] == "2"
    assert world.server.find(connection.sid) is None


async def test_a_polling_client_that_never_learns_of_the_close_is_forgotten() -> None:
    world = World()
    connection = world.poll()
    connection.close(codes.FORCE_RECONNECT)
    assert world.server.find(connection.sid) is connection
    world.pass_time(INTERVAL + TIMEOUT + 0.1)
    assert world.server.find(connection.sid) is None


# sockets


@pytest.mark.parametrize(
    "messages",
    [
        ["40", "40"],
        ['42["x"]'],
        ["41"],
        ['44{"message":"x"}'],
        ['430["x"]'],
        ["9"],
        [""],
        ["4"],
        ["42"],
        ['42{"a":1}'],
        ['42["connect"]'],
        ['42["x"'],
        ["47"],
        ["2"],
        ['451-["x",{"_placeholder":true,"num":0}]', "40"],
        ['4511-["x"]'],
    ],
)
async def test_a_client_that_breaks_the_protocol_is_closed(messages: list[str]) -> None:
    """The transport is closed, as by the reference; another client does not notice, and it is counted."""
    world = World()
    bystander, client = world.open(), world.open()
    await bystander.connect()
    client.take()
    client.text(*messages)
    await settle()
    assert client.closed_by is not None
    assert client.closed_by.code in {3501, 3000}
    assert sum(world.node.counters.disconnects.values()) >= 1
    assert len(world.node.sessions) == len(world.server) == 1
    assert bystander.closed_by is None
    assert await bystander.ask('421["subscribe","open:a"]') == ["431[{}]"]


async def test_binary_data_that_was_not_announced_breaks_the_protocol() -> None:
    """The close frame says what would be right."""
    world = World()
    client = world.open()
    client.binary(b"x")
    assert client.closed_by == DisconnectCode(
        3501, "bad request: a packet that announces attachments is to come before them"
    )


async def test_what_was_under_way_when_the_server_ended_a_socket_is_dropped() -> None:
    """The client may connect to the namespace again, and its acknowledgements have no meaning."""
    world = World()
    await world.node.start()
    client = world.open()
    await client.connect(auth={"token": connection_token(SECRET, "ann")})
    await ServerApi(world.node).disconnect(Connections("ann"))
    await settle()
    assert client.take() == ["41"]
    assert await client.ask('421["x"]', "41", '431["x"]') == []
    assert client.closed_by is None
    await client.connect()
    await world.node.stop()


async def test_a_connection_is_moved_with_all_its_sockets() -> None:
    """Without a DISCONNECT, after which a client would not come back."""
    world = World()
    client = world.open()
    await client.connect()
    await client.connect("/chat")
    serving = Serving(world.node)
    serving.drain(1.0)
    world.clock.now += 1
    serving.tick()
    assert client.take() == []
    assert client.closed_by == codes.FORCE_RECONNECT
    assert not world.node.sessions
    assert world.node.counters.disconnects == {codes.FORCE_RECONNECT.code: 2}


@pytest.mark.parametrize(
    ("code", "final"),
    [
        (codes.FORCE_RECONNECT, False),
        (codes.SHUTDOWN, False),
        (codes.CONNECTION_EXPIRED, False),
        (codes.STALE, False),
        (codes.TOKEN_REVOKED, True),
        (codes.FORCE_DISCONNECT, True),
        (codes.CONNECTION_LIMIT, True),
        (DisconnectCode(4000, "of a backend"), False),
        (DisconnectCode(4500, "of a backend"), True),
    ],
)
def test_an_end_is_final_if_the_client_should_not_come_back(code: DisconnectCode, final: bool) -> None:
    assert is_final(code) is final


async def test_an_expired_token_closes_the_connection() -> None:
    """The client comes back with another one, if its `auth` is a function."""
    world = World()
    client = world.open()
    await client.connect()
    [session] = world.node.sessions
    session.disconnect(codes.CONNECTION_EXPIRED)
    assert client.take() == []
    assert client.closed_by == codes.CONNECTION_EXPIRED


async def test_the_loss_of_a_websocket_ends_its_sockets() -> None:
    world = World()
    client = world.open()
    await client.connect()
    client.socket.on_closed()
    assert not world.node.sessions
    assert not len(world.server)
    assert world.node.counters.disconnects == {3000: 1}


async def test_a_client_that_closes_is_counted_once() -> None:
    world = World()
    client = world.open()
    await client.connect()
    client.text("41", "1")
    client.socket.on_closed()
    assert world.node.counters.disconnects == {3000: 1}
    assert not len(world.server)


# rate


async def test_a_client_that_exceeds_its_rate_is_slowed_down() -> None:
    """Reading pauses, and goes on."""
    world = World(messages=100)
    client = world.open()
    await client.connect()
    burst = world.node.settings.limits.message_burst
    client.text(*['42["x"]'] * burst)
    assert client.wire.paused
    assert world.node.counters.limits[Limit.MESSAGES_PER_SECOND] == 1

    async def paused() -> bool:
        return client.wire.paused

    await eventually(paused, lambda found: not found, what="reading goes on", within=5, every=0.01)
    assert client.closed_by is None


async def test_a_request_with_far_too_many_packets_ends_the_connection() -> None:
    """The answer to a request is the only means to slow a polling client down."""
    world = World(messages=1)
    connection = world.poll()
    most = world.node.settings.limits.message_burst + world.node.settings.limits.waiting_commands
    connection.take_data(b"\x1e".join([b"3"] * (most - 1)))
    assert len(world.server) == 1
    connection.take_data(b"\x1e".join([b"3"] * 3))
    assert world.node.counters.disconnects == {codes.TOO_MANY_REQUESTS_DISCONNECT.code: 1}


async def test_requests_of_a_polling_client_wait_while_it_is_paused() -> None:
    """Until it has closed, at the latest."""
    world = World()
    connection = world.poll()
    await connection.readable()
    connection.pause("test")
    waiting = asyncio.ensure_future(connection.readable())
    await settle()
    assert not waiting.done()
    connection.resume("test")
    await waiting
    connection.pause("test")
    waiting = asyncio.ensure_future(connection.readable())
    await settle()
    connection.lose()
    await waiting


# the upgrade


async def test_a_websocket_takes_over_while_traffic_flows() -> None:
    """Nothing is lost or twice, and the socket stays subscribed."""
    world = World()
    await world.node.start()
    api = ServerApi(world.node)
    connection = world.poll()
    connection.take_data(b'40\x1e42["subscribe","open:a"]')
    await settle()
    [connected] = polled(connection)
    assert connected.startswith('40{"sid":')
    other, _ = connected_by_the_other_protocol(world)
    for number in range(3):
        await api.publish("open:a", Message(b"%d" % number))
    await settle()
    assert polled(connection) == [f'42["message",{number}]' for number in range(3)]
    client = world.upgrade(connection)
    assert await client.ask("2probe") == ["3probe"]
    assert polled(connection) == ["6"]
    await api.publish("open:a", Message(b"3"))
    await settle()
    assert client.take() == []
    client.text("5")
    await api.publish("open:a", Message(b"4"))
    await settle()
    assert client.take() == ['42["message",3]', '42["message",4]']
    assert connection.transport is TransportName.WEBSOCKET
    assert await client.ask('421["unsubscribe","open:a"]') == ["431[{}]"]
    world.pass_time(INTERVAL)
    assert client.take() == ["2"]
    assert other is not None
    await world.node.stop()


def connected_by_the_other_protocol(world: World) -> tuple[object, object]:
    """Return a client of Centrifugo's protocol in the same channel."""
    session, connection = connected(world.node)
    send(session, {"id": 2, "subscribe": {"channel": "open:a"}})
    return session, connection


async def test_binary_data_that_waits_is_sent_by_the_websocket() -> None:
    world = World()
    await world.node.start()
    connection = world.poll()
    connection.take_data(b'40\x1e42["subscribe","open:a"]')
    await settle()
    polled(connection)
    client = world.upgrade(connection)
    await client.ask("2probe")
    connection.take_data(b'451-["publish","open:a","message",{"_placeholder":true,"num":0}]\x1ebAP8=')
    await settle()
    assert await client.ask("5") == ['451-["message",{"_placeholder":true,"num":0}]', b"\x00\xff"]
    await world.node.stop()


@pytest.mark.parametrize("message", ["40", "", "9", "2other"])
async def test_a_websocket_that_does_not_probe_is_closed(message: str) -> None:
    """The client goes on by polling, also after a binary message, a loss, or too much time."""
    world = World()
    connection = world.poll()
    for end in (
        lambda client: client.text(message),
        lambda client: client.binary(b"x"),
        lambda client: client.socket.on_closed(),
        lambda client: client.socket.disconnect(codes.SLOW),
        lambda _: world.pass_time(UPGRADE_SECONDS + 0.1),
    ):
        client = world.upgrade(connection)
        end(client)
        assert client.closed_by is not None
        assert connection.transport is TransportName.POLLING
        assert connection.is_open
    connection.take_data(b"40")
    await settle()
    assert polled(connection)[0].startswith("40{")


async def test_only_one_websocket_may_take_over() -> None:
    world = World()
    connection = world.poll()
    first, second = world.upgrade(connection), world.upgrade(connection)
    assert second.closed_by is not None
    second.text("2probe", "5")
    assert first.closed_by is None
    assert await first.ask("2probe", "5") == ["3probe"]
    second.socket.on_closed()
    assert connection.transport is TransportName.WEBSOCKET
    third = world.upgrade(connection)
    assert third.closed_by is not None


async def test_the_end_of_a_polling_connection_ends_its_upgrade() -> None:
    world = World()
    connection = world.poll()
    client = world.upgrade(connection)
    connection.close(codes.FORCE_RECONNECT)
    assert client.closed_by is not None
    assert polled(connection) == ["6"]


async def test_a_polling_client_that_does_not_keep_up_is_closed() -> None:
    """More than the outbox may wait for no poll."""
    world = World()
    await world.node.start()
    connection = world.poll()
    connection.take_data(b'40\x1e42["subscribe","open:a"]')
    data = b'"%b"' % (b"x" * 200_000)
    for _ in range(6):
        await ServerApi(world.node).publish("open:a", Message(data))
        await settle()
    assert not connection.is_open
    assert world.node.counters.disconnects == {codes.SLOW.code: 1}
    await world.node.stop()


# anything


MESSAGES = st.sampled_from(
    [
        "40", '40{"token":"x"}', "40/chat,", "40/own,{}", "40/no,", "41", "41/chat,", "1", "2", "3", "5", "6", "2probe",
        '42["subscribe","open:a"]', '42/chat,1["subscribe","a"]', '42/chat,["unsubscribe","a"]',
        '42["publish","open:a","x",1]', '42/chat,2["publish","a","message",{}]', '42/own,3["x"]', '430["x"]', "44{}",
        '451-["publish","open:a","message",{"_placeholder":true,"num":0}]', '452-["x"]', '461-1["x"]', "", "9", "4",
    ]
)  # fmt: skip
STEPS = st.lists(
    st.one_of(MESSAGES, MESSAGES.filter(lambda one: one.startswith("4")), st.binary(max_size=4), st.floats(0.1, 30)),
    max_size=30,
)


@given(STEPS, st.booleans())
@settings(max_examples=settings().max_examples // 2)
def test_packets_in_any_order_leave_nothing_behind(steps: list[str | bytes | float], polls: bool) -> None:
    """A connection that has ended has no socket, no subscription, and no place in the server; others work on."""
    asyncio.run(in_any_order(steps, polls=polls))


async def in_any_order(steps: list[str | bytes | float], *, polls: bool) -> None:
    world = World()
    await world.node.start()
    bystander = world.open()
    await bystander.connect()
    await bystander.ask('42["subscribe","open:a"]')
    connection = world.poll() if polls else None
    client = world.upgrade(connection) if connection is not None else world.open()
    for step in steps:
        if isinstance(step, float):
            world.pass_time(step)
            bystander.text("3")
        elif isinstance(step, bytes):
            client.binary(step)
        elif connection is not None and connection.transport is TransportName.POLLING and not step.startswith("2"):
            connection.take_data(step.encode())
        else:
            client.text(step)
        await settle()
    if connection is not None:
        connection.lose()
    client.socket.on_closed()
    await settle()
    assert len(world.server) == len(world.node.sessions) == 1
    assert [channel.subscriber_count for channel in world.node.hub.channels.values()] == [1]
    bystander.take()
    await ServerApi(world.node).publish("open:a", Message(b"1"))
    await settle()
    assert bystander.take() == ['42["message",1]']
    await world.node.stop()
