"""Engine.IO connection of one client: its transport, its heartbeat, the upgrade, and the sockets that share them."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from realtime_server import codes
from realtime_server.codes import DisconnectCode
from realtime_server.core.limits.limit import Limit
from realtime_server.core.limits.rates import PACE_SECONDS, MessageRate
from realtime_server.core.node import Node
from realtime_server.core.ports.backend import TransportInfo
from realtime_server.core.ports.client import Connection
from realtime_server.core.sessions.liveness import AwaitedPong
from realtime_server.core.sessions.session import Session, SessionContext
from realtime_server.protocols.socket_io.engine_packets import (
    EnginePacket,
    EngineType,
    Opened,
    decode_binary,
    decode_payload,
    decode_text,
)
from realtime_server.protocols.socket_io.engine_requests import Answer, TransportName
from realtime_server.protocols.socket_io.engine_session import WITHOUT_POLLING, EngineEnd, EngineSession, Reply, Stage
from realtime_server.protocols.socket_io.errors import SocketIoError
from realtime_server.protocols.socket_io.namespace_codec import Framing
from realtime_server.protocols.socket_io.packets import Packet, PacketDecoder, PacketLimits, PacketType, encode_packet
from realtime_server.socket_io.polling_wire import CONGESTED_BYTES, PollingFlusher, PollingWire
from realtime_server.socket_io.socket_namespace import SocketNamespace, socket_id
from realtime_server.socket_io.socket_session import SocketHandlers, SocketSession

CONNECT_SECONDS = 45.0
"""Time limit for a connection without a socket, the reference's `connectTimeout`."""
UPGRADE_SECONDS = 10.0
"""Time limit of an upgrade, the reference's `upgradeTimeout`."""
FORWARDED_BYTES = 256
"""Size of the answer to a forwarded request besides its body."""
_CLOSED = Stage.CLOSED
"""Member of Stage, because looking it up takes longer than comparing it."""
_PING = EnginePacket(EngineType.PING)
_CODES = {
    EngineEnd.PARSE_ERROR: codes.BAD_REQUEST_DISCONNECT,
    EngineEnd.PING_TIMEOUT: codes.NO_PONG,
}
"""Codes by which the ends are counted; those of the client are 3000, as for every protocol."""


def is_final(code: DisconnectCode) -> bool:
    """Return True when a socket ends for good: its client is told, and does not come back by itself.

    Any other end closes the connection, because clients come back after that alone.
    """
    return code == codes.TOKEN_REVOKED or (not code.reconnect and code != codes.STALE)


@dataclass(frozen=True, slots=True)
class EngineContext:
    """State shared by all connections of a worker; times in seconds."""

    node: Node
    namespaces: Mapping[str, SocketNamespace]
    handlers: SocketHandlers
    framing: Framing
    flusher: PollingFlusher
    rate: MessageRate
    ping_interval: float
    ping_timeout: float
    on_closed: Callable[[EngineConnection], None]


def _ignore(frames: bytes) -> None:
    """Drop what is written to a socket that has ended."""
    del frames


class SocketView:
    """Connection of one socket: a view of the connection that it shares with others. Implements SharedConnection."""

    __slots__ = ("_closed", "_shared", "session", "write")

    write: Callable[[bytes], None]
    """See Connection. It is the transport's own, because a publication calls it for every socket."""

    def __init__(self, shared: EngineConnection) -> None:
        self._shared = shared
        self._closed = False
        self.session: SocketSession | None = None
        self.write = shared.wire.write

    def follow(self, wire: Connection) -> None:
        """Go on with another transport."""
        if not self._closed:
            self.write = wire.write

    def close(self, code: DisconnectCode) -> None:
        """See Connection. With a final code it ends this socket alone, see `is_final`."""
        if self._closed:
            return
        if is_final(code) and self.session is not None:
            self.session.forget()
            self.session.say_end(code.code, code.reason)
            self._end()
        else:
            self._end()
            self._shared.close(code, but=self.session)

    def _end(self) -> None:
        self._closed = True
        self.write = _ignore

    @property
    def transport_name(self) -> str:
        """See SharedConnection."""
        return self._shared.transport

    def disconnect_all(self, code: DisconnectCode) -> None:
        """See SharedConnection."""
        self._shared.disconnect_sockets(code)

    @property
    def congested(self) -> bool:
        """See Connection."""
        return self._shared.wire.congested

    def unsent(self) -> int:
        """See Connection."""
        return self._shared.wire.unsent()

    @property
    def written_bytes(self) -> int:
        """See Connection; those of all sockets of the connection."""
        return self._shared.written_bytes

    def unacknowledged(self) -> int:
        """See Connection."""
        return self._shared.wire.unacknowledged()

    def pause_reading(self) -> None:
        """See Connection; it pauses all sockets of the connection."""
        self._shared.pause(self)

    def resume_reading(self) -> None:
        """See Connection."""
        self._shared.resume(self)


