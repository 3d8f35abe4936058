"""HTTP endpoints of the process: liveness, readiness and metrics."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web
from prometheus_client import generate_latest

from realtime_operator.metrics import Metrics

Check = Callable[[], str | None]
"""Returns why the answer is no; None when it is yes."""


async def serve(port: int, metrics: Metrics, alive: Check, ready: Check) -> web.AppRunner:
    """Serve /healthz, /readyz and /metrics on all addresses until the returned runner is cleaned up."""

    async def exposition(_request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(metrics.registry), content_type="text/plain", charset="utf-8")

    application = web.Application()
    application.router.add_get("/healthz", _answering(alive))
    application.router.add_get("/readyz", _answering(ready))
    application.router.add_get("/metrics", exposition)
    runner = web.AppRunner(application, access_log=None, handle_signals=False, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, port=port).start()
    return runner


def _answering(check: Check) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def answer(_request: web.Request) -> web.Response:
        reason = check()
        document = {"ok": True} if reason is None else {"ok": False, "reason": reason}
        return web.json_response(document, status=200 if reason is None else 503)

    return answer
