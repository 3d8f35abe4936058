"""Outbox of connections: writes of one loop iteration are joined to one system call per connection.

The kernel is called directly, bypassing the event loop's transport, which gets only what the kernel does not take: in a
fan-out the transport costs more than everything else in the process. This is the twin of `server/native/outbox.c`.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Protocol

NO_DESCRIPTOR = -1
"""Descriptor of a transport that must see every byte, as with TLS."""
GATHERED = 64
"""Maximum number of writes that are passed to the kernel separately; more are copied into one."""


def descriptor_of(transport: asyncio.BaseTransport) -> int:
    """Return the file descriptor of a connection that may be written to directly, else NO_DESCRIPTOR."""
    if transport.get_extra_info("sslcontext") is not None:
        return NO_DESCRIPTOR
    connected = transport.get_extra_info("socket")
    return NO_DESCRIPTOR if connected is None else int(connected.fileno())


class Transport(Protocol):
    """Part of asyncio.WriteTransport that an outbox needs."""

    def write(self, data: bytes, /) -> None:
        """Send data in order, now or later."""

    def get_write_buffer_size(self) -> int:
        """Return the number of unsent bytes."""


class Flusher:
    """Sender of what a worker's connections write in one iteration of the event loop, in the next iteration.

    `limit`: bytes that may wait for one connection. `call_soon` is the loop's. It counts messages and bytes written
    since the start, and the bytes waiting now.
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
        """Flush all connections that are due; raise the first error after all were flushed."""
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
        """Schedule a flush of an outbox in the next iteration of the loop."""
        if not self._due:
            self._call_soon(self.flush)
        self._due.append(outbox)


class Outbox:
    """Outbox of one connection; the base of implementations of core's Connection.

    Writes before `begin` wait within the limit; after `stop` they are ignored. `written_bytes` counts the bytes passed
    to `write` since the beginning, `waiting` those that neither the kernel nor the transport has.
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
        """True while the transport may have unsent bytes, which must go first."""
        self._due = False
        self.stopped = False

    def begin(self, transport: Transport, descriptor: int) -> None:
        """Start sending: to `descriptor` unless it is NO_DESCRIPTOR; `transport` gets what the kernel does not take."""
        self._transport = transport
        self._descriptor = descriptor
        self._behind = True

    def stop(self) -> None:
        """Drop waiting data, release the socket, and ignore further writes. Idempotent."""
        self.stopped = True
        self._take()
        self._transport = None
        self._descriptor = NO_DESCRIPTOR

    def write(self, frames: bytes) -> None:
        """Queue frames for the next iteration of the loop, in order; above the limit, `on_overflow` is called."""
        if self.stopped:
            return
        flusher, size = self._flusher, len(frames)
        self._frames.append(frames)
        self.waiting += size
        self.written_bytes += size
        flusher.messages_sent += 1
        flusher.bytes_waiting += size
        if self.waiting > flusher.limit and not self._unsent():
            self.flush()  # a burst of one loop iteration: data that the kernel takes at once need not wait
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
        """Send the waiting data now."""
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
        """Handle an overflow of the outbox, which has stopped. Called within `write`."""
        raise NotImplementedError

    def _unsent(self) -> int:
        """Return the number of bytes that the transport has not sent."""
        unsent = 0 if self._transport is None else self._transport.get_write_buffer_size()
        self._behind = unsent > 0
        return unsent

    def _take(self) -> list[bytes]:
        frames, self._frames = self._frames, []
        self._flusher.bytes_waiting -= self.waiting
        self.waiting = 0
        return frames


def _send(descriptor: int, frames: list[bytes]) -> int:
    """Return the number of bytes that the kernel took; 0 also when the connection is broken, which the loop notices."""
    try:
        if len(frames) == 1:
            return os.write(descriptor, frames[0])
        return os.writev(descriptor, frames if len(frames) <= GATHERED else [b"".join(frames)])
    except OSError:
        return 0
