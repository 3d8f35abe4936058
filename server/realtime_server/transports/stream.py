"""Connection in the body of an HTTP response, for SSE and HTTP streaming.

The body is chunked (RFC 9112, section 7.1), except with HTTP/1.0. The codec makes a chunk once for all recipients, and
it is written to the socket unchanged; aiohttp writes what precedes the first chunk and follows the last.
"""

from __future__ import annotations

import asyncio

from realtime_server import codes
from realtime_server.codes import DisconnectCode
from realtime_server.core.metrics.counters import Counters
from realtime_server.core.model.pushes import DisconnectPush
from realtime_server.core.ports.client import Codec
from realtime_server.core.sessions.session import Session
from realtime_server.transports.accelerated import Flusher, Outbox
from realtime_server.transports.outbox import descriptor_of
from realtime_server.transports.sockets import bound_buffer, unacknowledged


def chunk(data: bytes) -> bytes:
    """Encode a chunk; `data` must not be empty, because an empty chunk ends the body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


class StreamConnection(Outbox):
    """Connection of one client: implements core's Connection.

    Writes before `open` wait within the outbox's bound. `decided` is set as soon as there is something to send or the
    client was disconnected; `refusal` is the code of a disconnect before anything was written. `ended` is set at the
    end.
    """

    __slots__ = (
        "_closing", "_counters", "_last", "_loop", "_socket", "_wire", "congested", "decided", "ended", "refusal",
        "session",
    )  # fmt: skip

    def __init__(self, codec: Codec, counters: Counters, flusher: Flusher, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(flusher)
        self._wire = codec
        self._counters = counters
        self._loop = loop
        self._socket: asyncio.Transport | None = None
        self._last: bytes | None = None
        self._closing = False
        self.congested = False
        self.session: Session | None = None
        self.refusal: DisconnectCode | None = None
        self.decided = asyncio.Event()
        self.ended = asyncio.Event()

    def open(self, transport: asyncio.Transport) -> None:
        """Start sending, after the head of the response was written."""
        self._socket = transport
        bound_buffer(transport)
        self.begin(transport, descriptor_of(transport))
        self.flush()
        self._send_last()

    # what happens to the socket

    def on_full(self) -> None:
        """Handle a full write buffer."""
        self.congested = True

    def on_drained(self) -> None:
        """Handle a write buffer that has drained."""
        self.congested = False
        if self.session is not None:
            self.session.on_writable()

    def on_lost(self) -> None:
        """Handle the loss of the socket."""
        self._closing = True
        self.stop()
        self._socket = None
        self._end()
        if self.session is not None:
            if not self.session.closed:
                self._counters.disconnects[codes.CONNECTION_CLOSED.code] += 1
            self.session.on_closed()

    # core's Connection

    def write(self, frames: bytes) -> None:
        """See Connection."""
        if not self._closing:
            self.decided.set()
            super().write(frames)

    def close(self, code: DisconnectCode) -> None:
        """See Connection. The code is sent as the last push, because a stream has no close frame."""
        if self._closing:
            return
        if not self.decided.is_set():
            self.refusal = code
        self._closing = True
        self._last = self._wire.push("", DisconnectPush(code.code, code.reason, code.reconnect))
        self.flush()
        self._send_last()
        self._end()

    def unsent(self) -> int:
        """See Connection."""
        return 0 if self._socket is None else self._socket.get_write_buffer_size()

    def unacknowledged(self) -> int:
        """See Connection."""
        return self.waiting if self._socket is None else self.waiting + unacknowledged(self._socket)

    def pause_reading(self) -> None:
        """See Connection. Without effect: commands arrive by requests of their own and wait in the session."""

    def resume_reading(self) -> None:
        """See Connection."""

    # inside

    def on_overflow(self) -> None:
        """Disconnect in the next iteration of the loop, as the writer may be iterating over a channel."""
        if self.session is not None:
            self._loop.call_soon(self.session.disconnect, codes.SLOW)

    def _send_last(self) -> None:
        """Send the disconnect code, if any, after everything else; it waits for the head of the response."""
        if self._socket is not None and self._last is not None:
            self.stop()
            self._socket.write(self._last)
            self._last = None

    def _end(self) -> None:
        self.decided.set()
        self.ended.set()
