"""Session of one client: legal commands, their order, and the replies."""

from __future__ import annotations

import ast
import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import realtime_server
from realtime_server import codes
from realtime_server.codes import DisconnectCode
from realtime_server.core.commands.command_session import CommandSession
from realtime_server.core.limits.limit import Limit
from realtime_server.core.model.channel_options import Access, ChannelOptions, SubscribePermission
from realtime_server.core.model.namespaces import Namespaces
from realtime_server.core.model.values import HistoryOptions
from realtime_server.core.ports.api import Message
from realtime_server.core.server_api import ServerApi
from realtime_server.core.sessions.session import Session
from realtime_server.protocols.centrifuge.json_codec import JsonCodec
from tests.kit.scripted_broker import ScriptedBroker
from tests.kit.server_doubles import SECRET, Clock, RecordingConnection, accept, connected, make_node, send
from tests.kit.tokens import connection_token, subscription_token


async def settle() -> None:
    """Run the session's task until it waits."""
    for _ in range(20):
        await asyncio.sleep(0)


def error(command: int, code: int, message: str) -> dict[str, object]:
    """Return the error reply to a command."""
    return {"id": command, "error": {"code": code, "message": message}}


def expired_token(command: int) -> dict[str, object]:
    """Return the error reply to a command with an expired token."""
    return {"id": command, "error": {"code": 109, "message": "token expired", "temporary": True}}


# connect


def test_connect_tells_how_to_behave() -> None:
    """The reply has the client's id, the ping interval, and that pongs are expected."""
    session, connection = accept(make_node())
    send(session, {"id": 1, "connect": {}})
    expected = {"client": session.client, "version": "0", "ping": 25, "pong": True}
    assert connection.take() == [{"id": 1, "connect": expected}]


def test_a_token_that_ends_tells_when() -> None:
    """The ttl lets the SDK fetch a new token in time."""
    wall = Clock(time.time())
    session, connection = accept(make_node(wall_clock=wall))
    token = connection_token(SECRET, "alice", lifetime=None, exp=int(wall.now) + 301)
    send(session, {"id": 1, "connect": {"token": token}})
    [reply] = connection.take()
    assert isinstance(reply, dict)
    assert (reply["connect"]["expires"], reply["connect"]["ttl"]) == (True, 300)


def test_a_token_for_longer_than_a_life_ends_in_68_years() -> None:
    """The ttl is capped, since SDKs store it in 32 bits."""
    session, connection = accept(make_node())
    send(session, {"id": 1, "connect": {"token": connection_token(SECRET, "alice", lifetime=None, exp=10**15)}})
    [reply] = connection.take()
    assert isinstance(reply, dict)
    assert (reply["connect"]["expires"], reply["connect"]["ttl"]) == (True, 2**31 - 1)


def test_without_token_where_anonymous_is_not_allowed() -> None:
    """The error is 101, and no other command is legal."""
    session, connection = accept(make_node(anonymous=False))
    send(session, {"id": 1, "connect": {}}, {"id": 2, "subscribe": {"channel": "open:a"}})
    assert connection.take() == [error(1, 101, "unauthorized")]
    assert session.claims is None


@pytest.mark.parametrize(
    ("commands", "code"),
    [
        ([{"id": 1, "subscribe": {"channel": "open:a"}}], codes.BAD_REQUEST_DISCONNECT),
        ([{"id": 1, "connect": {}}, {"id": 2, "connect": {}}], codes.BAD_REQUEST_DISCONNECT),
        ([{"id": 0, "connect": {}}], codes.BAD_REQUEST_DISCONNECT),
        ([{"id": -1, "connect": {}}], codes.BAD_REQUEST_DISCONNECT),
        ([{"id": 1, "ping": {}}], codes.BAD_REQUEST_DISCONNECT),
        ([{}], codes.BAD_REQUEST_DISCONNECT),
        ([{"id": 1, "connect": {"token": "wrong"}}], codes.INVALID_TOKEN),
    ],
    ids=["first", "twice", "id 0", "id negative", "ping", "pong before connect", "token"],
)
def test_what_breaks_the_protocol_ends_the_connection(commands: list[object], code: DisconnectCode) -> None:
    """The disconnect is counted by its code."""
    node = make_node()
    session, connection = accept(node)
    send(session, *commands)
    assert connection.closed_by == code
    assert node.counters.disconnects[code.code] == 1
    assert node.sessions == {}


def test_a_refused_connect_takes_what_follows_with_it() -> None:
    """Later commands of the message are dropped."""
    session, connection = accept(make_node())
    send(session, {"id": 1, "connect": {"token": "wrong"}}, {"id": 2, "publish": {"channel": "open:a", "data": 1}})
    assert connection.take() == []


