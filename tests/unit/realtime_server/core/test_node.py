"""Node of a worker: heartbeats, delivery, recovery, and the operations of the APIs."""

from __future__ import annotations

import asyncio
import time

import pytest

from realtime_server import codes
from realtime_server.backplane.memory import MemoryBroker
from realtime_server.core.channels.join import Wanted, is_complete
from realtime_server.core.control import messages as control
from realtime_server.core.control.peers import ANNOUNCE_SECONDS, FORGET_AFTER
from realtime_server.core.model.errors import CommandError, UnknownNodeError
from realtime_server.core.model.publication import Content
from realtime_server.core.model.pushes import Push
from realtime_server.core.model.values import HistoryPage, HistoryQuery, Publication, StreamPosition
from realtime_server.core.node import Node, Operations
from realtime_server.core.ports.api import Connections, Message
from realtime_server.core.ports.backend import TransportInfo
from realtime_server.core.ports.client import Connection
from realtime_server.core.server_api import ServerApi
from realtime_server.core.serving import Serving
from realtime_server.core.sessions.session import Session, SessionContext
from realtime_server.core.tasks import run_now
from realtime_server.protocols.centrifuge.protobuf_codec import ProtobufCodec
from tests.kit.server_doubles import SECRET, WIRE, Clock, RecordingConnection, accept, connected, make_node, send
from tests.kit.tokens import connection_token


async def settle() -> None:
    """Run all tasks until they wait."""
    for _ in range(20):
        await asyncio.sleep(0)


async def subscribed(node: Node, channel: str, token: str = "") -> RecordingConnection:
    """Return a connection that is subscribed to a channel."""
    session, connection = connected(node, token)
    send(session, {"id": 2, "subscribe": {"channel": channel}})
    await settle()
    connection.take()
    return connection


async def started(clock: Clock | None = None, wall_clock: Clock | None = None) -> Node:
    """Start a node with its backplane and periodic work."""
    node = make_node(clock=clock, wall_clock=wall_clock)
    await node.start()
    return node


# heartbeats


async def beat(node: Node) -> None:
    """Run the node's periodic work of one second."""
    await node._beat()


async def test_a_silent_client_is_pinged_and_then_closed() -> None:
    """The code is 3012 when no pong has arrived in time."""
    clock = Clock()
    node = make_node(clock=clock)
    _, connection = connected(node)
    clock.now += 26
    await beat(node)
    assert connection.take() == [{}]
    clock.now += 7.9
    await beat(node)
    assert connection.closed_by is None
    clock.now += 0.2
    await beat(node)
    assert connection.closed_by == codes.NO_PONG


async def test_a_client_that_takes_what_was_written_before_its_ping_is_alive() -> None:
    """Progress extends the time for its late pong; without progress the timeout applies, and there is one ping."""
    clock = Clock()
    node = make_node(clock=clock)
    session, connection = connected(node)
    connection.write(b'"%b"' % (b"x" * 1000))
    connection.behind = 1000
    clock.now += 26
    await beat(node)
    for _ in range(6):
        clock.now += 5
        connection.behind -= 100
        await beat(node)
    assert session in node.sessions
    clock.now += 3.1
    connection.behind -= 100
    await beat(node)
    assert connection.closed_by == codes.NO_PONG
    assert [reply for reply in connection.take() if reply == {}] == [{}]


async def test_a_client_that_sends_is_alive() -> None:
    """Its pong may arrive in another request, or wait behind a thousand commands."""
    clock = Clock()
    node = make_node(clock=clock)
    session, connection = connected(node)
    clock.now += 26
    await beat(node)
    clock.now += 7
    send(session, {"id": 2, "rpc": {}})
    clock.now += 7
    await beat(node)
    assert session in node.sessions
    clock.now += 2
    await beat(node)
    assert connection.closed_by == codes.NO_PONG


async def test_a_pong_keeps_the_connection() -> None:
    clock = Clock()
    node = make_node(clock=clock)
    session, connection = connected(node)
    clock.now += 26
    await beat(node)
    send(session, {})
    clock.now += 20
    await beat(node)
    assert connection.closed_by is None


async def test_pings_of_many_clients_are_spread() -> None:
    """Otherwise all of them would answer at the same moment."""
    node = make_node()
    due = {round(connected(node)[0].ping_at, 3) for _ in range(50)}
    assert len(due) > 40
    assert all(1000 + 12.5 <= at <= 1000 + 25 for at in due)


