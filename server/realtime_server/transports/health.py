"""`/health` of the port for clients: checks of a load balancer, answered by the state of this worker.

The state of the whole server is on the admin port; here each worker tells whether it accepts connections.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from aiohttp import web

from realtime_server.transports.http_server import HttpRequest

PATH = "/health"
METHODS = ("GET", "HEAD", "OPTIONS")
WhyNot = Callable[[], str | None]
"""Function that returns the reason for not accepting connections, None while they are accepted."""


class HealthEndpoint:
    """Endpoint of Centrifugo's path: 200 and `{}` while connections are accepted, else 503 with the reason."""

    def __init__(self, why_not: WhyNot) -> None:
        self._why_not = why_not

    async def __call__(self, asked: HttpRequest) -> web.StreamResponse:
        """Answer a check, without counting it: a failed check is no rejected client."""
        del asked
        reason = self._why_not()
        body = {} if reason is None else {"reason": reason}
        return web.Response(
            status=200 if reason is None else 503,
            body=msgspec.json.encode(body),
            content_type="application/json",
            headers={"Cache-Control": "no-store"},
        )
