"""The sockets of the clients' port: all of them are counted, whatever stands behind them."""

from __future__ import annotations

import asyncio
import fcntl
import socket
import struct
import termios

UNSENT_BYTES = 65_536
"""Bytes that the kernel takes of a connection beyond what its network takes now (TCP_NOTSENT_LOWAT, tcp(7)).

Its buffer would hold megabytes for a client that reads slowly: minutes of backlog that no policy of a namespace sees
and that pings wait behind. As much as the event loop's transport holds before it says that a client is slow.
"""


def bound_unsent(listening: socket.socket) -> None:
    """Bound what the kernel holds unsent of the connections that this socket accepts, which inherit it."""
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES)


def bound_buffer(transport: asyncio.WriteTransport) -> None:
    """Let a transport of TLS say as early as others that its client is slow: by itself it gathers half a megabyte."""
    if transport.get_extra_info("sslcontext") is not None:
        transport.set_write_buffer_limits(UNSENT_BYTES)


def unacknowledged(transport: asyncio.WriteTransport) -> int:
    """Bytes given to a transport that its other end has not acknowledged, here and in the kernel (SIOCOUTQ, tcp(7)).

    With TLS they are those of its records, which are a little longer than what was written.
    """
    waiting = transport.get_write_buffer_size()
    connected = transport.get_extra_info("socket")
    if connected is None:
        return waiting
    try:
        (queued,) = struct.unpack("i", fcntl.ioctl(connected.fileno(), termios.TIOCOUTQ, bytes(4)))
    except (OSError, ValueError):  # broken or closed: the loop finds out
        return waiting
    return waiting + int(queued)


def limit_silence(transport: asyncio.BaseTransport, seconds: float) -> None:
    """Break the connection when what was written is not acknowledged for so long (TCP_USER_TIMEOUT, tcp(7)).

    For clients that answer nothing: they are found to be gone by the pings that they do not acknowledge.
    """
    made = transport.get_extra_info("socket")
    if made is not None and hasattr(socket, "TCP_USER_TIMEOUT"):
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(seconds * 1000))


class Sockets:
    """How many sockets are open, and how many may be. Whoever enters leaves exactly once."""

    __slots__ = ("limit", "open")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.open = 0

    def enter(self) -> bool:
        """Count one more; False if that is too many: it has to be closed at once, and leaves as the others do."""
        self.open += 1
        return self.open <= self.limit

    def leave(self) -> None:
        """One is closed."""
        self.open -= 1


class Rejection(asyncio.Protocol):
    """A socket that was one too many: closed without a word."""

    def __init__(self, sockets: Sockets) -> None:
        self._sockets = sockets

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Close it."""
        transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is closed."""
        del exc
        self._sockets.leave()
