"""Handlers of CONNECT and of events: core's operations on behalf of sockets."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec import Raw, Struct

from realtime_server import codes
from realtime_server.codes import ErrorCode
from realtime_server.core.channels.join import Join, Wanted
from realtime_server.core.limits.limit import NodeLimits
from realtime_server.core.model.errors import BackplaneError, CommandError, DisconnectRequestedError
from realtime_server.core.model.grant import PLAIN
from realtime_server.core.model.publication import as_json
from realtime_server.core.model.values import StreamPosition
from realtime_server.core.node import Operations
from realtime_server.core.operations.ordered_joins import Absence, OrderedJoins
from realtime_server.core.operations.publishing import Publishing
from realtime_server.core.ports.backend import Connecting
from realtime_server.protocols.socket_io.attachments import attachments_in_base64, insert_attachments
from realtime_server.protocols.socket_io.namespace_codec import MESSAGE, PLACEHOLDER
from realtime_server.protocols.socket_io.own_answers import DONE, encode_joined
from realtime_server.protocols.socket_io.own_events import Since, bad_request, room_in, sequence_in, subscribe_options
from realtime_server.protocols.socket_io.packets import Packet, is_event
from realtime_server.protocols.socket_io.positions import returning_in
from realtime_server.socket_io.kept_rooms import KeptRooms
from realtime_server.socket_io.returning_sockets import ReturningSockets
from realtime_server.socket_io.room_reads import acknowledge_history, acknowledge_presence
from realtime_server.socket_io.socket_index import SocketIndex
from realtime_server.socket_io.socket_namespace import ClientEvent, is_socket_id
from realtime_server.socket_io.socket_session import QueuedEvent, SocketSession

NOWHERE = StreamPosition(0, "")
"""Position of a room of which the client is told none."""
ALLOWED = {
    ClientEvent.SUBSCRIBE: "join",
    ClientEvent.UNSUBSCRIBE: "leave",
    ClientEvent.PUBLISH: "publish in",
    ClientEvent.HISTORY: "read the history of",
    ClientEvent.PRESENCE: "see who is in",
}
"""Verbs of what the events do, for refusals."""
OTHER_SOCKET = "permission denied: the room is another socket, which clients may join by a token or the server API only"
COMES_BACK = frozenset({codes.INTERNAL, codes.TOO_MANY_REQUESTS})
"""Errors of a CONNECT that pass: the connection is closed, after which clients try again by themselves."""
_strings: msgspec.json.Decoder[str] = msgspec.json.Decoder(str)


class Auth(Struct):
    """Data of CONNECT as far as the server reads it."""

    token: str | None = None


_auths = msgspec.json.Decoder(Auth)


class SocketHandlers:
    """Handlers for all sockets of a worker: implements socket_session's SocketHandlers. `sockets` has the connected."""

    def __init__(self, operations: Operations, limits: NodeLimits, sockets: SocketIndex) -> None:
        self._operations = operations
        self._sockets = sockets
        recovery = operations.recovery
        self._returning = None if recovery is None else ReturningSockets(operations, recovery, limits)

    # CONNECT

    def connects_now(self, auth: bytes) -> bool:
        """See SocketHandlers."""
        entry = self._operations.entry
        return self._operations.immediate and not (entry.has_remote_keys and entry.lacks_key(_token_in(auth) or ""))

    async def connect(self, session: SocketSession, auth: bytes) -> None:
        """See SocketHandlers."""
        entry = self._operations.entry
        try:
            joins = await self._admit(session, auth)
        except CommandError as refused:
            entry.undo_admission(session)
            if refused.error in COMES_BACK:
                session.disconnect(codes.SERVER_ERROR)
            else:
                session.refuse(refused.error)
        except BackplaneError:
            entry.undo_admission(session)
            session.disconnect(codes.SERVER_ERROR)
        except DisconnectRequestedError as wanted:
            session.disconnect(wanted.code)
        else:
            if joins is None or session.closed:
                return
            session.welcome_client()
            self._sockets.add(session)
            if isinstance(joins, OrderedJoins):
                joins.begin()
            else:
                for join in joins:
                    join.complete()
            session.keep()
            self._operations.on_connected(session)

    async def _admit(self, session: SocketSession, auth: bytes) -> list[Join] | OrderedJoins | None:
        """Identify and admit a client, and prepare its rooms; None when it was disconnected meanwhile."""
        entry, subscriptions = self._operations.entry, self._operations.subscriptions
        token = _token_in(auth)
        if token is None:
            raise DisconnectRequestedError(codes.INVALID_TOKEN)
        if entry.has_remote_keys and entry.lacks_key(token):
            await entry.fetch_key(token)
        asked = returning_in(auth) if session.namespace.recovers else None
        if entry.limits_connects and not entry.has_capacity(resumes=asked is not None):
            raise CommandError(codes.TOO_MANY_REQUESTS)
        if entry.asks_backend(token):
            request = Connecting(session.caller(), auth, name="", version="", channels=())
            claims, _ = await entry.identify(session, request, token)
        else:
            claims = entry.authenticate(token)
        if session.closed or not entry.admit(session, claims):
            return None
        subscriptions.require_room(len(claims.channels))
        grants = claims.grants or {}
        wanted = {name: (Wanted(server_side=True), grants.get(name, PLAIN)) for name in claims.channels}
        if self._returning is not None and session.namespace.recovers:
            return await self._returning.join(session, asked, wanted)
        return await subscriptions.join_all(session, wanted, own=claims.channels)

    def on_end(self, session: SocketSession) -> None:
        """See SocketHandlers."""
        self._sockets.remove(session)

    # events

    async def handle(self, session: SocketSession, event: QueuedEvent) -> None:
        """See SocketHandlers."""
        packet = event.packet
        try:
            await self._handle(session, packet, event)
        except CommandError as refused:
            session.fail(packet.id, refused.error, refused.why or _why(session, packet, refused.error))
        except DisconnectRequestedError as wanted:
            session.disconnect(wanted.code)
        except BackplaneError:
            session.fail(packet.id, codes.INTERNAL)

    async def _handle(self, session: SocketSession, packet: Packet, event: QueuedEvent) -> None:
        own = session.namespace.client_events
        if packet.name not in own:
            await self._call(session, packet)
            return
        channel = session.namespace.channel_of(room_in(packet.name, packet.items()))
        match ClientEvent(packet.name):
            case ClientEvent.SUBSCRIBE:
                await self._subscribe(session, channel, event)
            case ClientEvent.UNSUBSCRIBE:
                await self._unsubscribe(session, channel)
                session.acknowledge(packet.id, DONE)
            case ClientEvent.PUBLISH:
                await _publish(self._operations.publishing, session, channel, packet)
                session.acknowledge(packet.id, DONE)
            case ClientEvent.HISTORY:
                await acknowledge_history(self._operations.reading, session, channel, packet)
            case ClientEvent.PRESENCE:
                await acknowledge_presence(self._operations.reading, session, channel, packet)

    async def _unsubscribe(self, session: SocketSession, channel: str) -> None:
        session.drop_subscription(channel)
        if session.kept is not None and not self._operations.immediate:
            await session.kept.stored()

    async def _subscribe(self, session: SocketSession, channel: str, event: QueuedEvent) -> None:
        packet = event.packet
        options = subscribe_options(packet.items())
        if not options.token:
            _refuse_other_socket(session, channel)
        wanted, absence = _asked(session, channel, options.since)
        if channel in event.revoked:
            raise CommandError(codes.PERMISSION_DENIED)
        if channel in session.subscriptions:
            session.acknowledge(packet.id, _joined(NOWHERE, options.since, recovered=False))
            return
        join = await self._operations.subscriptions.subscribe(
            session, channel, wanted, data=bytes(options.data), token=options.token
        )
        if join is None:
            return
        if session.kept is None:
            missed = session.encode_missed(join)
            session.acknowledge(packet.id, _joined(join.begins_at, options.since, recovered=join.result.recovered))
            for frames in missed:
                session.connection.write(frames)
            join.complete()
        else:
            answer = await self._enter(session, join, session.kept, event, options.since, absence)
            session.acknowledge(packet.id, answer)

    async def _enter(
        self,
        session: SocketSession,
        join: Join,
        kept: KeptRooms,
        event: QueuedEvent,
        since: Since | None,
        absence: Absence | None,
    ) -> bytes:
        """Begin a subscription in the order of the others, and have it survive this server; return its acknowledgement.

        Raises CommandError or BackplaneError.
        """
        joins = await self._operations.ordered.in_order(session, join, absence)
        if join.channel in event.revoked:
            joins.abandon()
            raise CommandError(codes.PERMISSION_DENIED)
        if join.channel in session.subscriptions:  # by the server meanwhile
            joins.abandon()
            return _joined(NOWHERE, since, recovered=False)
        for channel, position in joins.begun.items():
            kept.note_position(channel, position)
        for frames in session.encode_missed(join):  # of a channel that is not in the order
            session.connection.write(frames)
        if session.namespace.orders(join.channel):
            answer = _joined(joins.begun[join.channel], since, recovered=joins.recovered)
        else:
            answer = _joined(join.begins_at, since, recovered=join.result.recovered)
        joins.begin()
        if not self._operations.immediate and not await kept.stored() and not session.closed:
            session.drop_subscription(join.channel)
            raise BackplaneError("the rooms of the socket could not be stored")
        return answer

    async def _call(self, session: SocketSession, packet: Packet) -> None:
        """Have the backend handle an event; its answer has the arguments of the acknowledgement."""
        publishing = self._operations.publishing
        if not publishing.calls_backend:
            raise CommandError(codes.NOT_AVAILABLE, "the event is for the hook rpc, and there is none")
        answer = await publishing.call(session, packet.name, _arguments(packet))
        found = as_json(answer)
        if found is None:
            session.acknowledge(packet.id, b"[%b]" % PLACEHOLDER, (answer,))
        else:
            session.acknowledge(packet.id, found if found.lstrip().startswith(b"[") else b"[%b]" % found)


