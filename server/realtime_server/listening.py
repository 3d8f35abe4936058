"""Membership of a worker in the group of processes that accept on the same ports (SO_REUSEPORT)."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from realtime_server.settings import ANY_ADDRESS

ANY_IPV4_ADDRESS = "0.0.0.0"  # noqa: S104 - a server in a pod is reached from outside of it
NO_IPV6 = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)
"""Errors with which a kernel refuses IPv6 addresses, without IPv6 or with IPv6 disabled."""
LEAVE_SECONDS = 0.05
"""Seconds for accepting the connections left in a socket's queue before it is closed."""


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

        Closing a socket resets the connections in its queue. The queue is therefore closed first (a backlog of 0: the
        kernel drops further SYNs, which clients repeat and which reach another worker), then emptied.
        """
        leaving, self._open = self._open, []
        for bound, _ in leaving:
            bound.listen(0)
        if leaving:
            await asyncio.sleep(LEAVE_SECONDS)
        for _, close in leaving:
            await close()


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
