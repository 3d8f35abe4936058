"""WebSocket (RFC 6455): the handshake by the `websockets` library, the open connection by this protocol.

A connection keeps nothing of the handshake. What is written in one turn of the event loop goes out in one system call.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import cast

from websockets.exceptions import SecurityError
from websockets.extensions import ServerExtensionFactory
from websockets.frames import Opcode
from websockets.http11 import Request, Response
from websockets.server import ServerProtocol
from websockets.typing import Origin

from realtime_server import codes
from realtime_server.codes import DisconnectCode
from realtime_server.core.node import Node
from realtime_server.core.ports.client import Codec
from realtime_server.core.sessions.session import Session
from realtime_server.transports.accelerated import Flusher, Outbox, split
from realtime_server.transports.compression import inflate
from realtime_server.transports.dialect import (
    PATH,
    PATHS,
    SUBPROTOCOLS,
    Dialect,
    connect_in,
    dialect_of,
    select_subprotocol,
)
from realtime_server.transports.echo import PATH as ECHO_PATH
from realtime_server.transports.echo import Echo
from realtime_server.transports.frames import CONTROL, FrameError, FrameParser, frame_close, frame_control
from realtime_server.transports.handshake import (
    EXTENSIONS,
    ORIGIN,
    AcceptedHandshake,
    TolerantHandshake,
    header_values,
    read_handshake,
)
from realtime_server.transports.outbox import descriptor_of
from realtime_server.transports.protocol_sniffer import ProtocolSniffer
from realtime_server.transports.sockets import limit_silence

CLOSING_SECONDS = 3.0
"""How long a client may take to answer a close frame."""
HTTP_1_0 = (
    "A WebSocket needs HTTP/1.1. Behind nginx, set proxy_http_version to 1.1 and pass on the headers Upgrade and"
    " Connection.\n"
)
NO_HTTP = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
"""The answer to what the `websockets` library cannot parse."""


@dataclass(frozen=True, slots=True)
class WebSocketSettings:
    """What all connections of a worker share; sizes in bytes, `handshake_seconds` from the socket to the WebSocket."""

    max_connections: int
    message_bytes: int
    handshake_seconds: float
    origins: tuple[str, ...] = ()
    extensions: tuple[ServerExtensionFactory, ...] = ()
    """What may be negotiated: nothing, or compression."""
    echo: Echo | None = None
    """For tests only."""


class WebSocketConnection(Outbox, asyncio.Protocol):
    """One client, which was counted when it was made. Implements core's Connection.

    `peer` is the address that a proxy speaks for, "" for that of the socket.
    """

    __slots__ = (
        "_closing", "_cost", "_deaf", "_handshake", "_head", "_loop", "_measured", "_node",
        "_parser", "_peer", "_session", "_settings", "_sniffer", "_socket", "_timer", "_wires", "congested",
    )  # fmt: skip

    def __init__(
        self,
        node: Node,
        codecs: Mapping[Dialect, Codec],
        settings: WebSocketSettings,
        loop: asyncio.AbstractEventLoop,
        sniffer: ProtocolSniffer,
        flusher: Flusher,
        peer: str = "",
    ) -> None:
        super().__init__(flusher)
        self._node = node
        self._wires = codecs
        self._settings = settings
        self._loop = loop
        self._sniffer = sniffer
        self._peer = peer
        self._head = b""
        self._socket: asyncio.Transport | None = None
        self._handshake: TolerantHandshake | None = None
        self._parser: FrameParser | None = None
        self._session: Session | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._closing = False
        self._deaf = False
        self.congested = False
        self._measured = node.counters.measures_next_accept()
        self._cost = 0.0

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A socket was accepted: the handshake must follow soon."""
        self._socket = cast("asyncio.Transport", transport)  # uvloop's is not a subclass
        self._timer = self._loop.call_later(self._settings.handshake_seconds, self._end_handshake)

    def data_received(self, data: bytes) -> None:
        """Bytes of the client."""
        session = self._session
        self._node.counters.bytes_received += len(data)
        if self._deaf:
            return
        if session is not None and session.claims is not None:
            self._read(data)
            return
        began = time.thread_time() if self._measured else 0.0
        if self._parser is None:
            self._shake(data)
        else:
            self._read(data)
        if self._measured:
            self._cost += time.thread_time() - began
            if self._session is not None and self._session.claims is not None:
                self._node.counters.observe_accept(self._cost)

    def pause_writing(self) -> None:
        """The kernel takes no more for now."""
        self.congested = True

    def resume_writing(self) -> None:
        """What was written is nearly gone."""
        self.congested = False
        if self._session is not None:
            self._session.on_writable()

    def eof_received(self) -> bool:
        """The client will send no more: the connection is over."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - why does not matter any more
        """The socket is gone."""
        self._sniffer.sockets.leave()
        self._cancel_timer()
        self._closing = True
        self.stop()
        self._socket = None
        self._end_session()

    # core's Connection: `write` is the outbox's

    def close(self, code: DisconnectCode) -> None:
        """See Connection."""
        self._close(code.code, code.reason)

    # inside

    def on_overflow(self) -> None:
        """Disconnect in the next turn of the loop: who writes may be going through a channel."""
        if self._session is not None:
            self._loop.call_soon(self._session.disconnect, codes.SLOW)

    def _close(self, code: int, reason: str) -> None:
        if self._closing or self._socket is None:
            return
        self._closing = True
        self._finish(frame_close(code, reason))
        self._cancel_timer()
        self._timer = self._loop.call_later(CLOSING_SECONDS, self._socket.abort)

    def _finish(self, frame: bytes) -> None:
        """Send what waits and then the last frame."""
        assert self._socket is not None
        self.flush()
        self.stop()
        self._socket.write(frame)

    def _linger(self) -> None:
        """Send what was written and then the end; what still comes is read, and dropped.

        Closed at once, the client's unread bytes would reset the connection before it has read why.
        """
        if self._socket is None:
            return
        self._closing = self._deaf = True
        self._parser = None
        self._handshake = None
        if self._socket.can_write_eof():
            self._socket.write_eof()
        else:  # TLS: there is no half of it that could be closed
            self._socket.close()
        self._cancel_timer()
        self._timer = self._loop.call_later(CLOSING_SECONDS, self._socket.abort)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _read(self, data: bytes) -> None:
        parser, session = self._parser, self._session
        if parser is None or session is None:
            return
        now = self._node.clock()
        for opcode, payload in parser.take(data):
            self._take_message(session, opcode, payload, now)
        if not parser.has_rest:
            return
        try:
            for opcode, payload in parser.take_rest():
                if opcode == Opcode.CLOSE:
                    self._answer_close(payload)
                    return
                self._take_careful(session, opcode, payload, now)
        except FrameError as error:
            if not self._closing:
                self._node.counters.disconnects[error.code] += 1
                session.note_unanswered(codes.BAD_REQUEST_DISCONNECT.code)
                self._close(error.code, error.reason)
                session.on_closed()
            self._linger()

    def _take_message(self, session: Session, opcode: int, payload: bytes, now: float) -> None:
        self._node.counters.messages_received += 1
        if opcode == Opcode.TEXT and session.codec.binary:
            session.disconnect(codes.INAPPROPRIATE_PROTOCOL)
        session.on_message(payload, now)

    def _take_careful(self, session: Session, opcode: int, payload: bytes, now: float) -> None:
        if opcode in CONTROL:
            session.on_control(now)
            if opcode == Opcode.PING:
                self.write(frame_control(Opcode.PONG, payload))
            else:
                session.on_pong()
        else:
            self._take_message(session, opcode, payload, now)

    def _answer_close(self, payload: bytes) -> None:
        if self._socket is None:
            return
        if self._closing:
            self._socket.close()
            return
        self._closing = True
        self._finish(frame_control(Opcode.CLOSE, payload[:2]))
        self._end_session()
        self._linger()

    def _end_session(self) -> None:
        """The client has gone by itself, unless it was sent away before."""
        if self._session is not None:
            if not self._session.closed:
                self._node.counters.disconnects[codes.CONNECTION_CLOSED.code] += 1
            self._session.on_closed()

    def _shake(self, data: bytes) -> None:
        if self._handshake is None:
            self._head += data
            wants_http = self._sniffer.wants_http(self._head)
            if wants_http is None:
                return
            data, self._head = self._head, b""
            if wants_http:
                self._hand_over(data)
                return
            accepted = read_handshake(data)
            if accepted is not None and self._may_open(accepted):
                self._open(accepted)
                return
            # None: what sends no origin is no browser.
            origins = [None, *map(Origin, self._settings.origins)] if self._settings.origins else None
            self._handshake = TolerantHandshake(
                origins=origins,
                extensions=self._settings.extensions,
                subprotocols=list(SUBPROTOCOLS),
                select_subprotocol=select_subprotocol,
            )
            self._handshake.bodiless = data.startswith(b"HEAD ")
        handshake = self._handshake
        handshake.receive_data(data)
        for event in handshake.events_received():
            if isinstance(event, Request):
                self._answer_handshake(handshake, event)
                return
        if handshake.handshake_exc is not None:
            too_large = isinstance(handshake.handshake_exc, SecurityError)
            self._reject(handshake, "head_too_large" if too_large else "malformed")

    def _answer_handshake(self, handshake: ServerProtocol, request: Request) -> None:
        refusal = self._refusal(handshake, request)
        response = refusal or handshake.accept(request)
        handshake.send_response(response)
        if response.status_code != 101:
            self._reject(handshake, _reason(response.status_code))
            return
        self._handshake = None
        compressed, answer = bool(handshake.extensions), b"".join(handshake.data_to_send())
        self._open(
            AcceptedHandshake(
                request.path, partial(header_values, request.headers), handshake.subprotocol, compressed, answer
            )
        )

    def _may_open(self, accepted: AcceptedHandshake) -> bool:
        """Whether the usual handshake is all that there is to look at here."""
        settings = self._settings
        return (
            accepted.path.partition("?")[0] in PATHS
            and len(self._node.sessions) < settings.max_connections
            and not (settings.extensions and accepted.values(EXTENSIONS))
            and not (settings.origins and not set(accepted.values(ORIGIN)) <= set(settings.origins))
        )

    def _open(self, accepted: AcceptedHandshake) -> None:
        assert self._socket is not None
        self._cancel_timer()
        self._socket.write(accepted.response)
        self.begin(self._socket, descriptor_of(self._socket))
        decompress = inflate if accepted.compressed else None
        echo = self._echo(accepted.path)
        if echo is not None:
            self._parser = echo.parser(decompress, self.write)
        else:
            self._parser = FrameParser(self._settings.message_bytes, decompress, split)
        dialect = dialect_of(accepted.path, accepted.subprotocol, compressed=accepted.compressed)
        name = "uni_websocket" if dialect.unidirectional else "websocket"
        told = self._sniffer.describe(self._socket, self._peer, name, dialect.encoding, accepted.values)
        self._session = self._node.accept(self, self._wires[dialect], told)
        if echo is not None:
            self._session.opened_at = math.inf  # it need not say who it is
        if dialect.unidirectional:
            limit_silence(self._socket, self._node.settings.patience)
        first = connect_in(accepted.path) if dialect.unidirectional else None
        if first is not None:
            self._session.on_message(first, self._node.clock())

    def _hand_over(self, data: bytes) -> None:
        assert self._socket is not None
        self._cancel_timer()
        transport, self._socket = self._socket, None
        self._sniffer.hand_over(transport, data, self._peer)

    def _refusal(self, handshake: ServerProtocol, request: Request) -> Response | None:
        if request.path.partition("?")[0] not in PATHS and self._echo(request.path) is None:
            return handshake.reject(404, f"There is nothing here. Connect to {PATH}.\n")
        if request.protocol == "HTTP/1.0":
            response = handshake.reject(426, HTTP_1_0)
            response.headers["Upgrade"] = "websocket"
            return response
        if len(self._node.sessions) >= self._settings.max_connections:
            response = handshake.reject(503, "This server has all the connections that it may have. Try again.\n")
            response.headers["Retry-After"] = "1"
            return response
        return None

    def _echo(self, path: str) -> Echo | None:
        return self._settings.echo if path == ECHO_PATH else None

    def _reject(self, handshake: ServerProtocol, reason: str) -> None:
        self._node.counters.count_rejected_handshake(reason)
        if self._socket is not None:
            self._socket.write(b"".join(handshake.data_to_send()) or NO_HTTP)
            self._linger()

    def _end_handshake(self) -> None:
        self._node.counters.count_rejected_handshake("timeout")
        if self._socket is not None:
            self._socket.abort()


def _reason(status: int) -> str:
    return {403: "origin", 404: "path", 503: "connection_limit"}.get(status, "malformed")
