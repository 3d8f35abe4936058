"""WebSocket (RFC 6455) on an `asyncio.Protocol`: one connection from the accepted socket to its end.

A connection keeps no state of the handshake. Writes of one loop iteration are sent by one system call.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import cast

from websockets.frames import Opcode

from realtime_server import codes
from realtime_server.codes import DisconnectCode
from realtime_server.core.node import Node
from realtime_server.core.ports.backend import TransportInfo
from realtime_server.transports.accelerated import Flusher, Outbox, split
from realtime_server.transports.client_protocol import ClientProtocol, WebSocketSession
from realtime_server.transports.compression import inflate
from realtime_server.transports.frames import CONTROL, FrameError, FrameParser, frame_close, frame_control
from realtime_server.transports.handshake import AcceptedHandshake
from realtime_server.transports.outbox import descriptor_of
from realtime_server.transports.protocol_sniffer import ProtocolSniffer
from realtime_server.transports.server_handshake import HandshakePolicy, OtherRequest, ServerHandshake
from realtime_server.transports.sockets import bound_buffer, limit_silence, unacknowledged
from realtime_server.transports.time_limit import TimeLimit

TEXT = int(Opcode.TEXT)
CLOSING_SECONDS = 3.0
"""Time limit for a client's answer to a close frame."""


@dataclass(frozen=True, slots=True)
class WebSocketSettings:
    """Settings of all connections of a worker; sizes in bytes.

    `handshaking` is the time limit from the accepted socket to the open WebSocket, `closing` that for a client's answer
    to a close frame.
    """

    max_connections: int
    frame_bytes: int
    handshake: HandshakePolicy
    handshaking: TimeLimit
    closing: TimeLimit


class State(Enum):
    """State of a connection.

    HANDSHAKE: the opening request is read. OPEN: messages go to the session. PAUSED: messages are kept and nothing is
    read until it is OPEN again. CLOSING: a close frame was sent, the client's is awaited. LINGERING: the last byte was
    sent; further input is read and dropped, because unread bytes would reset the connection before the client has read
    why it ended. GONE: the socket is closed or handed over to another protocol.
    """

    HANDSHAKE = auto()
    OPEN = auto()
    PAUSED = auto()
    CLOSING = auto()
    LINGERING = auto()
    GONE = auto()


HANDSHAKE, OPEN, PAUSED, CLOSING = State.HANDSHAKE, State.OPEN, State.PAUSED, State.CLOSING
LINGERING, GONE = State.LINGERING, State.GONE
"""Members of State, because looking one up takes longer than comparing it."""


