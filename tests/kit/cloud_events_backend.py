"""A backend of routes: receives CloudEvents as their SDK reads them, and answers as the test defines."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self

from aiohttp import web
from cloudevents.core.base import BaseCloudEvent
from cloudevents.core.bindings.http import HTTPMessage, from_binary
from cloudevents.core.formats.json import JSONFormat

from tests.kit.deadline import eventually
from tests.kit.redis_process import free_port

Answer = Callable[["ReceivedEvent"], web.Response]


@dataclass(frozen=True, slots=True)
class ReceivedEvent:
    """An event, and the request that it came with; names of headers in lower case."""

    event: BaseCloudEvent
    headers: dict[str, str]
    body: bytes

    def attribute(self, name: str) -> str:
        """Return an attribute, "" for an absent one."""
        return str(self.event.get_attributes().get(name, ""))


@dataclass
class CloudEventsBackend:
    """An HTTP server while its context is entered; a path without an answer gets 204."""

    answers: dict[str, Answer] = field(default_factory=dict)
    events: dict[str, list[ReceivedEvent]] = field(default_factory=dict)
    """Events by the path that they were sent to."""
    port: int = field(default_factory=free_port)
    released: asyncio.Event = field(default_factory=asyncio.Event)
    """Set by default; while a test has cleared it, requests get no answer."""
    _runner: web.AppRunner | None = None

    def url(self, path: str) -> str:
        """Return the URL of a path."""
        return f"http://127.0.0.1:{self.port}/{path}"

    def of(self, path: str, connection: str = "") -> list[ReceivedEvent]:
        """Return the events at a path, optionally of one connection."""
        found = self.events.get(path, [])
        return [one for one in found if not connection or one.attribute("connectionid") == connection]

    async def event(self, path: str, accept: Callable[[ReceivedEvent], bool]) -> ReceivedEvent:
        """Return the first event at a path that is accepted, within a deadline."""

        async def find() -> list[ReceivedEvent]:
            return [one for one in self.of(path) if accept(one)]

        found = await eventually(
            find, bool, what=f"event at {path}", within=15, every=0.02, show=lambda _: str(self.events.get(path))
        )
        return found[0]

    async def __aenter__(self) -> Self:
        """Listen."""
        self.released.set()
        application = web.Application()
        application.router.add_post("/{path}", self._answer)
        self._runner = web.AppRunner(application, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop listening; the context may be entered again."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _answer(self, request: web.Request) -> web.Response:
        body, path = await request.read(), request.match_info["path"]
        headers = {name.lower(): value for name, value in request.headers.items()}
        event = from_binary(HTTPMessage(headers, body), JSONFormat())
        received = ReceivedEvent(event, headers, body)
        self.events.setdefault(path, []).append(received)
        await self.released.wait()
        answer = self.answers.get(path)
        return web.Response(status=204) if answer is None else answer(received)