async def test_who_does_not_connect_is_closed() -> None:
    """The code is 3502."""
    clock = Clock()
    node = make_node(clock=clock)
    _, connection = accept(node)
    clock.now += node.settings.connect_seconds + 1
    await beat(node)
    assert connection.closed_by == codes.STALE


async def test_an_expired_token_ends_the_connection() -> None:
    """The code is 3005 after the leeway, since SDKs start to renew when the token expires."""
    wall = Clock(time.time())
    node = make_node(wall_clock=wall, expiry_leeway=5)
    token = connection_token(SECRET, "alice", lifetime=None, exp=int(wall.now) + 60)
    _, connection = connected(node, token)
    wall.now += 64
    await beat(node)
    assert connection.closed_by is None
    wall.now += 2
    await beat(node)
    assert connection.closed_by == codes.CONNECTION_EXPIRED


# delivery


async def test_a_publication_is_encoded_once_for_all() -> None:
    """Every subscriber gets the same bytes."""
    node = await started()
    connections = [await subscribed(node, "open:a") for _ in range(3)]
    await ServerApi(node).publish("open:a", Message(b'{"text":"hi"}', tags={"kind": "test"}))
    assert len({id(connection.written[0]) for connection in connections}) == 1
    assert connections[0].take() == [
        {"push": {"channel": "open:a", "pub": {"data": {"text": "hi"}, "tags": {"kind": "test"}}}}
    ]
    await node.stop()


async def test_data_with_line_feeds_stays_one_line() -> None:
    """A line feed would end the message."""
    node = await started()
    connection = await subscribed(node, "chat:a")
    await ServerApi(node).publish("chat:a", Message(b'{\n  "text": "a\\nb"\n}'))
    assert b"\n" not in connection.written[0]
    [push] = connection.take()
    assert isinstance(push, dict)
    assert push["push"]["pub"]["data"] == {"text": "a\nb"}
    await node.stop()


async def test_a_publication_without_history_has_no_offset() -> None:
    """It is delivered at once and cannot be recovered."""
    node = await started()
    connection = await subscribed(node, "chat:a")
    assert await ServerApi(node).publish("chat:a", Message(b"1", skip_history=True)) is None
    assert connection.take() == [{"push": {"channel": "chat:a", "pub": {"data": 1}}}]
    await node.stop()


# recovery

PUBLICATIONS = tuple(Publication(b"{}", offset) for offset in (4, 5, 6))
POSITION = StreamPosition(6, "e")


@pytest.mark.parametrize(
    ("offset", "epoch", "publications", "complete"),
    [
        (3, "e", PUBLICATIONS, True),
        (6, "e", (), True),
        (0, "", (), False),
        (2, "e", PUBLICATIONS, False),
        (5, "e", PUBLICATIONS[2:], True),
        (5, "x", PUBLICATIONS[2:], False),
        (7, "e", (), False),
        (3, "e", PUBLICATIONS[:2], False),
        (3, "", PUBLICATIONS, True),
    ],
    ids=["all kept", "nothing missed", "forgotten", "the first is gone", "one missed", "other epoch", "from the future",
         "the last is gone", "no epoch"],
)  # fmt: skip
def test_recovered_means_all_of_it(
    offset: int, epoch: str, publications: tuple[Publication, ...], complete: bool
) -> None:
    """A part of what was missed is no recovery."""
    wanted = Wanted(recover=True, offset=offset, epoch=epoch)
    assert is_complete(HistoryPage(publications, POSITION), wanted) is complete


async def test_a_recovery_is_counted_by_its_outcome() -> None:
    """An alert can tell when clients lose publications."""
    node = await started()
    await subscribed(node, "chat:a")
    for number in range(12):
        await ServerApi(node).publish("chat:a", Message(b"%d" % number))
    for offset in (5, 1):
        session, _ = connected(node)
        wanted = {"channel": "chat:a", "recover": True, "offset": offset, "epoch": ""}
        send(session, {"id": 2, "subscribe": wanted})
        await settle()
    assert dict(node.counters.recoveries) == {True: 1, False: 1}
    await node.stop()


# the API


async def test_a_user_is_disconnected_everywhere() -> None:
    """The call is about all connections of a user or one of them, with the caller's code."""
    node = await started()
    one, first = connected(node, connection_token(SECRET, "alice"))
    _, second = connected(node, connection_token(SECRET, "alice"))
    _, other = connected(node, connection_token(SECRET, "bob"))
    await ServerApi(node).disconnect(Connections("alice", one.client))
    assert (first.closed_by, second.closed_by) == (codes.FORCE_DISCONNECT, None)
    await ServerApi(node).disconnect(Connections("alice"), code=codes.DisconnectCode(4500, "banned"))
    assert second.closed_by == codes.DisconnectCode(4500, "banned")
    assert other.closed_by is None
    await node.stop()