def _refuse_other_socket(session: SocketSession, channel: str) -> None:
    """Raise CommandError for the room that is another socket: what backends send to that one is for it alone."""
    room = session.namespace.room_of(channel)
    if room is not None and room != session.client and is_socket_id(room):
        raise CommandError(codes.PERMISSION_DENIED, OTHER_SOCKET)


async def _publish(publishing: Publishing, session: SocketSession, channel: str, packet: Packet) -> None:
    """Publish an event in a room. Binary data can only be the one argument of the event `message`."""
    content = packet.items()[2:]
    if not is_event(_array(content)):
        raise bad_request("the second argument of publish must be the name of an event, a string that is not reserved")
    is_message = len(content) == 2 and _strings.decode(content[0]) == MESSAGE
    if packet.attachments:
        whole = is_message and insert_attachments(bytes(content[1]), packet.attachments)
        if not isinstance(whole, bytes):
            raise bad_request("binary data can only be published as the one argument of the event message")
        await publishing.publish(session, channel, whole, binary=True)
    elif is_message and not is_event(bytes(content[1])):
        await publishing.publish(session, channel, bytes(content[1]), binary=False)
    else:
        await publishing.publish(session, channel, _array(content), binary=False)


def _token_in(auth: bytes) -> str | None:
    """Return the token in the data of CONNECT, "" for none; None when it is no string."""
    try:
        return (_auths.decode(auth).token or "") if auth else ""
    except ValueError:
        return None


