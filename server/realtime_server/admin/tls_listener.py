"""Listener with TLS whose context may change from one connection to the next.

A listener of asyncio has one context for its whole life. Changing its certificate in place would leave former
authorities of clients in it, and sessions that they vouched for.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable

import structlog

logger = structlog.get_logger()

HANDSHAKES = 128
"""Upper bound of handshakes at the same time; further connections wait in the socket's queue."""
HANDSHAKE_SECONDS = 10.0
CLOSE_SECONDS = 1.0
PAUSE_SECONDS = 1.0
"""Pause after a failed accept: the process has no file descriptors left."""


class TlsListener:
    """Accepts connections on a listening socket until `close`; accepted connections stay open.

    `protocol` makes the protocol of a connection, `context` returns the TLS context for the next one. Handshakes that
    fail end their connection alone.
    """

    def __init__(
        self, listening: socket.socket, protocol: Callable[[], asyncio.Protocol], context: Callable[[], ssl.SSLContext]
    ) -> None:
        self._listening = listening
        self._protocol = protocol
        self._context = context
        self._loop = asyncio.get_running_loop()
        self._room = asyncio.Semaphore(HANDSHAKES)
        self._handshakes: set[asyncio.Task[None]] = set()
        self._accepting = self._loop.create_task(self._accept(), name="api-accept")

    async def close(self) -> None:
        """Stop accepting, and wait for handshakes under way, but not long."""
        self._accepting.cancel()
        await asyncio.gather(self._accepting, return_exceptions=True)
        self._listening.close()
        if self._handshakes:
            await asyncio.wait(self._handshakes, timeout=CLOSE_SECONDS)
        for task in self._handshakes:
            task.cancel()

    async def _accept(self) -> None:
        while True:
            await self._room.acquire()
            try:
                accepted, _ = await self._loop.sock_accept(self._listening)
            except OSError as error:
                self._room.release()
                logger.warning("cannot accept a connection of the api", error=str(error))
                await asyncio.sleep(PAUSE_SECONDS)
                continue
            task = self._loop.create_task(self._handshake(accepted), name="api-handshake")
            self._handshakes.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._handshakes.discard(task)
        self._room.release()

    async def _handshake(self, accepted: socket.socket) -> None:
        with contextlib.suppress(OSError):  # which ssl.SSLError and TimeoutError are; the socket is closed then
            await self._loop.connect_accepted_socket(
                self._protocol, accepted, ssl=self._context(), ssl_handshake_timeout=HANDSHAKE_SECONDS
            )