async def test_a_message_is_sent_to_connections() -> None:
    """To all of a user, or to one by its id alone, also of an anonymous client; raw bytes are base64 in JSON."""
    node = await started()
    one, first = connected(node, connection_token(SECRET, "alice"))
    _, second = connected(node, connection_token(SECRET, "alice"))
    anonymous, other = connected(node)
    for connection in (first, second, other):
        connection.take()
    api = ServerApi(node)
    await api.send(Connections("alice"), Message(b'{"a":\n1}'))
    await api.send(Connections("", one.client), Message(b"\xff", binary=True))
    await api.send(Connections("bob", one.client), Message(b"1"))
    await api.send(Connections("", anonymous.client), Message(b"2"))
    await api.send(Connections("", "unknown"), Message(b"3"))
    assert first.take() == [{"push": {"message": {"data": {"a": 1}}}}, {"push": {"message": {"data": "/w=="}}}]
    assert second.take() == [{"push": {"message": {"data": {"a": 1}}}}]
    assert other.take() == [{"push": {"message": {"data": 2}}}]
    await api.disconnect(Connections("", anonymous.client))
    assert (other.closed_by, first.closed_by) == (codes.FORCE_DISCONNECT, None)
    await node.stop()


async def test_a_message_waits_for_the_connect_reply() -> None:
    """A client does not understand an earlier push; one that never connects gets none."""
    node = await started()
    session, connection = accept(node)
    await ServerApi(node).send(Connections("", session.client), Message(b"1"))
    await settle()
    assert connection.written == []
    send(session, {"id": 1, "connect": {}})
    await settle()
    assert [list(document) for document in connection.take() if isinstance(document, dict)] == [
        ["id", "connect"],
        ["push"],
    ]
    gone, nothing = accept(node)
    await ServerApi(node).send(Connections("", gone.client), Message(b"1"))
    gone.disconnect(codes.STALE)
    await settle()
    assert nothing.written == []
    await node.stop()


async def test_a_disconnect_always_has_a_reason_in_words() -> None:
    """SDKs reconnect after a final code without a reason, and decide by a reason that is JSON."""
    node = await started()
    session, connection = connected(node, connection_token(SECRET, "alice"))
    for reason in ("12", "{}", '{"reconnect": true}', "null"):
        with pytest.raises(CommandError) as caught:
            await ServerApi(node).disconnect(Connections("alice"), code=codes.DisconnectCode(3503, reason))
        assert caught.value.error == codes.BAD_REQUEST
        assert "disconnect.reason" in caught.value.why
        assert not session.is_closed()
    await ServerApi(node).disconnect(Connections("alice"), code=codes.DisconnectCode(3503, ""))
    assert connection.closed_by == codes.FORCE_DISCONNECT
    await node.stop()


async def test_the_api_finds_an_emulated_connection_by_what_it_was_told() -> None:
    """The id and the session are accepted; both given, they must be of the same connection."""
    node = await started()
    alice = connection_token(SECRET, "alice")
    one, (other, _) = node.accept(RecordingConnection(), WIRE, emulated=True), connected(node, alice)
    send(one, {"id": 1, "connect": {"token": alice}})
    api = ServerApi(node)
    for wrong in (Connections("alice", other.client, one.secret), Connections("bob", "", one.secret)):
        await api.disconnect(wrong)
        assert (one.closed, other.closed) == (False, False)
    await api.disconnect(Connections("alice", one.client, one.secret))
    assert (one.is_closed(), other.closed) == (True, False)
    await api.disconnect(Connections("alice", session=other.client))
    assert other.is_closed()
    await node.stop()


async def test_a_user_is_unsubscribed() -> None:
    """The client is told, with a code after which the SDK does not subscribe again."""
    node = await started()
    connection = await subscribed(node, "open:a", connection_token(SECRET, "alice"))
    await ServerApi(node).unsubscribe(Connections("alice"), "open:a")
    assert connection.take() == [
        {"push": {"channel": "open:a", "unsubscribe": {"code": 2000, "reason": "unsubscribed"}}}
    ]
    await ServerApi(node).publish("open:a", Message(b"1"))
    assert connection.take() == []
    await node.stop()


