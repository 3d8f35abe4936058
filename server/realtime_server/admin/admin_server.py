"""Health, metrics and the admin API of a server, on a port that no client reaches."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from importlib.metadata import version

from aiohttp import web
from prometheus_client.core import CounterMetricFamily

from realtime_server.admin.exposition import merge
from realtime_server.admin.responses import error_response, json_body, json_response, same_secret
from realtime_server.admin.worker import encode_status
from realtime_server.admin.workers import Workers, WorkersUnavailableError
from realtime_server.core.ports import ServingState, WorkerStatus
from realtime_server.settings import SecretFile, Settings, revision, server_name

MAX_RATE = 1_000_000.0
MAX_CONNECTIONS = 10_000_000

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class ServerState:
    """What the supervisor knows of its workers."""

    alive: Callable[[], bool]
    restarts: Callable[[], int]


class BadRequestError(Exception):
    """The body is not what the call takes."""


class AdminServer:
    """The site."""

    def __init__(self, workers: Workers, settings: Settings, state: ServerState) -> None:
        self._workers = workers
        self._state = state
        self._token = SecretFile(settings.admin.token_file)
        self._started = time.monotonic()

    def application(self) -> web.Application:
        """The aiohttp application."""
        application = web.Application(middlewares=[self._guard])
        router = application.router
        router.add_get("/health/live", self._live)
        router.add_get("/health/ready", self._ready)
        router.add_get("/metrics", self._metrics)
        router.add_get("/admin/v1/status", self._status)
        router.add_post("/admin/v1/quiesce", self._quiesce)
        router.add_post("/admin/v1/resume", self._resume)
        router.add_post("/admin/v1/drain", self._drain)
        router.add_delete("/admin/v1/drain", self._stop_drain)
        router.add_post("/admin/v1/shed", self._shed)
        return application

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path.startswith("/admin/"):
            scheme, _, token = request.headers.get("Authorization", "").partition(" ")
            if scheme.lower() != "bearer" or not same_secret(token.strip(), self._token.read()):
                return error_response(401, "unauthorized: send the admin token as a bearer token")
        try:
            return await handler(request)
        except BadRequestError as error:
            return error_response(400, str(error))
        except WorkersUnavailableError as error:
            return error_response(503, f"a worker does not answer: {error}")

    async def _live(self, _request: web.Request) -> web.Response:
        return json_response({"live": True})

    async def _ready(self, _request: web.Request) -> web.Response:
        reason = await self._not_ready()
        if reason is None:
            return json_response({"ready": True})
        return json_response({"ready": False, "reason": reason}, 503)

    async def _not_ready(self) -> str | None:
        if not self._state.alive():
            return "a worker is not running"
        try:
            status = await self._workers.status()
        except WorkersUnavailableError:
            return "a worker does not answer yet"
        if status.state is not ServingState.SERVING:
            return f"the server is {status.state.value}"
        return None if status.backplane_healthy else "the backplane cannot be reached"

    async def _metrics(self, _request: web.Request) -> web.Response:
        restarts = CounterMetricFamily("realtime_server_worker_restarts", "Workers started again after they died.")
        restarts.add_metric([], self._state.restarts())
        body = merge(await self._workers.metrics(), [restarts])
        return web.Response(body=body, content_type="text/plain", charset="utf-8")

    async def _status(self, _request: web.Request) -> web.Response:
        return self._answer(await self._workers.status())

    async def _quiesce(self, _request: web.Request) -> web.Response:
        return self._answer(await self._workers.command("quiesce"))

    async def _resume(self, _request: web.Request) -> web.Response:
        return self._answer(await self._workers.command("resume"))

    async def _stop_drain(self, _request: web.Request) -> web.Response:
        return self._answer(await self._workers.command("stop-drain"))

    async def _drain(self, request: web.Request) -> web.Response:
        body = await _body(request)
        return self._answer(await self._workers.drain(_number(body, "connections_per_second", MAX_RATE)))

    async def _shed(self, request: web.Request) -> web.Response:
        body = await _body(request)
        connections = int(_number(body, "connections", MAX_CONNECTIONS))
        return self._answer(await self._workers.shed(connections, _number(body, "connections_per_second", MAX_RATE)))

    def _answer(self, status: WorkerStatus) -> web.Response:
        return json_response(
            {
                "server": server_name(),
                "version": version("realtime-operator"),
                "revision": revision(),
                **encode_status(status),
                "workers": len(self._workers),
                "uptime_seconds": round(time.monotonic() - self._started, 3),
            }
        )


async def _body(request: web.Request) -> dict[str, object]:
    body = await json_body(request)
    if body is None:
        raise BadRequestError("the body must be a JSON object")
    return body


def _number(body: dict[str, object], name: str, maximum: float) -> float:
    value = body.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= maximum:
        raise BadRequestError(f"{name} must be a number above 0 and not above {maximum:g}")
    return value


async def serve(workers: Workers, settings: Settings, state: ServerState) -> web.AppRunner:
    """Listen on the admin port; `cleanup` of what is returned ends it."""
    application = AdminServer(workers, settings, state).application()
    runner = web.AppRunner(application, access_log=None, handle_signals=False)
    await runner.setup()
    await web.TCPSite(runner, settings.listen.host, settings.listen.admin_port, shutdown_timeout=1).start()
    return runner
