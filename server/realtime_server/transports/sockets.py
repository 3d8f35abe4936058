"""Socket options and the count of all sockets of the port for clients."""

from __future__ import annotations

import asyncio
import fcntl
import socket
import struct
import termios

UNSENT_BYTES = 65_536
"""Maximum unsent data in the kernel per connection (TCP_NOTSENT_LOWAT, tcp(7)), in bytes.

The kernel's buffer would hold megabytes for a slow client: minutes of backlog that is out of reach of a namespace's
policy and delays pings. The value is that at which the event loop's transport reports a slow client.
"""


def bound_unsent(listening: socket.socket) -> None:
    """Limit the kernel's unsent data for the connections that this socket accepts, which inherit the option."""
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES)


def bound_buffer(transport: asyncio.WriteTransport) -> None:
    """Make a TLS transport report a slow client as early as others do: by default it buffers half a megabyte."""
    if transport.get_extra_info("sslcontext") is not None:
        transport.set_write_buffer_limits(UNSENT_BYTES)


def unacknowledged(transport: asyncio.WriteTransport) -> int:
    """Return the bytes given to a transport that its peer has not acknowledged (SIOCOUTQ, tcp(7)).

    This includes what waits in the transport. With TLS the records count, which are a little longer than the data.
    """
    waiting = transport.get_write_buffer_size()
    connected = transport.get_extra_info("socket")
    if connected is None:
        return waiting
    try:
        (queued,) = struct.unpack("i", fcntl.ioctl(connected.fileno(), termios.TIOCOUTQ, bytes(4)))
    except (OSError, ValueError):  # broken or closed, which the loop notices
        return waiting
    return waiting + int(queued)


def limit_silence(transport: asyncio.BaseTransport, seconds: float) -> None:
    """Close the connection when written data stays unacknowledged for this long (TCP_USER_TIMEOUT, tcp(7)).

    For clients that answer nothing: unacknowledged pings show that they are gone.
    """
    made = transport.get_extra_info("socket")
    if made is not None and hasattr(socket, "TCP_USER_TIMEOUT"):
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(seconds * 1000))


class Sockets:
    """Count of open sockets and its limit. Each `enter` needs exactly one `leave`."""

    __slots__ = ("limit", "open")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.open = 0

    def enter(self) -> bool:
        """Count a socket; return False above the limit: the socket must be closed at once, and calls `leave` too."""
        self.open += 1
        return self.open <= self.limit

    def leave(self) -> None:
        """Count a closed socket."""
        self.open -= 1


class Rejection(asyncio.Protocol):
    """Protocol of a socket above the limit, which is closed without an answer."""

    def __init__(self, sockets: Sockets) -> None:
        self._sockets = sockets

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Close the socket."""
        transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Count the closed socket."""
        del exc
        self._sockets.leave()
