"""Session of one socket: a client's connection to one namespace, with its own claims and rooms."""

from __future__ import annotations

import math
from collections import deque
from typing import Protocol

import msgspec

from realtime_server import codes
from realtime_server.codes import DisconnectCode, ErrorCode
from realtime_server.core.auth.claims import Claims
from realtime_server.core.limits.limit import Limit
from realtime_server.core.model.pushes import Push, SubscribePush
from realtime_server.core.model.subscription import Subscription
from realtime_server.core.model.values import StreamPosition
from realtime_server.core.ports.backend import TransportInfo
from realtime_server.core.ports.client import Connection
from realtime_server.core.sessions.queueing_session import QueueingSession
from realtime_server.core.sessions.session import SessionContext
from realtime_server.protocols.socket_io.packets import Packet, PacketType
from realtime_server.socket_io.ack_collection import AckCollection
from realtime_server.socket_io.kept_rooms import KeptRooms
from realtime_server.socket_io.socket_namespace import SocketNamespace


class QueuedEvent:
    """Event that waits; `size` in bytes, `revoked`: channels that the server unsubscribed meanwhile."""

    __slots__ = ("packet", "revoked", "size")

    def __init__(self, packet: Packet, size: int) -> None:
        self.packet = packet
        self.size = size
        self.revoked: set[str] = set()


class SocketHandlers(Protocol):
    """Handlers of what a socket receives."""

    def connects_now(self, auth: bytes) -> bool:
        """Return True when `connect` will not wait."""

    async def connect(self, session: SocketSession, auth: bytes) -> None:
        """Admit or refuse the client, whose CONNECT has this data."""

    async def handle(self, session: SocketSession, event: QueuedEvent) -> None:
        """Handle an event, and acknowledge it if the client asks for that."""

    def on_end(self, session: SocketSession) -> None:
        """Handle the end of a session; called once, before its rooms are left."""


class SharedConnection(Connection, Protocol):
    """Connection of a socket, which it shares with others."""

    @property
    def transport_name(self) -> str:
        """Name of the current transport, which an upgrade changes."""

    def disconnect_all(self, code: DisconnectCode) -> None:
        """Disconnect all sockets that share it, each with this code."""


