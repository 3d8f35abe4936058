"""A proxy without session affinity in front of servers: the requests of a client go to them in turn.

A WebSocket that is to take over a polling connection goes to the server at which that was not opened.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Self

import aiohttp
from aiohttp import WSMessage, WSMsgType, web

from tests.kit.redis_process import free_port

HOP_BY_HOP = {"connection", "content-length", "host", "keep-alive", "transfer-encoding", "upgrade"}


class RequestBalancer:
    """Proxy on 127.0.0.1 in front of servers on 127.0.0.1, while its context is entered."""

    def __init__(self, ports: Sequence[int]) -> None:
        self.ports = list(ports)
        self._count = 0
        self._opened_at: dict[str, int] = {}
        """Port of the server at which each Engine.IO connection was opened, by its id."""
        self._session: aiohttp.ClientSession | None = None
        self._runner: web.AppRunner | None = None
        self.port = 0
        self.upgrades = 0
        """Number of WebSockets that were sent to another server than that of their connection."""

    @property
    def opened_at(self) -> set[int]:
        """Ports of the servers at which connections that poll were opened."""
        return {*self._opened_at.values()}

    async def __aenter__(self) -> Self:
        """Listen."""
        self._session = aiohttp.ClientSession(auto_decompress=False)
        application = web.Application(client_max_size=1 << 24)
        application.router.add_route("*", "/{path:.*}", self._serve)
        self._runner = web.AppRunner(application, handler_cancellation=True, shutdown_timeout=0.1)
        await self._runner.setup()
        self.port = free_port()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop."""
        assert self._runner is not None
        assert self._session is not None
        await self._session.close()
        await self._runner.cleanup()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        self._count += 1
        port = self.ports[self._count % len(self.ports)]
        sid = request.query.get("sid", "")
        if request.headers.get("Upgrade", "").lower() == "websocket":
            if sid:
                self.upgrades += 1
                port = next((each for each in self.ports if each != self._opened_at[sid]), port)
            return await self._relay(request, port)
        assert self._session is not None
        headers = {name: value for name, value in request.headers.items() if name.lower() not in HOP_BY_HOP}
        url = f"http://127.0.0.1:{port}{request.path_qs}"
        async with self._session.request(request.method, url, data=await request.read(), headers=headers) as answer:
            body = await answer.read()
        if not sid and body.startswith(b'0{"sid":"'):
            self._opened_at[body[9:].partition(b'"')[0].decode()] = port
        kept = {name: value for name, value in answer.headers.items() if name.lower() not in HOP_BY_HOP}
        return web.Response(status=answer.status, body=body, headers=kept)

    async def _relay(self, request: web.Request, port: int) -> web.StreamResponse:
        assert self._session is not None
        here = web.WebSocketResponse(compress=False, autoping=True, max_msg_size=1 << 24)
        await here.prepare(request)
        url = f"http://127.0.0.1:{port}{request.path_qs}"
        async with self._session.ws_connect(url, max_msg_size=1 << 24) as there:
            tasks = [
                asyncio.create_task(_copy(here, there), name="to the server"),
                asyncio.create_task(_copy(there, here), name="to the client"),
            ]
            try:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
        await here.close()
        return here


async def _copy(
    source: web.WebSocketResponse | aiohttp.ClientWebSocketResponse,
    target: web.WebSocketResponse | aiohttp.ClientWebSocketResponse,
) -> None:
    with contextlib.suppress(ConnectionError):
        while (message := await _next(source)) is not None:
            if message.type is WSMsgType.TEXT:
                await target.send_str(str(message.data))
            else:
                await target.send_bytes(bytes(message.data))


async def _next(source: web.WebSocketResponse | aiohttp.ClientWebSocketResponse) -> WSMessage | None:
    message = await source.receive()
    return message if message.type in {WSMsgType.TEXT, WSMsgType.BINARY} else None
