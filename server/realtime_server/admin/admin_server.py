"""Health, metrics and the admin API of a server, on a port that clients do not reach."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from importlib.metadata import version

import msgspec
from aiohttp import web
from prometheus_client.core import CounterMetricFamily

from realtime_server.admin.exposition import CONTENT_TYPE, merge
from realtime_server.admin.responses import error_response, json_response, same_secret
from realtime_server.admin.shared_worker_state import SharedWorkerState
from realtime_server.admin.workers import Answers, Workers, WorkersUnavailableError
from realtime_server.core.metrics.recent_events import WINDOW_SECONDS, RecentEvents
from realtime_server.core.ports.backplane import StoreState
from realtime_server.core.serving import why_not_ready
from realtime_server.settings import SecretFile, Settings, revision, server_name

MAX_RATE = 1_000_000.0
MAX_CONNECTIONS = 10_000_000
BODY_BYTES = 65_536
"""Maximum size of a request body."""
TOKEN_HEADER = "X-Admin-Token"  # noqa: S105 - the name of a header
"""Header for a token sent through a proxy that keeps `Authorization` for itself, as the Kubernetes API server does."""
SILENT_SECONDS = 60.0
"""Silence in seconds after which a running worker counts as hung, and the server as not alive."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class BadRequestError(Exception):
    """Request body that the call does not accept; the text says what it would accept."""


