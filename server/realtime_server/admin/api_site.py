"""Listener of the server API, with graceful closing of kept-alive connections.

A client cannot know that the server of its kept connection is about to stop. An answer with `Connection: close` (RFC
9112, section 9.6) tells it, so that its next call opens a connection to another server. A connection is closed without
such an answer only at the very end, because a call may be under way on it.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import socket
import ssl
import time
from collections.abc import Awaitable, Callable

from aiohttp import web

from realtime_server.admin.api_server import ApiServer
from realtime_server.admin.tls_listener import TlsListener

BACKLOG = 128
ARRIVAL_SECONDS = 0.5
"""Seconds that the first call of the most recently accepted connection may take to arrive."""
CALL_SECONDS = 5.0
"""Seconds that calls under way at the end may take to be answered."""
LOOK_SECONDS = 0.02
CLOSE_SECONDS = 1.0


class ApiSite:
    """Listener for API calls. `keeps` returns True while connections are kept alive; `clock` is monotonic seconds.

    `tls` returns the context for the next connection; None: without TLS.
    """

    def __init__(
        self,
        server: ApiServer,
        *,
        keeps: Callable[[], bool] = lambda: True,
        clock: Callable[[], float] = time.monotonic,
        tls: Callable[[], ssl.SSLContext] | None = None,
    ) -> None:
        application = server.application()
        application.middlewares.insert(0, self._follow)
        self._server = server
        self._runner = web.AppRunner(application, access_log=None, handle_signals=False, shutdown_timeout=CLOSE_SECONDS)
        self._keeps = keeps
        self._clock = clock
        self._tls = tls
        self._running = 0
        self._answered_at = -math.inf

    async def setup(self) -> None:
        """Prepare for `accept`."""
        await self._runner.setup()

    async def accept(self, bound: socket.socket) -> Callable[[], Awaitable[None]]:
        """Accept connections on a bound socket; return a function that stops accepting.

        Connections that were accepted before that stay open.
        """
        if self._tls is not None:
            assert self._runner.server is not None
            bound.listen(BACKLOG)
            return TlsListener(bound, self._runner.server, self._tls).close
        site = web.SockSite(self._runner, bound, backlog=BACKLOG)
        await site.start()
        return site.stop

    def is_unused(self, seconds: float) -> bool:
        """Return True when no connection is open and no call was answered for this many seconds."""
        return not self._connections and self._clock() - self._answered_at >= seconds

    async def close(self) -> None:
        """Answer the calls that have arrived, then close all connections. Call after accepting has stopped."""
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
        """Answer a call that arrived on another port, tracked like one of this port."""
        return await self._noted(self._server.call(request, method))

    @web.middleware
    async def _follow(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        return await self._noted(handler(request))

    async def _noted(self, answer: Awaitable[web.StreamResponse]) -> web.StreamResponse:
        """Track a call, and close its connection with the answer unless connections are kept alive."""
        self._running += 1
        try:
            response = await answer
        finally:
            self._running -= 1
            self._answered_at = self._clock()
        if not self._keeps():
            response.force_close()
        return response
