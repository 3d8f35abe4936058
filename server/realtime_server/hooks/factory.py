"""Construction of the hooks from the settings, with the HTTP session that they share."""

from __future__ import annotations

import ssl
from collections.abc import Callable

import aiohttp

from realtime_server import settings
from realtime_server.core.ports.backend import Hook
from realtime_server.core.ports.backplane import EventQueue
from realtime_server.core.ports.tracing import NO_TRACING, Tracing
from realtime_server.hooks.dispatcher import EventDispatcher
from realtime_server.hooks.endpoint import Endpoint
from realtime_server.hooks.http_backend import HttpBackend, HttpHook
from realtime_server.settings import SecretFile

CONNECTIONS = 512
"""Maximum number of HTTP connections to the backend per worker."""


class HookClient:
    """Owner of the HTTP session of a worker's hooks; `backend` may be used between `start` and `stop`."""

    def __init__(self, hooks: settings.Hooks, queue: EventQueue, consumer: str, tracing: Tracing = NO_TRACING) -> None:
        self._tracing = tracing
        self._ca_file = hooks.ca_file
        self._session: aiohttp.ClientSession | None = None
        secret = SecretFile(hooks.secret_file).read
        found = {
            hook: HttpHook(self._endpoint(hook.value, one, secret), one.when_down == "allow", frozenset(one.namespaces))
            for hook in Hook
            if (one := hooks.of(hook.value)) is not None
        }
        events = None
        if hooks.events is not None:
            endpoint = self._endpoint("events", hooks.events, secret)
            events = EventDispatcher(
                queue, endpoint, consumer, disconnects=hooks.events.disconnects, channels=hooks.events.channels
            )
        self.backend = HttpBackend(found, events, hooks.forward_headers)

    def _endpoint(self, name: str, one: settings.HookEndpoint, secret: Callable[[], str]) -> Endpoint:
        return Endpoint(
            one.url,
            self._open_session,
            timeout=one.timeout_seconds,
            concurrency=one.concurrency,
            secret=secret,
            name=name,
            tracing=self._tracing,
        )

    def _open_session(self) -> aiohttp.ClientSession:
        assert self._session is not None
        return self._session

    async def start(self) -> None:
        """Open the HTTP session and start delivering events."""
        context = ssl.create_default_context(cafile=self._ca_file)
        connector = aiohttp.TCPConnector(ssl=context, limit=CONNECTIONS)
        self._session = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())
        if self.backend.events is not None:
            await self.backend.events.start()

    async def stop(self) -> None:
        """Stop delivering events and close the HTTP session. Idempotent."""
        if self.backend.events is not None:
            await self.backend.events.stop()
        if self._session is not None:
            await self._session.close()
            self._session = None
