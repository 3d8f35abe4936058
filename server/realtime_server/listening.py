"""A worker's place among those that accept connections on the same ports (SO_REUSEPORT)."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

LEAVE_SECONDS = 0.05
"""How long what the kernel has accepted for a socket is taken over before the socket is closed."""


@dataclass(frozen=True, slots=True)
class Entrance:
    """A port and what serves it: `open` listens on a bound socket and returns how to end that.

    Ending it closes the socket; connections that were accepted go on.
    """

    host: str
    port: int
    open: Callable[[socket.socket], Awaitable[Callable[[], Awaitable[None]]]]


class AcceptGroup:
    """One worker's membership: `join` opens its entrances, `leave` closes them and loses nobody who stands in line."""

    def __init__(self, entrances: Sequence[Entrance]) -> None:
        self._entrances = entrances
        self._open: list[tuple[socket.socket, Callable[[], Awaitable[None]]]] = []

    @property
    def joined(self) -> bool:
        """Whether new connections arrive here."""
        return bool(self._open)

    async def join(self) -> None:
        """Accept from now on; raises OSError when a port cannot be had."""
        if self._open:
            return
        for entrance in self._entrances:
            bound = bind(entrance.host, entrance.port, shared=True)
            bound.setblocking(False)
            self._open.append((bound, await entrance.open(bound)))

    async def leave(self) -> None:
        """Accept no more.

        A socket that is closed resets the connections in its queue. So the queue is closed first (a backlog of 0: the
        kernel drops a further SYN, which the client sends again, and it reaches another worker), then emptied.
        """
        leaving, self._open = self._open, []
        for bound, _ in leaving:
            bound.listen(0)
        if leaving:
            await asyncio.sleep(LEAVE_SECONDS)
        for _, close in leaving:
            await close()


def bind(host: str, port: int, *, shared: bool) -> socket.socket:
    """A bound socket; raises OSError with a text that says which address cannot be had and why."""
    try:
        (family, kind, protocol, _, address), *_ = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        made = socket.socket(family, kind, protocol)
        try:
            # also for whoever comes later: a connection in TIME_WAIT keeps the port from those who ask for it alone
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if shared:
                made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            made.bind(address)
        except OSError:
            made.close()
            raise
    except OSError as error:
        raise OSError(error.errno, f"cannot listen on {host}:{port}: {error.strerror}") from error
    return made