def _asked(session: SocketSession, channel: str, since: Since | None) -> tuple[Wanted, Absence | None]:
    """Return what a client wants that was in a room before: by the stream of the room, or by the order of all rooms.

    Raises CommandError.
    """
    if since is None:
        return Wanted(), None
    if session.namespace.orders(channel):
        return Wanted(), Absence(sequence_in(since), {channel: since.stream})
    return Wanted(recover=True, offset=since.offset, epoch=since.epoch), None


def _joined(position: StreamPosition, since: Since | None, *, recovered: bool) -> bytes:
    """Return the acknowledgement of a join; it says whether everything was recovered if the client has asked for it."""
    return encode_joined(position, recovered=None if since is None else recovered)


def _why(session: SocketSession, packet: Packet, error: ErrorCode) -> str:
    """Return what a refusal of an event of the server's own means for the room, "" where the code says enough."""
    if packet.name not in session.namespace.client_events:
        return ""
    if error is codes.PERMISSION_DENIED:
        return f"permission denied: this client may not {ALLOWED[ClientEvent(packet.name)]} this room"
    if error is codes.NOT_AVAILABLE:
        return f"not available: the channel namespace of the room has no {packet.name}"
    if error is codes.LIMIT_EXCEEDED and packet.name == ClientEvent.SUBSCRIBE:
        return "limit exceeded: this client is in as many rooms as it may be"
    return ""


def _arguments(packet: Packet) -> bytes:
    """Return the arguments of an event as a JSON array; binary data as an object with base64."""
    return attachments_in_base64(_array(packet.items()[1:]), packet.attachments)


def _array(items: Sequence[Raw]) -> bytes:
    return b"[%b]" % b",".join(map(bytes, items))
