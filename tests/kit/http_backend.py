"""A backend of the user over HTTP: answers hooks as the test defines, and records requests."""

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
"""A function from the body of a request to the answer."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request of a hook; header names in lower case."""

    path: str
    body: JsonObject
    headers: dict[str, str]
    raw: bytes


@dataclass
class HttpBackend:
    """An HTTP server while its context is entered; a path without an answer gets `{"result": {}}`."""

    answers: dict[str, Answer] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    delay: float | Callable[[JsonObject], float] = 0.0
    """Delay of answers in seconds, or a function from the body of a request to the delay."""
    released: asyncio.Event = field(default_factory=asyncio.Event)
    """Set by default; while a test has cleared it, requests get no answer."""
    port: int = field(default_factory=free_port)
    host: str = "127.0.0.1"
    """Address that it listens on."""
    tls: ssl.SSLContext | None = None
    """TLS context; with one the backend serves HTTPS."""
    running: int = 0
    most_at_once: int = 0
    _runner: web.AppRunner | None = None

    def url(self, path: str) -> str:
        """Return the URL of a hook."""
        return f"{'http' if self.tls is None else 'https'}://{self.host}:{self.port}/{path}"

    def bodies(self, path: str) -> list[JsonObject]:
        """Return the bodies of the requests to a hook."""
        return [request.body for request in self.requests if request.path == path]

    async def __aenter__(self) -> Self:
        """Listen."""
        self.released.set()
        application = web.Application()
        application.router.add_post("/{path}", self._answer)
        self._runner = web.AppRunner(application, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, self.host, self.port, ssl_context=self.tls).start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop listening; the context may be entered again."""
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
