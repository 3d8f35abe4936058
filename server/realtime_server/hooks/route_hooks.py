"""Hooks of routes over HTTP: implements core's RouteHooks.

The status of an answer decides: 2xx is a reply, with its body if it has one. A refusal of the backend becomes an error
of the catalogue, anything else an internal error.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

import structlog

from realtime_server import codes
from realtime_server.codes import ErrorCode
from realtime_server.core.limits.rates import KeyedRates
from realtime_server.core.model.errors import CommandError
from realtime_server.core.ports.backend import Caller, Disconnected
from realtime_server.core.ports.route_hooks import Opened, RouteMessage
from realtime_server.hooks import cloud_events
from realtime_server.hooks.cloud_events import HttpEvent
from realtime_server.hooks.dispatcher import QueuedDelivery
from realtime_server.hooks.endpoint import BackendError, BackendRefusedError, Endpoint
from realtime_server.hooks.http_backend import WARN_SECONDS, origin_of
from realtime_server.protocols.plain.selection import CONNECT

logger = structlog.get_logger()

ERRORS: Mapping[int, ErrorCode] = {
    400: codes.BAD_REQUEST,
    401: codes.UNAUTHORIZED,
    403: codes.PERMISSION_DENIED,
    404: codes.METHOD_NOT_FOUND,
    413: codes.LIMIT_EXCEEDED,
    422: codes.BAD_REQUEST,
    429: codes.TOO_MANY_REQUESTS,
}
"""Errors by the status of the backend's answer."""


@dataclass(frozen=True, slots=True)
class RouteEndpoints:
    """Endpoints of a route by the keys of its actions, and the delivery of ends of connections, None for none."""

    by_key: Mapping[str, Endpoint]
    disconnects: QueuedDelivery | None = None


class HttpRouteHooks:
    """Hooks of all routes of a worker, by the routes' names."""

    def __init__(
        self,
        routes: Mapping[str, RouteEndpoints],
        *,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self.routes = routes
        self._clock = clock
        self._wall_clock = wall_clock
        self._warnings = KeyedRates(1 / WARN_SECONDS, 1)

    async def start(self) -> None:
        """Start delivering ends of connections."""
        for delivery in self._deliveries():
            await delivery.start()

    async def stop(self) -> None:
        """Stop delivering; what is not delivered stays queued for another worker. Idempotent."""
        for delivery in self._deliveries():
            await delivery.stop()

    async def connect(self, route: str, caller: Caller, opened: Opened) -> bytes:
        """See RouteHooks."""
        event = cloud_events.connect_event(route, caller, opened, self._wall_clock())
        return await self._ask(route, CONNECT, caller, event)

    async def message(self, route: str, caller: Caller, message: RouteMessage) -> bytes:
        """See RouteHooks."""
        event = cloud_events.message_event(route, caller, message, self._wall_clock())
        return await self._ask(route, message.key, caller, event)

    def disconnected(self, route: str, caller: Caller, event: Disconnected) -> None:
        """See RouteHooks."""
        delivery = self.routes[route].disconnects
        if delivery is not None:
            made = cloud_events.disconnect_event(route, caller, event, self._wall_clock())
            delivery.put(cloud_events.to_queue(made))

    async def _ask(self, route: str, key: str, caller: Caller, event: HttpEvent) -> bytes:
        """Post an event and return the body of the answer. Raises CommandError."""
        headers = {**forwarded(caller.transport.headers), **event.headers}
        try:
            return await self.routes[route].by_key[key].call(event.body, headers, origin_of(caller))
        except BackendRefusedError as error:
            if (known := ERRORS.get(error.status)) is None:
                self._warn("hook of a route refused by the backend", route, key, error)
                raise CommandError(codes.INTERNAL) from error
            why = f"{known.message}: the backend has answered with status {error.status}"
            raise CommandError(known, why) from error
        except BackendError as error:
            self._warn("hook of a route not answered", route, key, error)
            raise CommandError(codes.INTERNAL) from error

    def _warn(self, event: str, route: str, key: str, error: Exception) -> None:
        """Log a failed call, at most once per WARN_SECONDS for each action."""
        if self._warnings.take((event, route, key), self._clock()):
            logger.warning(event, route=route, action=key, error=str(error))

    def _deliveries(self) -> list[QueuedDelivery]:
        return [found.disconnects for found in self.routes.values() if found.disconnects is not None]


def forwarded(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the client's headers for the backend, without those that would be attributes of the event."""
    return {name: value for name, value in headers.items() if not name.startswith("ce-")}


def sending_to(endpoint: Endpoint) -> Callable[[Sequence[bytes]], Awaitable[None]]:
    """Return a function that sends queued events to an endpoint, all at once, and raises the first error."""

    async def send(events: Sequence[bytes]) -> None:
        made = [cloud_events.from_queue(event) for event in events]
        calls = (endpoint.call(event.body, event.headers) for event in made if event is not None)
        for result in await asyncio.gather(*calls, return_exceptions=True):
            if isinstance(result, BaseException):
                raise result

    return send
