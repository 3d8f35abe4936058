"""The connections of the server API: kept for further calls while the server serves, given up when it leaves.

A client cannot know that its kept connection ends at a server that is about to go. It is told so with an answer
(`Connection: close`, RFC 9112, section 9.6), after which its next call takes a new connection, which leads to another
server. A connection is closed without an answer only at the very end: a call may be on its way on it.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import socket
import time
from collections.abc import Awaitable, Callable

from aiohttp import web

from realtime_server.admin.api_server import ApiServer

BACKLOG = 128
ARRIVAL_SECONDS = 0.5
"""How long the first call of a connection that was accepted last may take to arrive."""
CALL_SECONDS = 5.0
"""How long calls that run at the end may take to be answered."""
LOOK_SECONDS = 0.02
CLOSE_SECONDS = 1.0


class ApiSite:
    """Listens for calls. `keeps` tells whether connections are kept for further calls; `clock` is monotonic."""

    def __init__(
        self,
        server: ApiServer,
        *,
        keeps: Callable[[], bool] = lambda: True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        application = server.application()
        application.middlewares.insert(0, self._follow)
        self._server = server
        self._runner = web.AppRunner(application, access_log=None, handle_signals=False, shutdown_timeout=CLOSE_SECONDS)
        self._keeps = keeps
        self._clock = clock
        self._running = 0
        self._answered_at = -math.inf

    async def setup(self) -> None:
        """Be ready to accept."""
        await self._runner.setup()

    async def accept(self, bound: socket.socket) -> Callable[[], Awaitable[None]]:
        """Accept on a bound socket; returns how to end that. Connections that were accepted go on."""
        site = web.SockSite(self._runner, bound, backlog=BACKLOG)
        await site.start()
        return site.stop

    def is_unused(self, seconds: float) -> bool:
        """True when no connection is open, and no call has come for so long."""
        return not self._connections and self._clock() - self._answered_at >= seconds

    async def close(self) -> None:
        """Answer the calls that have come, and close all connections. Nothing may be accepted any more."""
        if self._connections or self._running:
            await asyncio.sleep(ARRIVAL_SECONDS)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CALL_SECONDS):
                    while self._running:  # noqa: ASYNC110 - two numbers that change for each call, looked at once
                        await asyncio.sleep(LOOK_SECONDS)
        await self._runner.cleanup()

    @property
    def _connections(self) -> int:
        server = self._runner.server
        return 0 if server is None else len(server.connections)

    async def call(self, request: web.BaseRequest, method: str) -> web.StreamResponse:
        """Answer a call that came to another port, noted as one of this."""
        return await self._noted(self._server.call(request, method))

    @web.middleware
    async def _follow(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        return await self._noted(handler(request))

    async def _noted(self, answer: Awaitable[web.StreamResponse]) -> web.StreamResponse:
        """Note a call, and let its answer be the last one of its connection unless connections are kept."""
        self._running += 1
        try:
            response = await answer
        finally:
            self._running -= 1
            self._answered_at = self._clock()
        if not self._keeps():
            response.force_close()
        return response
