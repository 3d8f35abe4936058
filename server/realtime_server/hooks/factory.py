"""Construction of the hooks from the settings, with the HTTP session that they share."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import aiohttp

from realtime_server import settings
from realtime_server.core.ports.backend import Hook
from realtime_server.core.ports.backplane import EventQueue
from realtime_server.core.ports.tracing import NO_TRACING, Tracing
from realtime_server.hooks.dispatcher import BATCH, EventDispatcher, QueuedDelivery
from realtime_server.hooks.endpoint import Endpoint, Sign
from realtime_server.hooks.http_backend import HttpBackend, HttpHook
from realtime_server.protocols.plain.selection import DISCONNECT
from realtime_server.route_settings import RouteHook, WebSocketRoutes
from realtime_server.settings import SecretFile

if TYPE_CHECKING:
    from realtime_server.hooks.route_hooks import HttpRouteHooks

CONNECTIONS = 512
"""Maximum number of HTTP connections to the backend per worker."""


class HookClient:
    """Owner of the HTTP session of a worker's hooks; `backend` and `routes` may be used between `start` and `stop`.

    `open_queue` opens the queue of a name with a capacity, see Backplane; `consumer` is this worker's name in them.
    """

    def __init__(
        self,
        hooks: settings.Hooks,
        routes: WebSocketRoutes,
        open_queue: Callable[[str, int], EventQueue],
        consumer: str,
        tracing: Tracing = NO_TRACING,
    ) -> None:
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
                open_queue("hooks", hooks.events.queue_size),
                endpoint,
                consumer,
                disconnects=hooks.events.disconnects,
                channels=hooks.events.channels,
            )
        self.backend = HttpBackend(found, events, hooks.forward_headers)
        self.routes = self._route_hooks(routes, open_queue, consumer, secret) if routes.has_hooks else None

    def _route_hooks(
        self,
        routes: WebSocketRoutes,
        open_queue: Callable[[str, int], EventQueue],
        consumer: str,
        secret: Callable[[], str],
    ) -> HttpRouteHooks:
        # Only now: the SDK of CloudEvents takes time and memory of every worker that imports it.
        from realtime_server.hooks.cloud_events import sign_event
        from realtime_server.hooks.route_hooks import HttpRouteHooks, RouteEndpoints, sending_to

        made = {}
        for route in routes.routes:
            endpoints = {
                action.key: self._endpoint(f"{route.name}/{action.key}", action.hook, secret, sign_event)
                for action in route.actions
                if action.hook is not None
            }
            ended, delivery = route.hook_of(DISCONNECT), None
            if ended is not None:
                endpoint = endpoints[DISCONNECT]
                queue = open_queue(f"route-{route.name}", ended.queue_size)
                # more at once than the endpoint takes would fail as a whole, again and again
                batch = min(BATCH, ended.concurrency)
                send = sending_to(endpoint)
                delivery = QueuedDelivery(queue, send, consumer, timeout=endpoint.timeout, batch=batch)
            made[route.name] = RouteEndpoints(endpoints, delivery)
        return HttpRouteHooks(made)

    def _endpoint(
        self,
        name: str,
        one: settings.HookEndpoint | RouteHook,
        secret: Callable[[], str],
        sign_request: Sign | None = None,
    ) -> Endpoint:
        return Endpoint(
            one.url,
            self._open_session,
            timeout=one.timeout_seconds,
            concurrency=one.concurrency,
            secret=secret,
            sign_request=sign_request,
            name=name,
            tracing=self._tracing,
        )

    def route_endpoints(self) -> Iterator[tuple[str, Endpoint]]:
        """Yield the endpoints of routes with their names, `ROUTE/ACTION`."""
        for route, found in () if self.routes is None else self.routes.routes.items():
            for key, endpoint in found.by_key.items():
                yield f"{route}/{key}", endpoint

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
        if self.routes is not None:
            await self.routes.start()

    async def stop(self) -> None:
        """Stop delivering events and close the HTTP session. Idempotent."""
        if self.backend.events is not None:
            await self.backend.events.stop()
        if self.routes is not None:
            await self.routes.stop()
        if self._session is not None:
            await self._session.close()
            self._session = None
