"""A worker's control site, on a socket that only its supervisor knows."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from aiohttp import web
from prometheus_client import generate_latest
from prometheus_client.registry import CollectorRegistry

from realtime_server.admin.responses import json_response
from realtime_server.core.ports import ServingState, WorkerControl, WorkerStatus


def encode_status(status: WorkerStatus) -> dict[str, object]:
    """A status as JSON."""
    return dataclasses.asdict(status)


def decode_status(document: dict[str, object]) -> WorkerStatus:
    """The inverse of `encode_status`."""
    values: dict[str, object] = {**document, "state": ServingState(str(document["state"]))}
    return WorkerStatus(**values)  # type: ignore[arg-type] # both ends are of the same release


def application(control: WorkerControl, registry: CollectorRegistry) -> web.Application:
    """`GET /status`, `GET /metrics`, `POST /quiesce|resume|drain|stop-drain|shed`; each answers with the status."""

    async def status(_request: web.Request) -> web.Response:
        return json_response(encode_status(control.status()))

    async def metrics(_request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry), content_type="text/plain")

    async def command(request: web.Request) -> web.Response:
        body = await request.json()
        name = request.match_info["command"]
        if name == "quiesce":
            control.quiesce()
        elif name == "resume":
            control.resume()
        elif name == "drain":
            control.drain(body["connections_per_second"])
        elif name == "stop-drain":
            control.stop_drain()
        elif name == "shed":
            control.shed(body["connections"], body["connections_per_second"])
        else:
            raise web.HTTPNotFound
        return json_response(encode_status(control.status()))

    site = web.Application()
    site.router.add_get("/status", status)
    site.router.add_get("/metrics", metrics)
    site.router.add_post("/{command}", command)
    return site


async def serve(control: WorkerControl, path: Path, registry: CollectorRegistry) -> web.AppRunner:
    """Listen on a Unix socket; `cleanup` of what is returned ends it."""
    runner = web.AppRunner(application(control, registry), access_log=None, handle_signals=False)
    await runner.setup()
    await web.UnixSite(runner, str(path)).start()
    return runner
