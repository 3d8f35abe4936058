"""A backend of the user over HTTP on loopback: answers hooks as the test says, and keeps what it was sent."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self

from aiohttp import web

from realtime_operator.api.base import JsonObject
from tests.kit.redis_process import free_port

Answer = Callable[[JsonObject], JsonObject | web.StreamResponse]
"""From the body of a request to its answer."""


@dataclass(frozen=True, slots=True)
class Request:
    """What a hook has sent; names of headers in lower case."""

    path: str
    body: JsonObject
    headers: dict[str, str]
    raw: bytes


@dataclass
class HttpBackend:
    """Listens between `async with`; a path without an answer gets `{"result": {}}`."""

    answers: dict[str, Answer] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    delay: float | Callable[[JsonObject], float] = 0.0
    """Seconds until it answers, or how many for the body of a request."""
    released: asyncio.Event = field(default_factory=asyncio.Event)
    """Set as a rule; it answers nothing while a test has cleared it."""
    port: int = field(default_factory=free_port)
    tls: ssl.SSLContext | None = None
    """With one it speaks HTTPS."""
    running: int = 0
    most_at_once: int = 0
    _runner: web.AppRunner | None = None

    def url(self, path: str) -> str:
        """Where a hook is."""
        return f"{'http' if self.tls is None else 'https'}://127.0.0.1:{self.port}/{path}"

    def bodies(self, path: str) -> list[JsonObject]:
        """What was sent to a hook."""
        return [request.body for request in self.requests if request.path == path]

    async def __aenter__(self) -> Self:
        """Listen."""
        self.released.set()
        application = web.Application()
        application.router.add_post("/{path}", self._answer)
        self._runner = web.AppRunner(application, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port, ssl_context=self.tls).start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Be away; it may come back."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        raw, path = await request.read(), request.match_info["path"]
        headers = {name.lower(): value for name, value in request.headers.items()}
        body: JsonObject = json.loads(raw)
        self.requests.append(Request(path, body, headers, raw))
        self.running += 1
        self.most_at_once = max(self.most_at_once, self.running)
        try:
            await asyncio.sleep(self.delay(body) if callable(self.delay) else self.delay)
            await self.released.wait()
        finally:
            self.running -= 1
        found = self.answers.get(path)
        answer: JsonObject | web.StreamResponse = {"result": {}}
        if found is not None:
            answer = found(body)
        return web.json_response(answer) if isinstance(answer, dict) else answer