class EngineConnection:
    """Connection of one client, which begins with polling (`wire` is None) or with a WebSocket.

    `sid` is its id and its secret: it names the worker that has it, as the client sends no other hint with a request.
    """

    def __init__(self, context: EngineContext, wire: Connection | None, info: TransportInfo) -> None:
        node = context.node
        limits = node.settings.limits
        self._context = context
        self._info = info
        self.sid = f"{node.uid}.{secrets.token_hex(16)}"
        name = TransportName.POLLING if wire is None else TransportName.WEBSOCKET
        self._engine = EngineSession(
            name,
            limits.frame_bytes,
            self._take,
            self._on_end,
            max_polled=node.asks.answer_bytes - FORWARDED_BYTES,
        )
        self.wire: Connection = wire or PollingWire(
            self._engine, context.flusher, limits.outbox_bytes, lambda: self.close(codes.SLOW)
        )
        self._decoder = PacketDecoder(PacketLimits(limits.frame_bytes))
        self._sockets: dict[str, SocketSession] = {}
        """Sockets by namespace; ended ones stay until the client connects to their namespace again."""
        self._views: dict[str, SocketView] = {}
        self._probing: Connection | None = None
        self._written_before = 0
        self._code: DisconnectCode | None = None
        self._but: Session | None = None
        now = node.clock()
        self._ping_at = now + context.ping_interval
        self._pong: AwaitedPong | None = None
        self._idle_since = now
        self._deadline = 0.0
        """End of the upgrade, or of the time in which a polling client may learn that the connection is closed."""
        self._used_until = 0.0
        self._pausing: set[object] = set()
        self._resumed: asyncio.Event | None = None

    # what it is

    @property
    def transport(self) -> TransportName:
        """Transport that requests for it must name."""
        return self._engine.transport

    @property
    def polls(self) -> bool:
        """True while polls are answered, see EngineSession."""
        return self._engine.stage not in WITHOUT_POLLING

    @property
    def is_open(self) -> bool:
        """True until either side closes it."""
        return self._engine.is_open

    @property
    def admitted(self) -> bool:
        """True when one of its sockets is admitted."""
        return any(session.claims is not None for session in self._sockets.values())

    @property
    def written_bytes(self) -> int:
        """Number of bytes written since the beginning, by every transport."""
        return self._written_before + self.wire.written_bytes

    def opened(self) -> EnginePacket:
        """Return the packet with which it opens."""
        context = self._context
        return Opened(
            self.sid,
            ("websocket",) if self.transport is TransportName.POLLING else (),
            round(context.ping_interval * 1000),
            round(context.ping_timeout * 1000),
            context.node.settings.limits.frame_bytes,
        ).packet()

    # polling

    def poll(self, reply: Reply) -> None:
        """Handle a GET, see EngineSession."""
        engine = self._engine
        waiting = engine.waiting_bytes
        engine.poll(reply)
        if waiting > CONGESTED_BYTES >= engine.waiting_bytes:
            self.on_writable()
        if engine.stage is _CLOSED:
            self._context.on_closed(self)

    def poll_once(self) -> asyncio.Future[Answer]:
        """Handle a GET; return its answer to come. Whoever cancels that, or sets it, must `lose` the connection."""
        answered: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

        def reply(answer: Answer) -> None:
            if not answered.done():
                answered.set_result(answer)

        self.poll(reply)
        return answered

    def begin_data(self, content_type: str) -> Answer | None:
        """Handle the head of a POST, see EngineSession."""
        return self._engine.begin_data(content_type)

    def take_data(self, body: bytes) -> Answer:
        """Handle the body of a POST, see EngineSession."""
        return self._engine.take_data(body)

    async def readable(self) -> None:
        """Wait until the client may go on: it has not exceeded its rate, and not too many of its events wait."""
        while self._pausing and self.is_open:
            self._resumed = self._resumed or asyncio.Event()
            await self._resumed.wait()

    def lose(self) -> None:
        """Handle the loss of the transport, or of a request that was not complete or not answered."""
        self._engine.lose()
        self._forget_closed()

    # a WebSocket

    def take_text(self, payload: bytes) -> None:
        """Handle a text message of its WebSocket."""
        try:
            self._engine.receive(decode_text(payload))
        except SocketIoError as error:
            self._break(error)

    def take_binary(self, payload: bytes) -> None:
        """Handle a binary message of its WebSocket."""
        self._engine.receive(decode_binary(payload))

    def begin_upgrade(self, wire: Connection) -> bool:
        """Handle a WebSocket that is to take over; return False when it is to be closed, see EngineSession."""
        if not self._engine.begin_upgrade():
            return False
        self._probing = wire
        self._deadline = self._context.node.clock() + UPGRADE_SECONDS
        return True

    def take_probe(self, wire: Connection, payload: bytes) -> None:
        """Handle a text message of that WebSocket."""
        if wire is not self._probing:
            return
        try:
            answer = self._engine.take_probe(decode_text(payload))
        except SocketIoError:
            self.abandon_upgrade(wire)
            return
        if answer is not None:
            wire.write(self._context.framing.engine_packet(answer))
        elif self._engine.stage is Stage.WEBSOCKET:
            self._upgrade(wire)
        else:
            self.abandon_upgrade(wire)

    def abandon_upgrade(self, wire: Connection) -> None:
        """Go on without a WebSocket that has sent something else, is lost, or takes too long; close it. Idempotent."""
        if wire is self._probing:
            self._probing = None
            self._engine.abandon_upgrade()
            wire.close(codes.BAD_REQUEST_DISCONNECT)

    def _upgrade(self, wire: Connection) -> None:
        """Go on by a WebSocket: first with what no poll has taken."""
        self._probing = None
        self._written_before += self.wire.written_bytes
        self.wire = wire
        for view in self._views.values():
            view.follow(wire)
        waiting = self._engine.take_waiting()
        for part in waiting:
            for packet in decode_payload(part, len(part)):
                wire.write(self._context.framing.engine_packet(packet))
        if self._pausing:
            wire.pause_reading()
        self.on_writable()

    # what the client sends

    def charge(self, now: float) -> None:
        """Count a message towards the rate of the client, and stop reading while that is exceeded."""
        node = self._context.node
        self._used_until = self._context.rate.charge(self._used_until, now)
        ahead = self._used_until - now
        if ahead <= 0:
            return
        limits = node.settings.limits
        if ahead * limits.messages_per_second > limits.waiting_commands:  # a polling client, in one request
            node.counters.limits[Limit.WAITING_COMMANDS] += 1
            self.close(codes.TOO_MANY_REQUESTS_DISCONNECT)
        elif self not in self._pausing:
            node.counters.limits[Limit.MESSAGES_PER_SECOND] += 1
            self.pause(self)
            asyncio.get_running_loop().call_later(max(ahead, PACE_SECONDS), self.resume, self)

    def pause(self, owner: object) -> None:
        """Stop reading from the client until each owner has called `resume`. Idempotent."""
        if not self._pausing:
            self.wire.pause_reading()
        self._pausing.add(owner)

    def resume(self, owner: object) -> None:
        """Undo `pause`. Idempotent."""
        if owner not in self._pausing:
            return
        self._pausing.discard(owner)
        if not self._pausing:
            if self._resumed is not None:
                self._resumed.set()
                self._resumed = None
            self.wire.resume_reading()

    def _take(self, packet: EnginePacket) -> None:
        """Handle a message or a pong, see EngineSession."""
        node = self._context.node
        now = node.clock()
        if self.transport is TransportName.POLLING:  # a WebSocket counts its own
            node.counters.messages_received += 1
        self.charge(now)
        if packet.type is EngineType.PONG:
            self._pong = None
            return
        if self._pong is not None:
            self._pong.postpone(now)
        decoder = self._decoder
        try:
            found = decoder.take_binary(packet.data) if packet.binary else decoder.take_text(packet.data)
        except SocketIoError as error:
            self._break(error)
            return
        if found is not None and self.is_open:
            self._dispatch(found)

    def _dispatch(self, packet: Packet) -> None:
        """Pass a packet to its socket; one that has no meaning now ends the connection, as in the reference."""
        session = self._sockets.get(packet.namespace)
        kind = packet.type
        if kind is PacketType.CONNECT and (session is None or session.closed):
            self._connect(packet)
        elif session is None or kind is PacketType.CONNECT or kind is PacketType.CONNECT_ERROR:
            self._close_broken(f"{kind.name} is not for now")
        elif kind is PacketType.DISCONNECT:
            self._end_socket(session)
        elif kind is PacketType.EVENT and not session.closed:
            if session.welcome:
                session.on_event(packet, packet.size)
            else:
                self._close_broken("an event comes after the answer to CONNECT")
        elif kind is PacketType.ACK:
            session.on_ack(packet, packet.size)

    def _connect(self, packet: Packet) -> None:
        """Open a socket."""
        namespace = self._context.namespaces.get(packet.namespace)
        if namespace is None:
            refusal = Packet(PacketType.CONNECT_ERROR, packet.namespace, data=b'{"message":"Invalid namespace"}')
            self.wire.write(self._context.framing.text(b"4" + encode_packet(refusal)))
            return
        view = SocketView(self)
        self._views[namespace.name] = view

        def make(context: SessionContext, client: str, secret: str) -> SocketSession:
            del secret
            handlers = self._context.handlers
            session = SocketSession(handlers, context, view, namespace, socket_id(client), self._info)
            view.session = self._sockets[namespace.name] = session
            return session

        self._context.node.open(make)
        assert view.session is not None
        view.session.connect(packet.data)

    def _end_socket(self, session: SocketSession) -> None:
        """Handle a client's end of a socket."""
        if not session.closed:
            self._context.node.counters.disconnects[codes.CONNECTION_CLOSED.code] += 1
            session.forget()
            session.on_closed()

    def disconnect_sockets(self, code: DisconnectCode) -> None:
        """Disconnect all its sockets."""
        for session in self._open_sockets():
            session.disconnect(code)

    def on_writable(self) -> None:
        """Handle a transport that has taken what waited before."""
        for session in [*self._sockets.values()]:
            session.on_writable()

    def _open_sockets(self) -> list[SocketSession]:
        return [session for session in self._sockets.values() if not session.closed]

    # time

    def beat(self, now: float) -> None:
        """Ping if that is due, and end what takes too long; call this every second. `now` is monotonic."""
        if not self.is_open:
            if now > self._deadline:
                self.lose()
            return
        if self._probing is not None and now > self._deadline:
            self.abandon_upgrade(self._probing)
        if not all(session.closed for session in self._sockets.values()):
            self._idle_since = now
        if now - self._idle_since > CONNECT_SECONDS:
            self.close(codes.STALE)
        elif self._pong is not None:
            self._check_pong(self._pong, now)
        elif now >= self._ping_at:
            self._ping(now)

    def _check_pong(self, pong: AwaitedPong, now: float) -> None:
        if self._pausing:
            pong.postpone(now)
        elif not pong.delivered:
            pong.observe(now, self.written_bytes - self.wire.unacknowledged())
        if pong.is_late(now):
            self.close(codes.NO_PONG)

    def _ping(self, now: float) -> None:
        interval, timeout = self._context.ping_interval, self._context.ping_timeout
        self._ping_at = now + interval
        self.wire.write(self._context.framing.engine_packet(_PING))
        self._pong = AwaitedPong(now, self.written_bytes, timeout=timeout, patience=interval + timeout)

    # the end

    def close(self, code: DisconnectCode, *, but: Session | None = None) -> None:
        """Close the transport, after which the client comes back, and end all sockets. Idempotent.

        `but`: a session that ends by itself with the same code.
        """
        if not self.is_open:
            return
        self._code, self._but = code, but
        self._deadline = self._context.node.clock() + self._context.ping_interval + self._context.ping_timeout
        self._engine.close()

    def _break(self, error: SocketIoError) -> None:
        self._close_broken(error.why)

    def _close_broken(self, why: str) -> None:
        """Close the connection of a client that broke the protocol; a WebSocket's close frame says how."""
        code = codes.BAD_REQUEST_DISCONNECT
        self.close(DisconnectCode(code.code, f"{code.reason}: {why}"))

    def _on_end(self, end: EngineEnd) -> None:
        """Handle the end of the transport, see EngineSession."""
        code = self._code or _CODES.get(end, codes.CONNECTION_CLOSED)
        self._pausing.clear()
        if self._resumed is not None:
            self._resumed.set()
        counters = self._context.node.counters
        if not self._sockets:
            counters.disconnects[code.code] += 1
        for session in self._open_sockets():
            if session is not self._but:
                counters.disconnects[code.code] += 1
                session.on_closed(code)
        if self._probing is not None:
            self.abandon_upgrade(self._probing)
        self.wire.close(code)
        self._forget_closed()

    def _forget_closed(self) -> None:
        if self._engine.stage is Stage.CLOSED:
            self._context.on_closed(self)
