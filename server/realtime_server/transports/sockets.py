"""The sockets of the clients' port: all of them are counted, whatever stands behind them."""

from __future__ import annotations

import asyncio
import socket


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
