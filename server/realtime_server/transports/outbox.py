"""What waits to be written to connections: joined for one turn of the event loop, then one system call for each.

The kernel is asked directly, past the event loop's transport, which takes over only what the kernel does not: for a
fan-out the transport costs more than everything else in the process. This is the twin of `server/native/outbox.c`.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Protocol

NO_DESCRIPTOR = -1
"""Of a transport that must see every byte, as with TLS."""
GATHERED = 64
"""So many writes are handed to the kernel as they are; more are copied into one."""


def descriptor_of(transport: asyncio.BaseTransport) -> int:
    """The file descriptor of a connection that may be written to directly, else NO_DESCRIPTOR."""
    if transport.get_extra_info("sslcontext") is not None:
        return NO_DESCRIPTOR
    connected = transport.get_extra_info("socket")
    return NO_DESCRIPTOR if connected is None else int(connected.fileno())


class Transport(Protocol):
    """What an outbox needs of asyncio.WriteTransport."""

    def write(self, data: bytes, /) -> None:
        """Send, in order, sooner or later."""

    def get_write_buffer_size(self) -> int:
        """Bytes that were not sent yet."""


class Flusher:
    """Sends what the connections of a worker have written in one turn of the event loop, in its next.

    `limit`: bytes that may wait for one connection. `call_soon` is the loop's. Counts messages and bytes that were
    written to be sent since the start, and bytes that wait now.
    """

    __slots__ = ("_call_soon", "_due", "bytes_sent", "bytes_waiting", "limit", "messages_sent")

    def __init__(self, call_soon: Callable[[Callable[[], None]], object], limit: int) -> None:
        self._call_soon = call_soon
        self._due: list[Outbox] = []
        self.limit = limit
        self.messages_sent = 0
        self.bytes_sent = 0
        self.bytes_waiting = 0

    def flush(self) -> None:
        """Send what waits, of all connections; raises what failed first when all others were sent."""
        due, self._due = self._due, []
        failed: Exception | None = None
        for outbox in due:
            try:
                outbox.flush()
            except Exception as error:  # noqa: BLE001 - one must not keep the others from being flushed
                failed = failed or error
        if failed is not None:
            raise failed

    def schedule(self, outbox: Outbox) -> None:
        """Flush an outbox in the next turn of the loop."""
        if not self._due:
            self._call_soon(self.flush)
        self._due.append(outbox)


class Outbox:
    """One connection's; the base of what implements core's Connection.

    What is written before `begin` waits within the limit. After `stop` writes are ignored. `written_bytes` counts what
    was passed to `write` since the beginning, `waiting` what of it neither the kernel nor the transport has.
    """

    __slots__ = (
        "_behind",
        "_descriptor",
        "_due",
        "_flusher",
        "_frames",
        "_transport",
        "stopped",
        "waiting",
        "written_bytes",
    )

    def __init__(self, flusher: Flusher) -> None:
        self._flusher = flusher
        self._frames: list[bytes] = []
        self.waiting = 0
        self.written_bytes = 0
        self._transport: Transport | None = None
        self._descriptor = NO_DESCRIPTOR
        self._behind = False
        """Whether the transport may have something that it has not sent, which must go first."""
        self._due = False
        self.stopped = False

    def begin(self, transport: Transport, descriptor: int) -> None:
        """Send from now on: to `descriptor`, unless it is NO_DESCRIPTOR, what the kernel takes, else to `transport`."""
        self._transport = transport
        self._descriptor = descriptor
        self._behind = True

    def stop(self) -> None:
        """Drop what waits, let go of the socket, ignore what is written from now on. Idempotent."""
        self.stopped = True
        self._take()
        self._transport = None
        self._descriptor = NO_DESCRIPTOR

    def write(self, frames: bytes) -> None:
        """Send in the next turn of the loop, in order, joined with other writes; over the limit: `on_overflow`."""
        if self.stopped:
            return
        flusher, size = self._flusher, len(frames)
        self._frames.append(frames)
        self.waiting += size
        self.written_bytes += size
        flusher.messages_sent += 1
        flusher.bytes_waiting += size
        if self.waiting > flusher.limit and not self._unsent():
            self.flush()  # a burst of one turn of the loop: what the kernel takes at once need not wait
        waiting = self.waiting
        if not self._due and self._behind:
            waiting += self._unsent()
        if waiting > flusher.limit:
            self.stop()
            self.on_overflow()
        elif self._frames and not self._due and self._transport is not None:
            self._due = True
            flusher.schedule(self)

    def flush(self) -> None:
        """Send what waits now."""
        self._due = False
        transport = self._transport
        if transport is None or not self._frames:
            return
        size, frames = self.waiting, self._take()
        self._flusher.bytes_sent += size
        sent = 0
        if self._descriptor >= 0 and not (self._behind and self._unsent()):
            sent = _send(self._descriptor, frames)
        if sent < size:
            self._behind = True
            data = frames[0] if len(frames) == 1 else b"".join(frames)
            transport.write(data[sent:] if sent else data)

    def on_overflow(self) -> None:
        """More would wait than may: the outbox has stopped. Called within `write`."""
        raise NotImplementedError

    def _unsent(self) -> int:
        """Bytes that the transport has not sent."""
        unsent = 0 if self._transport is None else self._transport.get_write_buffer_size()
        self._behind = unsent > 0
        return unsent

    def _take(self) -> list[bytes]:
        frames, self._frames = self._frames, []
        self._flusher.bytes_waiting -= self.waiting
        self.waiting = 0
        return frames


def _send(descriptor: int, frames: list[bytes]) -> int:
    """How many bytes the kernel took; none when it takes none, or the connection is broken, which the loop finds."""
    try:
        if len(frames) == 1:
            return os.write(descriptor, frames[0])
        return os.writev(descriptor, frames if len(frames) <= GATHERED else [b"".join(frames)])
    except OSError:
        return 0
