"""Membership of a worker in the group of processes that accept on the same ports (SO_REUSEPORT)."""

from __future__ import annotations

import asyncio
import ctypes
import errno
import select
import socket
import struct
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from realtime_server.settings import ANY_ADDRESS

ANY_IPV4_ADDRESS = "0.0.0.0"  # noqa: S104 - a server in a pod is reached from outside of it
NO_IPV6 = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)
"""Errors with which a kernel refuses IPv6 addresses, without IPv6 or with IPv6 disabled."""
LEAVE_SECONDS = 0.05
"""Seconds for handshakes under way before a socket is closed, and between two looks at its queue."""
QUEUE_SECONDS = 2.0
"""Longest wait until the queue of a socket is empty; a worker without file descriptors accepts nobody."""
SO_ATTACH_FILTER = 26
"""Socket option of Linux that the socket module does not name (asm-generic/socket.h)."""
DROP_SYNS = ((0x30, 0, 0, 13), (0x45, 0, 1, 0x02), (0x06, 0, 0, 0), (0x06, 0, 0, 0xFFFFFFFF))
"""Classic BPF (linux/filter.h) for a TCP segment: load the flags, drop it if SYN is set, else pass it whole."""


@dataclass(frozen=True, slots=True)
class Listener:
    """Address to listen on, and the server behind it.

    `open` listens on a bound socket and returns a function that stops listening; accepted connections stay open.
    """

    host: str
    port: int
    open: Callable[[socket.socket], Awaitable[Callable[[], Awaitable[None]]]]


class ReusePortGroup:
    """Membership of this worker: `join` opens its listeners, `leave` closes them without resetting queued clients."""

    def __init__(self, listeners: Sequence[Listener]) -> None:
        self._listeners = listeners
        self._open: list[tuple[socket.socket, Callable[[], Awaitable[None]]]] = []

    @property
    def joined(self) -> bool:
        """True while this worker accepts new connections."""
        return bool(self._open)

    async def join(self) -> None:
        """Open all listeners. Raises OSError when an address cannot be bound. Idempotent."""
        if self._open:
            return
        for listener in self._listeners:
            bound = bind(listener.host, listener.port, shared=True)
            bound.setblocking(False)
            self._open.append((bound, await listener.open(bound)))

    async def leave(self) -> None:
        """Close all listeners.

        Closing a socket resets the connections in its queue. New connections are therefore kept out of the queue first,
        then it is emptied, however late this worker's event loop runs.
        """
        leaving, self._open = self._open, []
        for bound, _ in leaving:
            _keep_out(bound)
        if leaving:
            await _emptied([bound for bound, _ in leaving])
        for _, close in leaving:
            await close()


def _keep_out(listening: socket.socket) -> None:
    """Drop further SYNs, which clients repeat after a second and which then reach another worker.

    A backlog of 0 alone would do less: the kernel then still admits one connection at a time to the queue.
    """
    instructions = b"".join(struct.pack("=HBBI", *instruction) for instruction in DROP_SYNS)
    program = ctypes.create_string_buffer(instructions)
    try:
        listening.setsockopt(
            socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("@HP", len(DROP_SYNS), ctypes.addressof(program))
        )
    except OSError:  # a kernel without filters
        listening.listen(0)


async def _emptied(listening: Sequence[socket.socket]) -> None:
    """Wait until no connection is left in a queue, at least LEAVE_SECONDS and at most QUEUE_SECONDS."""
    queues = select.poll()
    for bound in listening:
        queues.register(bound, select.POLLIN)
    for _ in range(round(QUEUE_SECONDS / LEAVE_SECONDS)):
        await asyncio.sleep(LEAVE_SECONDS)
        if not queues.poll(0):
            return


def bind(host: str, port: int, *, shared: bool) -> socket.socket:
    """Return a bound socket. Raises OSError, whose text names the address and the reason.

    `::` accepts IPv4 too, and falls back to `0.0.0.0` on a machine without IPv6. `shared`: others may bind the same
    address.
    """
    try:
        try:
            return _bind(host, port, shared=shared)
        except OSError as error:
            if host != ANY_ADDRESS or error.errno not in NO_IPV6:
                raise
            return _bind(ANY_IPV4_ADDRESS, port, shared=shared)
    except OSError as error:
        shown = f"[{host}]" if ":" in host else host
        raise OSError(error.errno, f"cannot listen on {shown}:{port}: {error.strerror}") from error


def bind_unix(path: Path) -> socket.socket:
    """Return a bound Unix socket that only this user may open, replacing one that a former server left behind.

    Raises OSError, also where another server listens or the path is not a socket.
    """
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _remove_left_socket(path)
        made.bind(str(path))
        path.chmod(0o600)
    except OSError as error:
        made.close()
        raise OSError(error.errno, f"cannot listen on {path}: {error.strerror or error}") from error
    return made


def _remove_left_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as attempt:
        try:
            attempt.connect(str(path))
        except FileNotFoundError:
            return
        except ConnectionRefusedError:
            if not path.is_socket():
                raise OSError(errno.EEXIST, "the path exists and is not a socket") from None
            path.unlink()
        else:
            raise OSError(errno.EADDRINUSE, "another server listens on it")


def _bind(host: str, port: int, *, shared: bool) -> socket.socket:
    (family, kind, protocol, _, address), *_ = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    made = socket.socket(family, kind, protocol)
    try:
        # also for later processes: a connection in TIME_WAIT keeps the port from a socket without the option
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if host == ANY_ADDRESS:  # a machine may default to IPv6 only (net.ipv6.bindv6only)
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        made.bind(address)
    except OSError:
        made.close()
        raise
    return made
