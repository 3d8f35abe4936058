"""A connection that is the body of an HTTP response: what SSE and HTTP streaming have in common.

The body is chunked (RFC 9112, section 7.1). A chunk is made by the Wire, once for everybody who gets it, and is written
to the socket as it is; aiohttp writes what is before the first and after the last one.
"""

from __future__ import annotations

import asyncio

from realtime_server import codes
from realtime_server.codes import DisconnectCode
from realtime_server.core.counters import Counters
from realtime_server.core.ports import Wire
from realtime_server.core.pushes import DisconnectPush
from realtime_server.core.session import Session


def chunk(data: bytes) -> bytes:
    """One chunk; `data` is not empty, because an empty chunk is the end."""
    return b"%x\r\n%b\r\n" % (len(data), data)


class StreamConnection:
    """One client. Implements core's Connection.

    What is written before `open` waits, within the outbox's bound. `decided` is set as soon as there is something to be
    sent, or the client was sent away: then `refusal` says why, if nothing came before it. `ended` is set at the end.
    """

    __slots__ = (
        "_closing", "_congested", "_counters", "_flushing", "_loop", "_outbox", "_outbox_bytes", "_queued", "_slow",
        "_transport", "_wire", "decided", "ended", "refusal", "session",
    )  # fmt: skip

    def __init__(self, wire: Wire, counters: Counters, outbox_bytes: int, loop: asyncio.AbstractEventLoop) -> None:
        self._wire = wire
        self._counters = counters
        self._outbox_bytes = outbox_bytes
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self._outbox: list[bytes] = []
        self._queued = 0
        self._flushing = False
        self._closing = False
        self._slow = False
        self._congested = False
        self.session: Session | None = None
        self.refusal: DisconnectCode | None = None
        self.decided = asyncio.Event()
        self.ended = asyncio.Event()

    def open(self, transport: asyncio.Transport) -> None:
        """The head of the response was written: send what waits, and what comes from now on."""
        self._transport = transport
        self._flush()

    # what happens to the socket

    def on_full(self) -> None:
        """The kernel takes no more for now."""
        self._congested = True

    def on_drained(self) -> None:
        """What was written is nearly gone."""
        self._congested = False
        if self.session is not None:
            self.session.on_writable()

    def on_lost(self) -> None:
        """The socket is gone."""
        self._closing = True
        self._transport = None
        self._forget_queued()
        self._end()
        if self.session is not None:
            if not self.session.closed:
                self._counters.disconnects[codes.CONNECTION_CLOSED.code] += 1
            self.session.on_closed()

    # core's Connection

    def write(self, frames: bytes) -> None:
        """See Connection."""
        if self._closing or self._slow:
            return
        self._outbox.append(frames)
        self._queued += len(frames)
        self._counters.messages_sent += 1
        self._counters.outbox_bytes += len(frames)
        self.decided.set()
        if self._queued > self._outbox_bytes and self._transport is not None and not self._unsent():
            self._flush()  # a burst of one turn of the loop: what the kernel takes at once need not wait
        if self._queued + self._unsent() > self._outbox_bytes:
            self._end_slow()
        elif self._outbox and not self._flushing and self._transport is not None:
            self._flushing = True
            self._loop.call_soon(self._flush)

    @property
    def congested(self) -> bool:
        """See Connection."""
        return self._congested

    def close(self, code: DisconnectCode) -> None:
        """See Connection. The code is the last push, because a stream has no close frame."""
        if self._closing:
            return
        if not self.decided.is_set():
            self.refusal = code
        self._outbox.append(self._wire.push("", DisconnectPush(code.code, code.reason, code.reconnect)))
        self._closing = True
        if self._transport is not None:
            self._flush()
        self._end()

    # inside

    def _unsent(self) -> int:
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    def _end_slow(self) -> None:
        """Drop what waits, and disconnect in the next turn of the loop: who writes may be going through a channel."""
        self._slow = True
        self._forget_queued()
        if self.session is not None:
            self._loop.call_soon(self.session.disconnect, codes.SLOW)

    def _flush(self) -> None:
        self._flushing = False
        if self._outbox and self._transport is not None:
            data = b"".join(self._outbox)
            self._counters.bytes_sent += len(data)
            self._transport.write(data)
        self._forget_queued()

    def _forget_queued(self) -> None:
        self._counters.outbox_bytes -= self._queued
        self._outbox = []
        self._queued = 0

    def _end(self) -> None:
        self.decided.set()
        self.ended.set()
