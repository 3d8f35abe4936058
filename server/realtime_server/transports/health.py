"""`/health` of the client port: the check of a load balancer, by the state of the worker that answers.

The server as a whole tells of itself on the admin port; here each worker tells whether it takes connections.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from aiohttp import web

from realtime_server.transports.http_server import HttpRequest

PATH = "/health"
METHODS = ("GET", "HEAD", "OPTIONS")
WhyNot = Callable[[], str | None]
"""Returns the reason why no connection is wanted; None when connections are taken."""


class HealthEndpoint:
    """200 and `{}` while connections are taken, else 503 and the reason; also in Centrifugo, whose path it is."""

    def __init__(self, why_not: WhyNot) -> None:
        self._why_not = why_not

    async def __call__(self, asked: HttpRequest) -> web.StreamResponse:
        """Answer a check. It is not counted: a failed one is no rejected client."""
        del asked
        reason = self._why_not()
        body = {} if reason is None else {"reason": reason}
        return web.Response(
            status=200 if reason is None else 503,
            body=msgspec.json.encode(body),
            content_type="application/json",
            headers={"Cache-Control": "no-store"},
        )
