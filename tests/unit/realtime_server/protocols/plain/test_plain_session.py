"""Tests of sessions of plain clients, on a node in memory."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field, replace

import pytest

from realtime_server import codes
from realtime_server.codes import DisconnectCode, ErrorCode
from realtime_server.core.limits.limit import Limit
from realtime_server.core.model.channel_options import ChannelOptions, RecoveryMode, SubscribePermission
from realtime_server.core.model.errors import CommandError
from realtime_server.core.model.namespaces import Namespaces
from realtime_server.core.model.values import HistoryOptions, StreamPosition
from realtime_server.core.node import Node
from realtime_server.core.ports.api import Connections, Message
from realtime_server.core.ports.backend import Caller, Disconnected, TransportInfo
from realtime_server.core.ports.route_hooks import Opened, RouteMessage
from realtime_server.core.server_api import ServerApi
from realtime_server.core.serving import Serving
from realtime_server.core.sessions.session import Session, SessionContext
from realtime_server.protocols.plain.codec import Bare, Envelope, PlainCodec, WebSocketCodec
from realtime_server.protocols.plain.epochs import Epochs
from realtime_server.protocols.plain.plain_session import PlainSession, RouteService
from realtime_server.protocols.plain.request import read_request
from realtime_server.protocols.plain.resumption import LOST, Resumption, tag_of
from realtime_server.protocols.plain.route import HookAction, PublishAction, Route
from realtime_server.protocols.plain.selection import Selection
from realtime_server.protocols.plain.template import parse_template
from tests.kit.server_doubles import SECRET, Clock, RecordingConnection, make_node
from tests.kit.tokens import connection_token

NAMESPACES = Namespaces(
    [
        ("open", ChannelOptions()),
        ("closed", ChannelOptions(subscribe=SubscribePermission.TOKEN)),
        ("chat", ChannelOptions(history=HistoryOptions(10, 60.0), recovery=True)),
        ("value", ChannelOptions(history=HistoryOptions(10, 60.0), recovery=True, recovery_mode=RecoveryMode.CACHE)),
    ]
)
NOW = Clock().now
"""Time of the node, monotonic seconds."""
BARE = Route("bare", subscribe=(parse_template("open:a"),))
ENVELOPE = Route(
    "envelope", envelope=True, subscribe=(parse_template("chat:a"),), selection=Selection("/do", idents=True)
)


@dataclass
class RecordingHooks:
    """Implements RouteHooks: records events, and answers as the test says."""

    answer: bytes | ErrorCode | Exception = b""
    connects: list[Opened] = field(default_factory=list)
    messages: list[RouteMessage] = field(default_factory=list)
    ends: list[Disconnected] = field(default_factory=list)
    released: asyncio.Event | None = None
    """Event that answers wait for, None to answer at once."""

    async def connect(self, route: str, caller: Caller, opened: Opened) -> bytes:
        """See RouteHooks."""
        del route, caller
        self.connects.append(opened)
        return await self._answered()

    async def message(self, route: str, caller: Caller, message: RouteMessage) -> bytes:
        """See RouteHooks."""
        del route, caller
        self.messages.append(message)
        return await self._answered()

    def disconnected(self, route: str, caller: Caller, event: Disconnected) -> None:
        """See RouteHooks."""
        del route, caller
        self.ends.append(event)

    async def _answered(self) -> bytes:
        if self.released is not None:
            await self.released.wait()
        if isinstance(self.answer, ErrorCode):
            raise CommandError(self.answer)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def begin(
    node: Node,
    route: Route,
    hooks: RecordingHooks | None = None,
    *,
    path: str = "/ws/x",
    token: str = "",
    resumption: Resumption | None = None,
    immediate: bool = True,
) -> tuple[PlainSession, RecordingConnection]:
    """Open the connection of a client, and let it in."""
    connection = RecordingConnection()
    epochs = Epochs(lambda channel: epoch_of(node, channel))
    operations = node.operations if immediate else replace(node.operations, immediate=False)
    recovery = {"chat": RecoveryMode.STREAM, "value": RecoveryMode.CACHE}
    service = RouteService(
        route, operations, hooks or RecordingHooks(), epochs, 1000, lambda channel: recovery.get(channel.split(":")[0])
    )
    kind = Envelope() if route.envelope else Bare(binary=route.binary)
    codec: PlainCodec = WebSocketCodec(kind, bytes, b"ping", epochs.of, binary=route.binary)
    request = read_request(
        path, route.path, lambda name: [f"Bearer {token}"] if token and name == "authorization" else []
    )

    def make(context: SessionContext, client: str, _secret: str) -> Session:
        return PlainSession(service, request, resumption, context, connection, codec, client, TransportInfo())

    session = node.open(make)
    assert isinstance(session, PlainSession)
    session.begin()
    return session, connection


def epoch_of(node: Node, channel: str) -> str:
    """Return the epoch of a channel with subscribers."""
    found = node.hub.channels.get(channel)
    return "" if found is None or found.position is None else found.position.epoch


async def started(clock: Clock | None = None) -> Node:
    """Return a node that has started."""
    node = make_node(namespaces=NAMESPACES, clock=clock)
    await node.start()
    return node


async def settle() -> None:
    """Let all tasks run that need not wait."""
    for _ in range(20):
        await asyncio.sleep(0)


def documents(connection: RecordingConnection) -> list[object]:
    """Return what was written since the last call, as JSON."""
    return connection.take()


@pytest.mark.parametrize("key", ["$connect", "$default"])
@pytest.mark.parametrize("immediate", [True, False])
async def test_a_defect_of_ours_ends_one_connection(key: str, *, immediate: bool) -> None:
    """Nothing is raised to the transport, which would lose the reason; the client comes back."""
    reported: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context["exception"]))
    node = await started()
    route = Route("x", subscribe=(parse_template("open:a"),), actions={key: HookAction()})
    session, connection = begin(node, route, RecordingHooks(ZeroDivisionError()), immediate=immediate)
    await settle()
    session.on_text(b"x", NOW)
    await settle()
    assert connection.closed_by == codes.SERVER_ERROR
    assert [type(error) for error in reported] == [ZeroDivisionError]
    await node.stop()


async def test_a_client_is_subscribed_at_once() -> None:
    node = await started()
    session, connection = begin(node, BARE)
    await ServerApi(node).publish("open:a", Message(b'{"a":1}'))
    assert connection.written == [b'{"a":1}']
    assert (list(session.subscriptions), session.welcome) == (["open:a"], True)
    await node.stop()


@pytest.mark.parametrize(
    ("channel", "path", "token", "closed"),
    [
        ("open:{query.id}", "/ws/x?id=1", "", None),
        ("closed:{query.id}", "/ws/x?id=1", "", codes.PERMISSION_DENIED_DISCONNECT),
        ("closed:a", "/ws/x", "", None),
        ("closed:{sub}", "/ws/x", "alice", None),
        ("closed:{sub}", "/ws/x", "", DisconnectCode(3507, "{sub}: is empty")),
        ("closed:{sub}:{query.id}", "/ws/x?id=1", "alice", codes.PERMISSION_DENIED_DISCONNECT),
        ("closed:{meta.tenant}", "/ws/x", "alice", DisconnectCode(3507, "{meta.tenant}: is missing")),
        ("open:a#{query.id}", "/ws/x?id=alice", "alice", None),
        ("open:a#{query.id}", "/ws/x?id=bob", "alice", codes.PERMISSION_DENIED_DISCONNECT),
        ("$open:{query.id}", "/ws/x?id=1", "alice", codes.PERMISSION_DENIED_DISCONNECT),
        ("none:a", "/ws/x", "", codes.PERMISSION_DENIED_DISCONNECT),
    ],
)
async def test_who_chooses_the_channel_decides_about_the_rules(
    channel: str, path: str, token: str, closed: DisconnectCode | None
) -> None:
    """A constant or a claim is granted by the route, a value of the client needs the namespace's permission."""
    node = await started()
    route = Route("x", subscribe=(parse_template(channel),))
    session, connection = begin(node, route, path=path, token=connection_token(SECRET, token) if token else "")
    assert connection.closed_by == closed
    assert bool(session.subscriptions) is (closed is None)
    await node.stop()


