"""A worker's control site, on a socket that only the admin process of its server knows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec
from aiohttp import web
from prometheus_client import generate_latest
from prometheus_client.registry import CollectorRegistry

from realtime_server.core.ports.api import WorkerControl, WorkerStatus


@dataclass(frozen=True, slots=True)
class Report:
    """What a worker answers to everything: its status, and whether clients can connect to it."""

    status: WorkerStatus
    listening: bool


class DrainRequest(msgspec.Struct, frozen=True):
    """Move all connections away at this rate."""

    connections_per_second: float


class ShedRequest(msgspec.Struct, frozen=True):
    """Move some connections away at this rate."""

    connections: int
    connections_per_second: float


def decode_report(body: bytes) -> Report:
    """What a worker answered; raises msgspec.DecodeError."""
    return msgspec.json.decode(body, type=Report)


def application(control: WorkerControl, registry: CollectorRegistry, listening: Callable[[], bool]) -> web.Application:
    """`GET /status` and `POST /quiesce|resume|drain|stop-drain|shed` answer with the report; `GET /metrics`."""

    def report() -> web.Response:
        body = msgspec.json.encode(Report(control.status(), listening()))
        return web.Response(body=body, content_type="application/json")

    async def status(_request: web.Request) -> web.Response:
        return report()

    async def metrics(_request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry), content_type="text/plain")

    async def command(request: web.Request) -> web.Response:
        body = await request.read()
        match request.match_info["command"]:
            case "quiesce":
                control.quiesce()
            case "resume":
                control.resume()
            case "drain":
                control.drain(msgspec.json.decode(body, type=DrainRequest).connections_per_second)
            case "stop-drain":
                control.stop_drain()
            case "shed":
                wanted = msgspec.json.decode(body, type=ShedRequest)
                control.shed(wanted.connections, wanted.connections_per_second)
            case _:
                raise web.HTTPNotFound
        return report()

    site = web.Application()
    site.router.add_get("/status", status)
    site.router.add_get("/metrics", metrics)
    site.router.add_post("/{command}", command)
    return site


async def serve(
    control: WorkerControl, path: Path, registry: CollectorRegistry, *, listening: Callable[[], bool]
) -> web.AppRunner:
    """Listen on a Unix socket; `listening` tells whether clients can connect. `cleanup` of the result ends it."""
    site = application(control, registry, listening)
    runner = web.AppRunner(site, access_log=None, handle_signals=False, shutdown_timeout=1)
    await runner.setup()
    await web.UnixSite(runner, str(path)).start()
    return runner