async def test_a_worker_that_is_silent_is_forgotten() -> None:
    """`info` lists living workers: this one first, the others by id."""
    clock = Clock()
    broker = MemoryBroker(clock=clock)
    node = make_node(broker, clock=clock)
    await node.start()
    other = make_node(broker, clock=clock)
    await other._announce()
    assert [info.uid for info in await ServerApi(node).info()] == [node.uid, other.uid]
    clock.now += ANNOUNCE_SECONDS * FORGET_AFTER + 1
    assert [info.uid for info in await ServerApi(node).info()] == [node.uid]
    await node.stop()


@pytest.mark.parametrize("channel", ["other:a", ""])
async def test_the_api_refuses_unknown_channels(channel: str) -> None:
    """The error is 102."""
    node = make_node()
    for call in (
        ServerApi(node).publish(channel, Message(b"1")),
        ServerApi(node).presence(channel),
        ServerApi(node).history(channel, HistoryQuery(0)),
    ):
        with pytest.raises(CommandError) as caught:
            await call
        assert caught.value.error == codes.UNKNOWN_CHANNEL


async def test_the_api_tells_what_a_channel_has_not() -> None:
    """The error is 108."""
    node = make_node()
    for call in (
        ServerApi(node).presence("open:a"),
        ServerApi(node).presence_stats("open:a"),
        ServerApi(node).history("open:a", HistoryQuery(0)),
    ):
        with pytest.raises(CommandError) as caught:
            await call
        assert caught.value.error == codes.NOT_AVAILABLE


async def test_a_position_of_another_epoch_cannot_be_read_from() -> None:
    """The error is 112."""
    node = await started()
    await ServerApi(node).publish("chat:a", Message(b"1"))
    with pytest.raises(CommandError) as caught:
        await ServerApi(node).history("chat:a", HistoryQuery(-1, StreamPosition(0, "gone")))
    assert caught.value.error == codes.UNRECOVERABLE_POSITION
    await node.stop()


# emulated sessions


def emulated(node: Node) -> tuple[Session, RecordingConnection]:
    """Return an emulated session that is admitted."""
    connection = RecordingConnection()
    session = node.accept(connection, WIRE, emulated=True)
    send(session, {"id": 1, "connect": {}})
    return session, connection


def test_an_emulated_client_is_told_where_its_commands_go() -> None:
    """The secret differs from the id, which presence shows to others."""
    node = make_node()
    session, connection = emulated(node)
    [reply] = connection.take()
    assert isinstance(reply, dict)
    assert reply["connect"]["node"] == node.uid
    assert reply["connect"]["session"] == session.secret
    assert session.secret not in ("", session.client)


async def test_its_commands_are_taken_by_its_secret_alone() -> None:
    """Commands with the id, another secret, or none are ignored."""
    node = make_node()
    session, connection = emulated(node)
    accept(node)
    connection.take()
    for session_id in (session.client, "", "other"):
        await node.emulate(node.uid, session_id, b'{"id":2,"rpc":{}}')
    assert connection.take() == []
    await node.emulate(node.uid, session.secret, b'{"id":2,"rpc":{}}')
    assert len(connection.take()) == 1


async def test_a_session_that_is_gone_takes_nothing() -> None:
    node = make_node()
    session, connection = emulated(node)
    session.disconnect(codes.FORCE_RECONNECT)
    connection.take()
    await node.emulate(node.uid, session.secret, b'{"id":2,"rpc":{}}')
    assert connection.take() == []


async def test_commands_for_another_worker_go_to_it() -> None:
    """They are sent through the backplane, addressed to the worker."""
    clock = Clock()
    broker = MemoryBroker(clock=clock)
    here, there = make_node(broker, clock=clock), make_node(broker, clock=clock)
    await there.start()
    session, connection = emulated(there)
    connection.take()
    await here.emulate(there.uid, session.secret, b'{"id":2,"rpc":{}}')
    await settle()
    assert len(connection.take()) == 1
    await there.stop()


async def test_a_worker_that_does_not_live_is_told() -> None:
    """The error is raised once this worker has listened long enough to know all living ones."""
    clock = Clock()
    node = make_node(clock=clock)
    await node.start()
    await node.emulate("unknown", "secret", b"{}")
    clock.now += ANNOUNCE_SECONDS * FORGET_AFTER + 1
    with pytest.raises(UnknownNodeError):
        await node.emulate("unknown", "secret", b"{}")
    node.on_control(control.encode(control.Announce("unknown", "b", "0", 0, 0, 0, 0)))
    await node.emulate("unknown", "secret", b"{}")
    clock.now += ANNOUNCE_SECONDS * FORGET_AFTER + 1
    with pytest.raises(UnknownNodeError):
        await node.emulate("unknown", "secret", b"{}")
    await node.stop()