# channels


async def test_subscribe_publish_unsubscribe() -> None:
    """Replies come in the order of the commands, with publications between them."""
    node = make_node()
    await node.start()
    session, connection = connected(node)
    send(
        session,
        {"id": 2, "subscribe": {"channel": "chat:a"}},
        {"id": 3, "publish": {"channel": "chat:a", "data": {"text": "hi"}}},
        {"id": 4, "unsubscribe": {"channel": "chat:a"}},
        {"id": 5, "publish": {"channel": "chat:a", "data": 1}},
    )
    await settle()
    subscribed, push, published, unsubscribed, denied = connection.take()
    assert isinstance(subscribed, dict)
    assert subscribed["subscribe"]["recoverable"] is True
    assert isinstance(push, dict)
    assert push["push"]["pub"]["data"] == {"text": "hi"}
    assert push["push"]["pub"]["offset"] == 1
    assert push["push"]["pub"]["info"] == {"user": "", "client": session.client}
    assert published == {"id": 3, "publish": {}}
    assert unsubscribed == {"id": 4, "unsubscribe": {}}
    assert denied == error(5, 103, "permission denied")
    await node.stop()


@pytest.mark.parametrize(
    ("command", "code", "message"),
    [
        ({"subscribe": {"channel": "other:a"}}, 102, "unknown channel"),
        ({"subscribe": {"channel": ""}}, 102, "unknown channel"),
        ({"subscribe": {"channel": "$open:a"}}, 103, "permission denied"),
        ({"subscribe": {"channel": "open:a", "type": 1}}, 108, "not available"),
        ({"publish": {"channel": "news:a", "data": 1}}, 103, "permission denied"),
        ({"publish": {"channel": "chat:a", "data": 1}}, 103, "permission denied"),
        ({"publish": {"channel": "open:a"}}, 107, "bad request"),
        ({"history": {"channel": "chat:a"}}, 103, "permission denied"),
        ({"presence": {"channel": "chat:a"}}, 103, "permission denied"),
        ({"presence_stats": {"channel": "other:a"}}, 102, "unknown channel"),
        ({"rpc": {"method": "x"}}, 108, "not available"),
        ({"sub_refresh": {"channel": "open:a", "token": "t"}}, 103, "permission denied"),
        ({"refresh": {"token": ""}}, 107, "bad request"),
        ({}, 104, "method not found"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else str(value),
)
async def test_a_command_that_fails_leaves_the_connection(command: dict[str, object], code: int, message: str) -> None:
    """The error reply is counted by its code."""
    node = make_node()
    session, connection = connected(node, connection_token(SECRET, "alice"))
    send(session, {"id": 7, **command})
    await settle()
    assert connection.take() == [error(7, code, message)]
    assert connection.closed_by is None
    assert node.counters.command_errors[code] == 1


async def test_subscribing_twice_is_an_error() -> None:
    """The error is 105."""
    session, connection = connected(make_node())
    send(session, *({"id": n, "subscribe": {"channel": "open:a"}} for n in (2, 3)))
    await settle()
    assert connection.take()[1] == error(3, 105, "already subscribed")


async def test_the_number_of_subscriptions_is_limited() -> None:
    """The error is 106, and existing subscriptions stay."""
    session, connection = connected(make_node(channels=2))
    send(session, *({"id": n, "subscribe": {"channel": f"open:{n}"}} for n in (2, 3, 4)))
    await settle()
    assert connection.take()[2] == error(4, 106, "limit exceeded")
    assert len(session.subscriptions) == 2


async def test_who_leaves_is_gone_from_everything() -> None:
    """Channels, presence, and the broker's subscription of an unused channel end."""
    node = make_node()
    session, _ = connected(node)
    send(session, {"id": 2, "subscribe": {"channel": "chat:a"}})
    await settle()
    assert list(await ServerApi(node).presence("chat:a")) == [session.client]
    session.on_closed()
    await settle()
    assert await ServerApi(node).presence("chat:a") == {}
    assert node.hub.channels == {}
    assert node.sessions == {}


# limits


def test_a_malformed_command_fails_alone() -> None:
    """The error 107 has its place among the replies; a malformed command without an id is dropped."""
    node = make_node()
    session, connection = connected(node)
    message = b'{"id":2,"rpc":{}}\n{"id":3,"rpc":{"data":NaN}}\n{"send":{"data":NaN}}\n{"id":4,"rpc":{}}'
    session.on_text(message, node.clock())
    assert connection.take() == [
        error(2, 108, "not available"), error(3, 107, "bad request"), error(4, 108, "not available"),
    ]  # fmt: skip
    assert connection.closed_by is None
    assert node.counters.command_errors[107] == 1


async def test_a_malformed_command_waits_for_its_turn() -> None:
    """Replies come in the order of the commands."""
    session, connection = connected(make_node(ScriptedBroker()))
    session.on_text(b'{"id":2,"subscribe":{"channel":"open:a"}}\n{"id":3,"rpc":{"data":NaN}}', 0)
    assert connection.take() == []
    await settle()
    assert [answer["id"] for answer in connection.take() if isinstance(answer, dict)] == [2, 3]


@pytest.mark.parametrize("message", [b'{"id":1,"subscribe":NaN}', b'{"send":NaN}', b'{"id":1,"ping":NaN}'])
def test_a_malformed_command_that_is_not_legal_ends_the_connection(message: bytes) -> None:
    """A malformed command is subject to the same rules, such as that connect comes first."""
    session, connection = accept(make_node())
    session.on_text(message, 0)
    assert connection.closed_by == codes.BAD_REQUEST_DISCONNECT


def test_a_message_that_is_not_understood_ends_the_connection() -> None:
    """The code is 3501, which is final."""
    session, connection = connected(make_node())
    session.on_text(b"{", 0)
    assert connection.closed_by == codes.BAD_REQUEST_DISCONNECT


async def seen(read: Callable[[], bool]) -> None:
    """Wait until a condition holds."""
    async with asyncio.timeout(10):
        while not read():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.001)


async def test_a_client_ahead_of_its_rate_is_read_no_more_until_it_is_not() -> None:
    """All commands are answered in order; the time limit of the pong does not run while reading is paused."""
    clock = Clock()
    node = make_node(channels=3, messages=5, clock=clock)
    session, connection = connected(node)
    clock.now += 1000
    session.ping(clock.now, 25, 8)
    connection.take()
    burst = node.settings.limits.message_burst
    assert burst == 54
    send(session, *({"id": n, "rpc": {}} for n in range(2, burst + 4)))
    assert len(connection.take()) == burst
    assert connection.is_paused()
    clock.now += 20
    assert session.is_alive(clock.now)
    await seen(lambda: not connection.is_paused())
    assert [reply["id"] for reply in connection.take() if isinstance(reply, dict)] == [burst + 2, burst + 3]
    assert node.counters.limits[Limit.MESSAGES_PER_SECOND] == 1
    clock.now += 8.1
    assert not session.is_alive(clock.now)
    assert connection.closed_by is None


async def test_pings_of_the_transport_count_as_messages() -> None:
    """They are counted because each is answered."""
    clock = Clock()
    node = make_node(messages=5, clock=clock)
    session, connection = connected(node)
    clock.now += 1000
    for _ in range(node.settings.limits.message_burst):
        assert not connection.is_paused()
        session.on_control(clock.now)
    assert connection.is_paused()
    clock.now += 1
    await seen(lambda: not connection.is_paused())


async def test_commands_that_wait_are_limited() -> None:
    """Reading pauses when a client sends faster than the backplane answers; too many at once disconnect it."""
    node = make_node(ScriptedBroker(), messages=10_000)
    session, connection = connected(node)
    commands = [
        {"id": n, "subscribe": {"channel": f"open:{n}"}} for n in range(node.settings.limits.waiting_commands + 1)
    ]
    send(session, *commands[2 : CommandSession.pause_at + 1])
    assert not connection.is_paused()
    send(session, commands[CommandSession.pause_at + 1])
    assert connection.is_paused()
    assert connection.closed_by is None
    other, ended = connected(node)
    send(other, *({**command, "id": number} for number, command in enumerate(commands, 2)))
    assert ended.closed_by == codes.TOO_MANY_REQUESTS_DISCONNECT
    session.on_closed()
    await settle()


def test_a_pong_nobody_asked_for_ends_the_connection() -> None:
    """A pong is an empty command."""
    session, connection = connected(make_node())
    send(session, {})
    assert connection.closed_by == codes.BAD_REQUEST_DISCONNECT


# tokens


async def test_a_new_token_must_be_of_the_same_user() -> None:
    session, connection = connected(make_node(), connection_token(SECRET, "alice", info={"level": 1}))
    send(session, {"id": 2, "refresh": {"token": connection_token(SECRET, "bob")}})
    send(session, {"id": 3, "refresh": {"token": connection_token(SECRET, "alice", info={"level": 2})}})
    bob, alice = connection.take()
    assert bob == error(2, 107, "bad request")
    assert isinstance(alice, dict)
    assert alice["refresh"]["expires"] is True
    assert session.client_info().connection_info == b'{"level":2}'


async def test_a_token_may_subscribe_its_user() -> None:
    """The connect reply has the subscriptions, and publications follow it."""
    node = make_node()
    await node.start()
    session, connection = accept(node)
    send(session, {"id": 1, "connect": {"token": connection_token(SECRET, "alice", channels=["chat:a", "open:b"])}})
    await settle()
    await ServerApi(node).publish("chat:a", Message(b"1"))
    reply, push = connection.take()
    assert isinstance(reply, dict)
    assert list(reply["connect"]["subs"]) == ["chat:a", "open:b"]
    assert isinstance(push, dict)
    assert push["push"]["channel"] == "chat:a"
    await node.stop()


async def test_a_token_with_a_wrong_channel_leaves_nothing_half_made() -> None:
    node = make_node()
    session, connection = accept(node)
    send(session, {"id": 1, "connect": {"token": connection_token(SECRET, "alice", channels=["chat:a", "other:b"])}})
    await settle()
    assert connection.take() == [error(1, 102, "unknown channel")]
    assert await ServerApi(node).presence("chat:a") == {}
    assert node.hub.channels == {}


# subscription tokens


async def test_a_private_channel_takes_a_token_of_the_user_for_it() -> None:
    """Other clients get 103; an expired token gets 109, after which an SDK fetches another."""
    session, connection = connected(make_node(channels=10), connection_token(SECRET, "alice"))
    tokens = [
        subscription_token(SECRET, "alice", "$open:a", info={"role": "admin"}),
        subscription_token(SECRET, "alice", "$open:other"),
        subscription_token(SECRET, "bob", "$open:c"),
        subscription_token("another secret of more than thirty-two characters", "alice", "$open:d"),
        subscription_token(SECRET, "alice", "$open:e", exp=1_000_000_000),
        "rubbish",
    ]
    wanted = [{"channel": f"$open:{name}", "token": token} for name, token in zip("abcdef", tokens, strict=True)]
    send(session, *({"id": number, "subscribe": one} for number, one in enumerate(wanted, 2)))
    await settle()
    expired = expired_token(6)
    denied = [error(number, 103, "permission denied") for number in (3, 4, 5)]
    assert connection.take() == [{"id": 2, "subscribe": {}}, *denied, expired, error(7, 103, "permission denied")]
    assert session.subscriptions["$open:a"].info == b'{"role":"admin"}'


async def test_a_subscription_is_renewed_with_a_new_token() -> None:
    """The reply has the new ttl."""
    wall = Clock(time.time())
    session, connection = connected(make_node(wall_clock=wall), connection_token(SECRET, "alice"))

    def token(seconds: int) -> str:
        return subscription_token(SECRET, "alice", "open:a", exp=int(wall.now) + seconds)

    send(session, {"id": 2, "subscribe": {"channel": "open:a", "token": token(61)}})
    wall.now += 30
    send(session, {"id": 3, "sub_refresh": {"channel": "open:a", "token": token(121)}})
    send(session, {"id": 4, "sub_refresh": {"channel": "open:a"}})
    await settle()
    assert connection.take() == [
        {"id": 2, "subscribe": {"expires": True, "ttl": 60}},
        {"id": 3, "sub_refresh": {"expires": True, "ttl": 120}},
        error(4, 107, "bad request"),
    ]


async def test_a_refresh_with_an_expired_token_makes_the_client_come_again() -> None:
    """The code is 3005, since an error would end SDKs for good; an invalid token gets an error."""
    node = make_node()
    session, connection = connected(node, connection_token(SECRET, "alice"))
    send(session, {"id": 2, "refresh": {"token": "garbage"}})
    assert connection.take() == [error(2, 101, "unauthorized")]
    send(session, {"id": 3, "refresh": {"token": connection_token(SECRET, "alice", lifetime=-60)}})
    assert connection.take() == []
    assert connection.closed_by == codes.CONNECTION_EXPIRED


async def test_a_sub_refresh_with_an_expired_token_makes_the_client_subscribe_again() -> None:
    """The code 2501 precedes the error; the connection stays, and the channel can be subscribed to again."""
    session, connection = connected(make_node(), connection_token(SECRET, "alice"))
    expired, valid = (
        subscription_token(SECRET, "alice", "open:a", exp=int(time.time()) + seconds) for seconds in (-60, 61)
    )
    send(session, {"id": 2, "subscribe": {"channel": "open:a", "token": valid}})
    await settle()
    connection.take()
    send(session, {"id": 3, "sub_refresh": {"channel": "open:a", "token": expired}})
    send(session, {"id": 4, "subscribe": {"channel": "open:a"}})
    await settle()
    assert connection.take() == [
        {"push": {"channel": "open:a", "unsubscribe": {"code": 2501, "reason": "expired"}}},
        expired_token(3),
        {"id": 4, "subscribe": {}},
    ]
    assert connection.closed_by is None


# pings of the transport


async def test_pings_of_the_transport() -> None:
    """A client that asks for them is told of no ping, gets none of the protocol's, and must answer with pong frames."""
    clock = Clock()
    node = make_node(clock=clock)
    connection = RecordingConnection()
    session = node.accept(connection, JsonCodec(lambda message: message, native_ping=b"ping frame"))
    send(session, {"id": 1, "connect": {}})
    assert connection.take() == [{"id": 1, "connect": {"client": session.client, "version": "0", "pong": False}}]
    for _ in range(3):
        clock.now += 25
        await node._beat()
        assert connection.written == [b"ping frame"]
        connection.written.clear()
        session.on_pong()
    clock.now += 25
    await node._beat()
    clock.now += 9
    await node._beat()
    assert connection.closed_by == codes.NO_PONG


async def test_a_pong_of_the_protocol_does_not_answer_a_ping_of_the_transport() -> None:
    """It was not asked for, so the code is 3501."""
    clock = Clock()
    node = make_node(clock=clock)
    connection = RecordingConnection()
    session = node.accept(connection, JsonCodec(lambda message: message, native_ping=b"ping frame"))
    send(session, {"id": 1, "connect": {}})
    clock.now += 25
    await node._beat()
    send(session, {})
    assert connection.closed_by == codes.BAD_REQUEST_DISCONNECT


def test_a_pong_frame_that_nobody_asked_for_means_nothing() -> None:
    """It may be a heartbeat of the client (RFC 6455, section 5.5.3)."""
    session, connection = connected(make_node())
    session.on_pong()
    assert connection.closed_by is None


# permissions

STRICT = Namespaces(
    [
        ("members", ChannelOptions(subscribe=SubscribePermission.AUTHENTICATED)),
        ("closed", ChannelOptions(subscribe=SubscribePermission.TOKEN)),
        ("board", ChannelOptions(
            history=HistoryOptions(5, 60), presence=True, publish=Access.ANYONE,
            presence_for=Access.NOBODY, history_for=Access.ANYONE,
        )),
    ]
)  # fmt: skip


@pytest.mark.parametrize(
    ("user", "command", "allowed"),
    [
        ("", {"subscribe": {"channel": "members:a"}}, False),
        ("alice", {"subscribe": {"channel": "members:a"}}, True),
        ("alice", {"subscribe": {"channel": "closed:a"}}, False),
        ("alice", {"subscribe": {"channel": "closed:a", "token": "closed:a"}}, True),
        ("alice", {"subscribe": {"channel": "members:x#alice,bob"}}, True),
        ("carol", {"subscribe": {"channel": "members:x#alice,bob"}}, False),
        ("alice", {"publish": {"channel": "board:a", "data": 1}}, True),
        ("alice", {"history": {"channel": "board:a"}}, True),
        ("alice", {"presence": {"channel": "board:a"}}, False),
        ("alice", {"presence_stats": {"channel": "board:a"}}, False),
    ],
    ids=["anonymous", "user", "no token", "token", "named", "not named", "publish", "history", "presence", "stats"],
)
async def test_namespaces_say_what_clients_may_do(
    user: str, command: dict[str, dict[str, str]], *, allowed: bool
) -> None:
    """Other commands get error 103."""
    node = make_node(namespaces=STRICT)
    await node.start()
    session, connection = connected(node, connection_token(SECRET, user) if user else "")
    [request] = command.values()
    if "token" in request:
        request = {**request, "token": subscription_token(SECRET, user, request["token"])}
    send(session, {"id": 2, next(iter(command)): request})
    await settle()
    assert ("error" not in str(connection.take()[0])) is allowed
    await node.stop()


# who writes it

SERVER = Path(realtime_server.__file__).parent


def test_only_its_methods_write_its_attributes() -> None:
    """All other code calls the session's methods."""
    fields = set(Session.__slots__)
    found = []
    for path in sorted(SERVER.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and node.attr in fields:
                found += [f"{path.relative_to(SERVER)}:{node.lineno}"] * _is_session(node.value)
    assert found == []


def _is_session(expression: ast.expr) -> bool:
    """Return True when an expression is named as a session, or as a subscriber in the hub."""
    name = expression.attr if isinstance(expression, ast.Attribute) else getattr(expression, "id", "")
    return name.strip("_") in {"session", "subscriber"}
