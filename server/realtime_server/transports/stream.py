"""A connection that is the body of an HTTP response: what SSE and HTTP streaming have in common.

The body is chunked (RFC 9112, section 7.1), except for HTTP/1.0. A chunk is made by the Codec, once for everybody who
gets it, and is written to the socket as it is; aiohttp writes what is before the first and after the last one.
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
    """One chunk; `data` is not empty, because an empty chunk is the end."""
    return b"%x\r\n%b\r\n" % (len(data), data)


class StreamConnection(Outbox):
    """One client. Implements core's Connection.

    What is written before `open` waits, within the outbox's bound. `decided` is set as soon as there is something to be
    sent, or the client was sent away: then `refusal` says why, if nothing came before it. `ended` is set at the end.
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
        """The head of the response was written: send what waits, and what comes from now on."""
        self._socket = transport
        bound_buffer(transport)
        self.begin(transport, descriptor_of(transport))
        self.flush()
        self._send_last()

    # what happens to the socket

    def on_full(self) -> None:
        """The kernel takes no more for now."""
        self.congested = True

    def on_drained(self) -> None:
        """What was written is nearly gone."""
        self.congested = False
        if self.session is not None:
            self.session.on_writable()

    def on_lost(self) -> None:
        """The socket is gone."""
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
        """See Connection. The code is the last push, because a stream has no close frame."""
        if self._closing:
            return
        if not self.decided.is_set():
            self.refusal = code
        self._closing = True
        self._last = self._wire.push("", DisconnectPush(code.code, code.reason, code.reconnect))
        self.flush()
        self._send_last()
        self._end()

    def unacknowledged(self) -> int:
        """See Connection."""
        return self.waiting if self._socket is None else self.waiting + unacknowledged(self._socket)

    def pause_reading(self) -> None:
        """See Connection: commands come by requests of their own, and wait in the session."""

    def resume_reading(self) -> None:
        """See Connection."""

    # inside

    def on_overflow(self) -> None:
        """Disconnect in the next turn of the loop: who writes may be going through a channel."""
        if self.session is not None:
            self._loop.call_soon(self.session.disconnect, codes.SLOW)

    def _send_last(self) -> None:
        """Send the code, if there is one, behind everything else; before the head of the response it waits."""
        if self._socket is not None and self._last is not None:
            self.stop()
            self._socket.write(self._last)
            self._last = None

    def _end(self) -> None:
        self.decided.set()
        self.ended.set()