class SocketSession(QueueingSession[QueuedEvent]):
    """Session of one socket. Its heartbeat and its rate are those of the connection, which all its sockets share.

    `kept`: its state, from which it may go on elsewhere; None where the namespace does not recover.
    """

    __slots__ = ("_auth", "_awaited", "_handlers", "_refused", "_shared", "kept", "namespace")

    def __init__(
        self,
        handlers: SocketHandlers,
        context: SessionContext,
        connection: SharedConnection,
        namespace: SocketNamespace,
        client: str,
        transport: TransportInfo,
    ) -> None:
        super().__init__(context, connection, namespace.codec, client, transport)
        self.namespace = namespace
        self.kept: KeptRooms | None = None
        self._handlers = handlers
        self._shared = connection
        self._refused = False
        self._auth: bytes | None = None
        """Data of a CONNECT that is to be handled first."""
        self._awaited: dict[int, AckCollection] | None = None
        """Acknowledgements that are awaited, by their ids."""

    # what the client sends

    def connect(self, auth: bytes) -> None:
        """Handle CONNECT with this data. Call it once, first."""
        if self._handlers.connects_now(auth):
            self._run_now(self._handlers.connect(self, auth))
        else:
            self._auth = auth
            self._start_worker()

    def on_event(self, packet: Packet, size: int) -> None:
        """Handle an event of `size` bytes; call it after `mark_welcome`. Never raises."""
        if self.closed:
            return
        if size > self._context.limits.message_bytes:
            self._context.counters.limits[Limit.MESSAGE_BYTES] += 1
            most = self._context.limits.message_bytes
            self.fail(packet.id, codes.LIMIT_EXCEEDED, f"limit exceeded: an event may have {most} bytes")
            return
        event = QueuedEvent(packet, size)
        if self._queue is None and self._context.immediate:
            self._run_now(self._handlers.handle(self, event))
        else:
            self._enqueue(event, self._context.clock())

    def await_ack(self, number: int, collection: AckCollection) -> None:
        """Pass on the acknowledgement with this id, or the end of the socket, until `drop_ack`."""
        self._awaited = self._awaited or {}
        self._awaited[number] = collection

    def drop_ack(self, number: int) -> None:
        """Ignore the acknowledgement with this id from now on. Idempotent."""
        if self._awaited is not None:
            self._awaited.pop(number, None)

    def on_ack(self, packet: Packet, size: int) -> None:
        """Handle an acknowledgement of `size` bytes; one that nobody waits for, or no longer, is ignored."""
        collection = None if self._awaited is None or packet.id is None else self._awaited.pop(packet.id, None)
        if collection is None:
            return
        fits = size <= self._context.limits.message_bytes
        self._context.counters.limits[Limit.MESSAGE_BYTES] += not fits
        collection.take(self.client, packet if fits else None)

    def on_text(self, payload: bytes, now: float) -> None:
        """See Session; never called: the connection decodes messages, and passes on packets."""

    def on_binary(self, payload: bytes, now: float) -> None:
        """See `on_text`."""

    def on_control(self, now: float) -> None:
        """See `on_text`."""

    async def _process(self, queue: deque[QueuedEvent]) -> None:
        """See QueueingSession; handles CONNECT before."""
        auth, self._auth = self._auth, None
        if auth is not None:
            await self._handlers.connect(self, auth)
        while queue and not self.closed:
            await self._handlers.handle(self, queue[0])
            self._remove_first(queue)

    def _charge(self, now: float) -> None:
        """See Session: the connection counts the messages of all its sockets."""

    # who the client is

    @property
    def begun(self) -> bool:
        """See Session: it is opened by CONNECT."""
        return not self._refused

    def admit(self, claims: Claims, ping_at: float) -> None:
        """See Session; the connection pings."""
        del ping_at
        super().admit(claims, math.inf)

    # what the client gets

    def acknowledge(self, number: int | None, data: bytes, attachments: tuple[bytes, ...] = ()) -> None:
        """Acknowledge an event with the elements of an array, unless the client does not ask for that (None)."""
        if number is None or self.closed:
            return
        packet = Packet(PacketType.ACK, self.namespace.name, number, data, attachments)
        frames = self.namespace.codec.packet(packet)
        if len(frames) > self._context.limits.reply_bytes:
            self._context.counters.limits[Limit.REPLY_BYTES] += 1
            most = self._context.limits.reply_bytes
            self.fail(number, codes.LIMIT_EXCEEDED, f"limit exceeded: an acknowledgement may have {most} bytes")
        else:
            self.connection.write(frames)

    def fail(self, number: int | None, error: ErrorCode, why: str = "") -> None:
        """Acknowledge an event with an error, and count it; `why`: what was wrong, and what would be right."""
        self._context.counters.command_errors[error.code] += 1
        document = [{"error": {"code": error.code, "message": why or error.message}}]
        self.acknowledge(number, msgspec.json.encode(document))

    def welcome_client(self) -> None:
        """Tell the client that it is connected, and its id, and its private one if it recovers; events may follow."""
        kept = self.kept
        self._write_packet(
            PacketType.CONNECT, {"sid": self.client} if kept is None else {"sid": self.client, "pid": kept.pid}
        )
        self.mark_welcome()

    def refuse(self, error: ErrorCode) -> None:
        """Refuse the client, which does not come back by itself; end the session."""
        if self.closed:
            return
        self._context.counters.command_errors[error.code] += 1
        self.note_unanswered(error.code)
        self._refused = True
        self.say_end(error.code, error.message)
        self.on_closed(codes.STALE)  # it is counted by the error's code

    def say_end(self, code: int, reason: str) -> None:
        """Tell the client that this socket ends for good: it is refused, or disconnected if it was connected."""
        if self.welcome:
            self._write_packet(PacketType.DISCONNECT, None)
        else:
            self._write_packet(PacketType.CONNECT_ERROR, {"message": reason, "data": {"code": code}})

    def _write_packet(self, kind: PacketType, document: object) -> None:
        data = b"" if document is None else msgspec.json.encode(document)
        self.connection.write(self.namespace.codec.packet(Packet(kind, self.namespace.name, data=data)))

    # subscriptions

    def prepare_state(self, kept: KeptRooms) -> None:
        """Set the state that is kept once the client is connected; before that."""
        self.kept = kept

    def keep(self) -> None:
        """Have the state kept from now on, if the namespace recovers."""
        if self.kept is not None and not self.closed:
            self.kept.keep(lambda: self.disconnect(codes.STALE))

    def push(self, channel: str, push: Push) -> None:
        """See Session; what the server subscribes it to is kept too."""
        if self.kept is not None and isinstance(push, SubscribePush):
            self.kept.note_position(channel, StreamPosition(push.offset, push.epoch))
        frames = self.codec.push(channel, push)
        if frames and not self.closed:
            self.connection.write(frames)

    def begin_subscription(self, subscription: Subscription) -> bool:
        """See Subscriber."""
        begun = super().begin_subscription(subscription)
        if begun and self.kept is not None:
            self.kept.enter(subscription.channel)
        return begun

    def drop_subscription(self, channel: str) -> None:
        """See Session."""
        super().drop_subscription(channel)
        if self.kept is not None:
            self.kept.leave(channel)

    def forget(self) -> None:
        """Have the state removed: the socket does not come back."""
        if self.kept is not None:
            self.kept.forget()

    def revoke(self, channel: str) -> None:
        """See Session; also for events that wait."""
        for event in self._queue or ():
            event.revoked.add(channel)
        super().revoke(channel)

    def _resubscribes(self, subscription: Subscription) -> bool:
        """See Session: the protocol does not tell a client that it has left a room, only that it is disconnected."""
        del subscription
        return False

    # the end

    @property
    def transport_name(self) -> str:
        """Name of the current transport of its connection."""
        return self._shared.transport_name

    def disconnect_all(self, code: DisconnectCode) -> None:
        """Disconnect all sockets of its connection, see `disconnect`."""
        self._shared.disconnect_all(code)

    def on_closed(self, code: DisconnectCode = codes.CONNECTION_CLOSED) -> None:
        """See Session."""
        if not self.closed:
            self._handlers.on_end(self)
            for collection in (self._awaited or {}).values():
                collection.give_up(self.client)
            self._awaited = None
            if self.kept is not None:
                self.kept.release()  # before its rooms are left
        super().on_closed(code)