class WebSocketConnection(Outbox, asyncio.Protocol):
    """WebSocket connection of one client, counted by its creator: implements ClientWebSocket.

    `peer` is the address of a proxied client, "" for the socket's own.
    """

    __slots__ = (
        "_cost", "_ends_silently", "_handshake", "_loop", "_node", "_parser", "_peer", "_session", "_settings",
        "_sniffer", "_socket", "_state", "_unread", "congested",
    )  # fmt: skip

    def __init__(
        self,
        node: Node,
        settings: WebSocketSettings,
        loop: asyncio.AbstractEventLoop,
        sniffer: ProtocolSniffer,
        flusher: Flusher,
        peer: str = "",
    ) -> None:
        super().__init__(flusher)
        self._node = node
        self._settings = settings
        self._loop = loop
        self._sniffer = sniffer
        self._peer = peer
        self._state = HANDSHAKE
        handshake = ServerHandshake(settings.handshake, sniffer.wants_http, self._has_room)
        self._handshake: ServerHandshake | None = handshake
        self._socket: asyncio.Transport | None = None
        self._parser: FrameParser | None = None
        self._session: WebSocketSession | None = None
        self._unread: Sequence[tuple[int, bytes]] = ()
        """Messages that were read before the connection was paused."""
        self.congested = False
        self._ends_silently = False
        self._cost = 0.0 if node.counters.measures_next_accept() else None
        """CPU seconds for admitting the client so far; None when it is not measured, or not any more."""

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Handle an accepted socket, whose handshake is due within a time limit."""
        self._socket = cast("asyncio.Transport", transport)  # uvloop's is not a subclass
        self._settings.handshaking.start(self)

    def data_received(self, data: bytes) -> None:
        """Handle received bytes."""
        self._node.counters.bytes_received += len(data)
        if self._cost is None:
            if self._state is OPEN:
                self._read(data)
            else:
                self._receive(data)
            return
        began = time.thread_time()
        self._receive(data)
        self._cost += time.thread_time() - began
        if self._session is not None and self._session.admitted:
            self._node.counters.observe_accept(self._cost)
            self._cost = None

    def pause_writing(self) -> None:
        """Handle a full write buffer."""
        self.congested = True

    def resume_writing(self) -> None:
        """Handle a write buffer that has drained."""
        self.congested = False
        if self._session is not None:
            self._session.on_writable()

    def eof_received(self) -> bool:
        """Close the connection when the client has sent the end of the stream."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - why does not matter any more
        """Handle the loss of the socket."""
        self._sniffer.sockets.leave()
        self._stop_timing()
        self._state = GONE
        self.stop()
        self._socket = None
        self._end_session()

    # ClientWebSocket

    def describe(self, transport: TransportInfo, values: Callable[[str], list[str]]) -> TransportInfo:
        """See ClientWebSocket."""
        return (
            transport if self._socket is None else self._sniffer.describe(self._socket, self._peer, transport, values)
        )

    def limit_silence(self, seconds: float) -> None:
        """See ClientWebSocket."""
        if self._socket is not None:
            limit_silence(self._socket, seconds)

    def end_silently(self) -> None:
        """See ClientWebSocket."""
        self._ends_silently = True

    # core's Connection: `write` is the outbox's

    def close(self, code: DisconnectCode) -> None:
        """See Connection."""
        if not self._ends_silently or not code.reconnect:
            self.close_with(code.code, code.reason)
        elif self._begin_end():
            self.flush()
            self.stop()
            self._linger()

    def unsent(self) -> int:
        """See Connection."""
        return 0 if self._socket is None else self._socket.get_write_buffer_size()

    def unacknowledged(self) -> int:
        """See Connection."""
        return 0 if self._socket is None else self.waiting + unacknowledged(self._socket)

    def pause_reading(self) -> None:
        """See Connection."""
        if self._state is OPEN and self._socket is not None:
            self._state = PAUSED
            self._socket.pause_reading()

    def resume_reading(self) -> None:
        """See Connection."""
        if self._state is not PAUSED:
            return
        self._state = OPEN
        unread, self._unread = self._unread, ()
        self._read(b"", unread)
        if self._state is OPEN and self._socket is not None:
            self._socket.resume_reading()

    def on_overflow(self) -> None:
        """Disconnect in the next iteration of the loop, as the writer may be iterating over a channel."""
        self._loop.call_soon(self._disconnect_slow)

    def _disconnect_slow(self) -> None:
        if self._session is not None:
            self._session.disconnect(codes.SLOW)

    # the opening

    def _has_room(self) -> bool:
        return len(self._node.sessions) < self._settings.max_connections

    def _shake(self, data: bytes) -> None:
        handshake = self._handshake
        assert handshake is not None
        outcome = handshake.receive(data)
        if outcome is None:
            return
        self._handshake = None
        self._settings.handshaking.stop(self)
        assert self._socket is not None
        if isinstance(outcome, AcceptedHandshake):
            self._open(outcome, handshake.protocol)
        elif isinstance(outcome, OtherRequest):
            transport, self._socket = self._socket, None
            self._state = GONE
            self._sniffer.hand_over(transport, outcome.data, self._peer)
        else:
            self._node.counters.count_rejected_handshake(outcome.reason)
            self._socket.write(outcome.response)
            self._linger()

    def _open(self, accepted: AcceptedHandshake, protocol: ClientProtocol | None) -> None:
        assert self._socket is not None
        assert protocol is not None
        self._state = OPEN
        self._socket.write(accepted.response)
        bound_buffer(self._socket)
        self.begin(self._socket, descriptor_of(self._socket))
        self._parser = FrameParser(self._settings.frame_bytes, inflate if accepted.compressed else None, split)
        self._session = protocol.open(self, accepted)

    def on_timeout(self) -> None:
        """Abort a connection whose handshake, or whose end, takes too long."""
        if self._state is HANDSHAKE:
            self._node.counters.count_rejected_handshake("timeout")
        if self._socket is not None and self._state not in {OPEN, PAUSED}:
            self._socket.abort()

    # what the client sends

    def _receive(self, data: bytes) -> None:
        state = self._state
        if state is OPEN or state is CLOSING:
            self._read(data)
        elif state is HANDSHAKE:
            self._shake(data)
        elif state is PAUSED and self._parser is not None:  # data that a TLS transport had read before
            self._unread = [*self._unread, *self._parser.take(data)]

    def _read(self, data: bytes, unread: Sequence[tuple[int, bytes]] = ()) -> None:
        """Pass messages to the session until it pauses the connection: first `unread`, then those in `data`."""
        parser, session = self._parser, self._session
        assert parser is not None
        assert session is not None
        now = self._node.clock()
        messages = iter([*unread, *parser.take(data)] if unread else parser.take(data))
        for opcode, payload in messages:
            self.take_message(session, opcode, payload, now)
            if self._state is PAUSED:
                self._unread = [*messages]
                return
        if parser.has_rest:
            self._read_rest(parser, session, now)

    def _read_rest(self, parser: FrameParser, session: WebSocketSession, now: float) -> None:
        """Handle frames other than the common case."""
        try:
            for opcode, payload in parser.take_rest():
                if opcode == Opcode.CLOSE:
                    self._answer_close(payload)
                    return
                if opcode in CONTROL:
                    self._take_control(session, opcode, payload, now)
                else:
                    self.take_message(session, opcode, payload, now)
                if self._state is PAUSED:
                    return
        except FrameError as error:
            self._end_broken(session, error)

    def take_message(self, session: WebSocketSession, opcode: int, payload: bytes, now: float) -> None:
        """Pass a message of the client to its session."""
        self._node.counters.messages_received += 1
        if opcode == TEXT:
            session.on_text(payload, now)
        else:
            session.on_binary(payload, now)

    def _take_control(self, session: WebSocketSession, opcode: int, payload: bytes, now: float) -> None:
        session.on_control(now)
        if opcode == Opcode.PING:
            self.write(frame_control(Opcode.PONG, payload))
        else:
            session.on_pong()

    # the end

    def close_with(self, code: int, reason: str = "") -> None:
        """See ClientWebSocket; the client has CLOSING_SECONDS to answer."""
        if self._begin_end():
            self._finish(frame_close(code, reason))
            self._settings.closing.start(self)

    def _begin_end(self) -> bool:
        """Take no more messages; return False when the end has begun before."""
        if self._state not in {OPEN, PAUSED} or self._socket is None:
            return False
        if self._state is PAUSED:
            self._unread = ()
            self._socket.resume_reading()
        self._state = CLOSING
        return True

    def _answer_close(self, payload: bytes) -> None:
        assert self._socket is not None
        if self._state is CLOSING:
            self._socket.close()
            return
        self._state = CLOSING
        self._finish(frame_control(Opcode.CLOSE, payload[:2]))
        self._end_session()
        self._linger()

    def _end_broken(self, session: WebSocketSession, error: FrameError) -> None:
        """Close the connection of a client that broke the protocol."""
        if self._state is OPEN:
            self._node.counters.disconnects[error.code] += 1
            session.note_unanswered(codes.BAD_REQUEST_DISCONNECT.code)
            self.close_with(error.code, error.reason)
            session.on_closed()
        self._linger()

    def _finish(self, frame: bytes) -> None:
        """Send the waiting data and then the last frame."""
        assert self._socket is not None
        self.flush()
        self.stop()
        self._socket.write(frame)

    def _linger(self) -> None:
        """Half-close the socket after everything written, and drop further input."""
        if self._socket is None:
            return
        self._state = LINGERING
        self._parser = None
        if self._socket.can_write_eof():
            self._socket.write_eof()
        else:  # TLS cannot be half-closed
            self._socket.close()
        self._settings.closing.start(self)

    def _stop_timing(self) -> None:
        self._settings.handshaking.stop(self)
        self._settings.closing.stop(self)

    def _end_session(self) -> None:
        """End the session; unless it had been disconnected, count the disconnect as one of the client."""
        if self._session is not None:
            if not self._session.closed:
                self._node.counters.disconnects[codes.CONNECTION_CLOSED.code] += 1
            self._session.on_closed()