async def test_a_granted_template_counts_more_than_a_chosen_one() -> None:
    """Both make the same channel; the client's own choice takes nothing away."""
    node = await started()
    route = Route("x", subscribe=(parse_template("closed:{query.id}"), parse_template("closed:a")))
    session, _ = begin(node, route, path="/ws/x?id=a")
    assert list(session.subscriptions) == ["closed:a"]
    await node.stop()


async def test_publishing_has_the_same_rules() -> None:
    """Nobody may publish in the namespace."""
    node = await started()
    actions = {
        "granted": PublishAction(parse_template("open:b")),
        "chosen": PublishAction(parse_template("open:{query.id}")),
    }
    route = replace(ENVELOPE, actions=actions)
    session, connection = begin(node, route, path="/ws/x?id=b")
    _, subscriber = begin(node, Route("b", subscribe=(parse_template("open:b"),)))
    documents(connection)
    session.on_text(b'{"do":"granted"}', NOW)
    session.on_text(b'{"do":"chosen","id":2}', NOW)
    session.on_text(b'{"do":"granted","id":3}', NOW)
    assert documents(subscriber) == [{"do": "granted"}, {"do": "granted", "id": 3}]
    why = "permission denied: this client may not publish in open:b"
    assert documents(connection) == [{"id": 2, "error": {"code": 103, "message": why}}, {"id": 3}]
    await node.stop()