class AddressedBroker(MemoryBroker):
    """Broker that records the control messages for other workers."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[tuple[control.Message | None, str]] = []

    async def publish_control(self, message: bytes, node: str = "") -> None:
        """Record a message."""
        self.sent.append((control.decode(message), node))


async def test_a_worker_announces_itself_to_a_new_one_at_once() -> None:
    """So that the new one asks it from the beginning; once, not for each announcement, and not to itself."""
    broker = AddressedBroker()
    node = make_node(broker)
    await node.start()
    await settle()
    [(own, to)] = broker.sent
    assert (isinstance(own, control.Announce), to) == (True, "")
    assert own is not None
    for message in (own, control.Announce("new", "b", "0", 0, 0, 0, 0), control.Announce("new", "b", "0", 1, 0, 0, 0)):
        node.on_control(control.encode(message))
    await settle()
    assert broker.sent[1:] == [(own, "new")]
    await node.stop()


# other client protocols


class LineCodec:
    """Codec of a protocol in lines; its client subscribes by the name of a channel."""

    binary = native_pings = unidirectional = False

    def publication(self, channel: str, content: Content, offset: int) -> bytes:
        """Return channel, offset and data."""
        return b"%b %d %b" % (channel.encode(), offset, content.data)

    def delta_publication(self, channel: str, content: Content, offset: int, patch: bytes | None) -> bytes:
        """Return the full publication."""
        del patch
        return self.publication(channel, content, offset)

    def push(self, channel: str, push: Push) -> bytes:
        """Return the kind of the push."""
        return f"{channel} {type(push).__name__}".encode()

    def ping(self) -> bytes:
        """Return a question mark."""
        return b"?"


class LineSession(Session):
    """Session of that protocol: no commands, no replies."""

    def __init__(self, operations: Operations, context: SessionContext, connection: Connection, client: str) -> None:
        super().__init__(context, connection, LineCodec(), client, TransportInfo("lines"))
        self._operations = operations

    def on_text(self, payload: bytes, now: float) -> None:
        """Admit the client with its first message, and subscribe to the channel that it names."""
        del now
        if self.claims is None:
            self._operations.entry.admit(self, self._operations.entry.authenticate(""))
            self.mark_welcome()
        made = self._operations.subscriptions.subscribe(self, payload.decode(), Wanted(), data=b"", token="")
        join = run_now(made)
        assert join is not None
        join.complete()

    def on_binary(self, payload: bytes, now: float) -> None:
        """Disconnect the client, because there are none in this protocol."""
        del payload, now
        self.disconnect(codes.INAPPROPRIATE_PROTOCOL)

    def on_control(self, now: float) -> None:
        """Ignore it."""


async def test_a_client_protocol_needs_a_codec_a_session_and_nothing_in_core() -> None:
    """Its client shares channels with those of the other protocol, and is pinged and unsubscribed as they are."""
    clock = Clock()
    node = await started(clock)
    connection = RecordingConnection()
    session = node.open(lambda context, client, _secret: LineSession(node.operations, context, connection, client))
    session.on_text(b"open:a", clock())
    other = await subscribed(node, "open:a")
    await ServerApi(node).publish("open:a", Message(b"1"))
    await settle()
    assert connection.written == [b"open:a 0 1"]
    assert other.take() == [{"push": {"channel": "open:a", "pub": {"data": 1}}}]
    clock.now += 26
    await beat(node)
    session.revoke("open:a")
    assert connection.written[1:] == [b"?", b"open:a UnsubscribePush"]
    Serving(node).close_all()
    assert connection.closed_by == codes.SHUTDOWN
    await node.stop()


async def test_text_is_refused_where_all_messages_are_binary() -> None:
    """Whoever sends Protobuf as text would have it changed on the way; JSON may come in either kind."""
    node = await started(Clock())
    refused, taken = RecordingConnection(), RecordingConnection()
    node.accept(refused, ProtobufCodec(bytes)).on_text(b"", 0)
    assert refused.closed_by == codes.INAPPROPRIATE_PROTOCOL
    session = node.accept(taken, WIRE)
    session.on_binary(b'{"id":1,"connect":{}}', 0)
    await settle()
    session.on_text(b'{"id":2,"subscribe":{"channel":"open:a"}}', 0)
    await settle()
    assert len(taken.take()) == 2
    assert taken.closed_by is None
    await node.stop()