class AdminServer:
    """HTTP site of the admin port."""

    def __init__(self, workers: Workers, settings: Settings, state: SharedWorkerState) -> None:
        self._workers = workers
        self._state = state
        self._token = SecretFile(settings.admin.token_file)

    def application(self) -> web.Application:
        """Build the aiohttp application."""
        application = web.Application(middlewares=[self._guard], client_max_size=BODY_BYTES)
        router = application.router
        router.add_get("/health/live", self._live)
        router.add_get("/health/ready", self._ready)
        router.add_get("/metrics", self._metrics)
        router.add_get("/admin/v1/status", self._status)
        router.add_post("/admin/v1/quiesce", self._quiesce)
        router.add_post("/admin/v1/resume", self._resume)
        router.add_post("/admin/v1/drain", self._drain)
        router.add_delete("/admin/v1/drain", self._stop_drain)
        router.add_post("/admin/v1/share", self._share)
        router.add_post("/admin/v1/shed", self._shed)
        router.add_post("/admin/v1/probe", self._probe)
        router.add_get("/admin/v1/history", self._history)
        router.add_post("/admin/v1/history", self._history)
        return application

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Refuse admin calls without the token, and answer every failure as JSON."""
        if request.path.startswith("/admin/") and not self._is_authorized(request):
            return error_response(
                401, "unauthorized: send the admin token as `Authorization: Bearer TOKEN` or `X-Admin-Token: TOKEN`"
            )
        try:
            return await handler(request)
        except BadRequestError as error:
            return error_response(400, str(error))
        except WorkersUnavailableError as error:
            return error_response(503, str(error))
        except web.HTTPException as error:
            return error_response(error.status, error.reason.lower())

    def _is_authorized(self, request: web.Request) -> bool:
        given = request.headers.get(TOKEN_HEADER, "")
        scheme, _, value = request.headers.get("Authorization", "").partition(" ")
        if not given and scheme.lower() == "bearer":
            given = value.strip()
        return same_secret(given, self._token.read())

    async def _live(self, _request: web.Request) -> web.Response:
        return _health("live", await self._why_not_live())

    async def _why_not_live(self) -> str | None:
        if not self._state.all_running:
            return "a worker is not running"
        try:
            await self._workers.status()
        except WorkersUnavailableError as error:
            if self._workers.silent_seconds > SILENT_SECONDS:
                return str(error)
        return None

    async def _ready(self, _request: web.Request) -> web.Response:
        return _health("ready", await self._why_not_ready())

    async def _why_not_ready(self) -> str | None:
        try:
            answers = await self._workers.status()
        except WorkersUnavailableError as error:
            return str(error)
        reason = why_not_ready(answers.status.state, backplane_healthy=answers.status.backplane_healthy)
        return reason or (None if answers.complete else "a worker is not listening")

    async def _metrics(self, _request: web.Request) -> web.Response:
        restarts = CounterMetricFamily("realtime_server_worker_restarts", "Workers restarted after they died.")
        restarts.add_metric([], self._state.restarts)
        body = merge(await self._workers.metrics(), [restarts])
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE})

    async def _status(self, _request: web.Request) -> web.Response:
        return self._answer(await self._workers.status())

    async def _quiesce(self, _request: web.Request) -> web.Response:
        return self._answer(await self._workers.quiesce())

    async def _resume(self, _request: web.Request) -> web.Response:
        return self._answer(await self._workers.resume())

    async def _stop_drain(self, _request: web.Request) -> web.Response:
        return self._answer(await self._workers.stop_drain())

    async def _drain(self, request: web.Request) -> web.Response:
        body = await _body(request)
        return self._answer(await self._workers.drain(_rate(body, holds=True)))

    async def _share(self, request: web.Request) -> web.Response:
        body = await _body(request)
        return self._answer(await self._workers.set_share(_rate(body)))

    async def _shed(self, request: web.Request) -> web.Response:
        body = await _body(request)
        return self._answer(await self._workers.shed(_connections(body), _rate(body)))

    async def _probe(self, _request: web.Request) -> web.Response:
        return self._answer(await self._workers.probe())

    async def _history(self, request: web.Request) -> web.StreamResponse:
        """Pass an export or import on to a worker, and its answer back, neither held in memory."""
        body = request.content if request.method == "POST" else None
        async with self._workers.history(request.method, request.query, body) as answer:
            response = web.StreamResponse(
                status=answer.status, headers={"Content-Type": answer.headers["Content-Type"]}
            )
            await response.prepare(request)
            async for some in answer.content.iter_any():
                await response.write(some)
        return response

    def _answer(self, answers: Answers) -> web.Response:
        status = answers.status
        return json_response(
            {
                "server": server_name(),
                "version": version("realtime-operator"),
                "revision": revision(),
                "state": status.state.value,
                "connections": status.connections,
                "accepted_total": status.accepted_total,
                "seconds_since_last_accept": status.seconds_since_last_accept,
                "accept_cost_seconds": status.accept_cost_seconds,
                "drain_rate": status.drain_rate,
                "moved_total": status.moved_total,
                "backplane_healthy": status.backplane_healthy,
                "store": _store(status.store),
                "recent": _recent(status.recent),
                "share": status.share,
                "connect_p99_seconds": status.connect_p99_seconds,
                "loop_lag_p99_seconds": status.loop_lag_p99_seconds,
                "totals": asdict(status.totals),
                "probe": None if status.probe is None else msgspec.structs.asdict(status.probe),
                "workers": len(self._workers),
                "accepts_alternate_api_key": True,
                "uptime_seconds": round(time.monotonic() - self._state.started_at, 3),
            }
        )


def _store(store: StoreState | None) -> dict[str, object] | None:
    return None if store is None else asdict(store)


def _recent(events: RecentEvents) -> dict[str, object]:
    return {
        "seconds": WINDOW_SECONDS,
        "connects_succeeded": events.connects_succeeded,
        "connects_failed": events.connects_failed,
        "failures": events.failures,
        "moved": events.moved,
    }


def _health(name: str, reason: str | None) -> web.Response:
    if reason is None:
        return json_response({name: True})
    return json_response({name: False, "reason": reason}, 503)


async def _body(request: web.Request) -> dict[str, object]:
    try:
        return msgspec.json.decode(await request.read(), type=dict[str, object])
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadRequestError("the body must be a JSON object") from error


def _rate(body: dict[str, object], *, holds: bool = False) -> float:
    """Return the rate of a request; 0 is one only where it `holds` something."""
    value = body.get("connections_per_second")
    lowest = "0 or more" if holds else "above 0"
    is_wrong = isinstance(value, bool) or (value == 0 and not holds)
    if is_wrong or not isinstance(value, int | float) or not 0 <= value <= MAX_RATE:
        raise BadRequestError(f"connections_per_second must be a number, {lowest}, at most {MAX_RATE:g}")
    return float(value)


def _connections(body: dict[str, object]) -> int:
    value = body.get("connections")
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= MAX_CONNECTIONS:
        raise BadRequestError(f"connections must be a whole number above 0, at most {MAX_CONNECTIONS}")
    return value