async def test_a_position_is_resumed() -> None:
    """Everything after it arrives in order, with its position, and then what is new."""
    node = await started()
    api = ServerApi(node)
    first = await api.publish("chat:a", Message(b"1"))
    assert first is not None
    await api.publish("chat:a", Message(b"2"))
    _, connection = begin(node, ENVELOPE, resumption=Resumption(first))
    await api.publish("chat:a", Message(b"3"))
    assert documents(connection) == [
        {"channel": "chat:a", "subscribed": {"offset": 1, "epoch": first.epoch, "recovered": True}},
        {"channel": "chat:a", "offset": 2, "epoch": first.epoch, "data": 2},
        {"channel": "chat:a", "offset": 3, "epoch": first.epoch, "data": 3},
    ]
    _, connection = begin(node, ENVELOPE, resumption=Resumption(StreamPosition(1, "other")))
    assert documents(connection) == [
        {"channel": "chat:a", "subscribed": {"offset": 3, "epoch": first.epoch, "recovered": False}}
    ]
    await node.stop()


async def test_positions_in_several_channels_are_resumed() -> None:
    """Each on its own: one is recovered, one is lost, and one that the client did not have begins now."""
    node = await started()
    api = ServerApi(node)
    route = replace(ENVELOPE, subscribe=tuple(map(parse_template, ("chat:a", "chat:b", "chat:c"))))
    epochs = {}
    for channel in ("chat:a", "chat:b", "chat:c"):
        position = await api.publish(channel, Message(b"1"))
        assert position is not None
        epochs[channel] = position.epoch
    given = {tag_of("chat:a"): StreamPosition(0, epochs["chat:a"]), tag_of("chat:b"): LOST}
    _, connection = begin(node, route, resumption=Resumption(by_tag=given))
    assert documents(connection) == [
        {"channel": "chat:a", "subscribed": {"offset": 0, "epoch": epochs["chat:a"], "recovered": True}},
        {"channel": "chat:a", "offset": 1, "epoch": epochs["chat:a"], "data": 1},
        {"channel": "chat:b", "subscribed": {"offset": 1, "epoch": epochs["chat:b"], "recovered": False}},
        {"channel": "chat:c", "subscribed": {"offset": 1, "epoch": epochs["chat:c"]}},
    ]
    await node.stop()


async def test_what_was_missed_in_all_channels_is_as_much_as_a_reply() -> None:
    """A channel with more is not recovered, so that the outbox is never exceeded by coming back."""
    node = await started()
    api = ServerApi(node)
    route = replace(ENVELOPE, subscribe=(parse_template("chat:a"), parse_template("chat:b")))
    large = b'"%b"' % (b"x" * (node.settings.limits.reply_bytes * 2 // 3))
    given = {}
    for channel in ("chat:a", "chat:b"):
        position = await api.publish(channel, Message(large))
        assert position is not None
        given[tag_of(channel)] = StreamPosition(0, position.epoch)
    _, connection = begin(node, route, resumption=Resumption(by_tag=given))
    recovered = [
        at["recovered"] for one in documents(connection) if isinstance(one, dict) and (at := one.get("subscribed"))
    ]
    assert recovered == [True, False]
    assert node.counters.limits[Limit.REPLY_BYTES] == 1
    await node.stop()


async def test_the_newest_value_of_a_cached_channel_comes_first() -> None:
    node = await started()
    await ServerApi(node).publish("value:a", Message(b"1"))
    position = await ServerApi(node).publish("value:a", Message(b"2"))
    assert position is not None
    _, connection = begin(node, replace(ENVELOPE, subscribe=(parse_template("value:a"),)))
    begun, newest = documents(connection)
    assert begun == {"channel": "value:a", "subscribed": {"offset": 1, "epoch": position.epoch}}
    assert newest == {"channel": "value:a", "offset": 2, "epoch": position.epoch, "data": 2}
    await node.stop()


async def test_the_backend_is_asked_before_the_subscription() -> None:
    """Messages of the client wait meanwhile; the reply comes first."""
    node = await started()
    hooks = RecordingHooks(b"welcome", released=asyncio.Event())
    assert hooks.released is not None
    route = replace(BARE, actions={"$connect": HookAction(), "$default": HookAction(), "$disconnect": HookAction()})
    session, connection = begin(node, route, hooks, path="/ws/x?room=1", immediate=False)
    session.on_text(b"early", NOW)
    await settle()
    assert hooks.connects == [Opened({}, {"room": ["1"]}, ("open:a",))]
    assert (hooks.messages, session.welcome) == ([], False)
    hooks.released.set()
    await settle()
    assert hooks.messages == [RouteMessage("$default", b"early", False)]
    assert connection.written == [b"welcome", b"welcome"]
    session.on_closed()
    assert [event.code for event in hooks.ends] == [3000]
    await node.stop()


@pytest.mark.parametrize(
    ("error", "closed"),
    [
        (codes.PERMISSION_DENIED, codes.PERMISSION_DENIED_DISCONNECT),
        (codes.UNAUTHORIZED, codes.INVALID_TOKEN),
        (codes.METHOD_NOT_FOUND, codes.PERMISSION_DENIED_DISCONNECT),
        (codes.LIMIT_EXCEEDED, codes.PERMISSION_DENIED_DISCONNECT),
        (codes.INTERNAL, codes.SERVER_ERROR),
        (codes.TOO_MANY_REQUESTS, codes.TOO_MANY_REQUESTS_DISCONNECT),
    ],
)
async def test_a_connection_that_the_backend_refuses_is_closed(error: ErrorCode, closed: DisconnectCode) -> None:
    """It is not told the end of a connection that it has refused."""
    node = await started()
    hooks = RecordingHooks(error)
    route = replace(BARE, actions={"$connect": HookAction(), "$disconnect": HookAction()})
    session, connection = begin(node, route, hooks, immediate=False)
    await settle()
    assert (connection.closed_by, hooks.ends, session.closed) == (closed, [], True)
    await node.stop()


async def test_a_connection_that_ends_while_the_backend_is_asked_is_reported() -> None:
    """The backend may have taken it for open."""
    node = await started()
    hooks = RecordingHooks(released=asyncio.Event())
    route = replace(BARE, actions={"$connect": HookAction(), "$disconnect": HookAction()})
    session, _ = begin(node, route, hooks, immediate=False)
    await settle()
    session.on_closed()
    await settle()
    assert (len(hooks.ends), dict(node.sessions)) == (1, {})
    await node.stop()


async def test_messages_have_their_order_and_reading_pauses() -> None:
    """While the backend is asked for one, some wait, and then nothing more is read."""
    node = await started()
    hooks = RecordingHooks(b"ok", released=asyncio.Event())
    assert hooks.released is not None
    session, connection = begin(node, replace(BARE, actions={"$default": HookAction()}), hooks, immediate=False)
    await settle()
    for number in range(15):
        session.on_text(b"%d" % number, NOW)
    await settle()
    assert (len(hooks.messages), connection.is_paused()) == (1, False)
    session.on_text(b"15", NOW)
    assert connection.is_paused()
    hooks.released.set()
    await settle()
    await settle()
    assert [message.data for message in hooks.messages] == [b"%d" % number for number in range(16)]
    assert not connection.is_paused()
    await node.stop()


@pytest.mark.parametrize(
    ("error", "closed"),
    [
        (codes.PERMISSION_DENIED, (1008, "permission denied")),
        (codes.BAD_REQUEST, (1008, "bad request")),
        (codes.INTERNAL, (1011, "internal server error")),
    ],
)
async def test_without_an_envelope_an_error_ends_the_connection(error: ErrorCode, closed: tuple[int, str]) -> None:
    node = await started()
    session, connection = begin(node, replace(BARE, actions={"$default": HookAction()}), RecordingHooks(error))
    session.on_text(b"x", NOW)
    assert connection.closed_by == DisconnectCode(*closed)
    assert node.counters.command_errors[error.code] == 1
    await node.stop()


async def test_a_moved_connection_is_told_of_a_restart() -> None:
    """The counters and the backend have the cause."""
    node = await started()
    hooks = RecordingHooks()
    _, connection = begin(node, replace(BARE, actions={"$disconnect": HookAction()}), hooks)
    Serving(node).close_all()
    assert connection.closed_by == DisconnectCode(1012, "service restart")
    assert (node.counters.disconnects[codes.SHUTDOWN.code], hooks.ends[0].code) == (1, 3001)
    _, connection = begin(node, BARE)
    await ServerApi(node).disconnect(Connections("", next(iter(node.sessions)).client), code=DisconnectCode(4001, "x"))
    assert connection.closed_by == DisconnectCode(4001, "x")
    await node.stop()


async def test_what_a_bare_route_does_not_tell_is_not_written() -> None:
    """Its client goes on without the channel."""
    node = await started()
    session, connection = begin(node, BARE)
    session.revoke("open:a")
    assert (connection.written, connection.closed_by, dict(session.subscriptions)) == ([], None, {})
    told, enveloped = begin(node, replace(ENVELOPE, subscribe=(parse_template("open:a"),)))
    told.revoke("open:a")
    assert documents(enveloped)[-1] == {"channel": "open:a", "unsubscribed": {"code": 2000, "reason": "unsubscribed"}}
    await node.stop()


async def test_pings_are_those_of_the_transport() -> None:
    node = await started()
    session, connection = begin(node, BARE)
    session.ping(0.0, 25.0, 8.0)
    assert (connection.written, session.awaits_pong) == ([b"ping"], True)
    session.on_pong()
    assert not session.awaits_pong
    await node.stop()


async def test_the_rate_of_connects_holds() -> None:
    node = make_node(namespaces=NAMESPACES, connects_per_second=1)
    await node.start()
    closed = [begin(node, BARE)[1].closed_by for _ in range(2)]
    assert closed == [None, codes.TOO_MANY_REQUESTS_DISCONNECT]
    await node.stop()


def test_envelopes_are_json() -> None:
    """What `documents` relies on."""
    assert json.loads(Envelope().done(b"1")) == {"id": 1}
