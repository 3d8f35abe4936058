"""Control endpoint of one worker, on a Unix socket for the admin process of its server."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import msgspec
from aiohttp import web
from prometheus_client import generate_latest
from prometheus_client.registry import CollectorRegistry

from realtime_server.admin.history_archive import HistoryArchive, add_routes
from realtime_server.core.ports.api import ProbeResult, WorkerControl, WorkerStatus

HISTORY_BYTES = 64 << 20
"""Maximum size of a part of an imported history."""


@dataclass(frozen=True, slots=True)
class Report:
    """Answer of a worker to each status request and command; `listening`: clients can connect to the worker."""

    status: WorkerStatus
    listening: bool


class Probe(Protocol):
    """Probe of a worker, started by the command `probe`."""

    @property
    def last(self) -> ProbeResult | None:
        """The latest result; None before the first one."""

    def start(self) -> None:
        """Start a probe, unless one is running."""


class DrainRequest(msgspec.Struct, frozen=True):
    """Request to move all connections to other servers at a rate."""

    connections_per_second: float


class ShareRequest(msgspec.Struct, frozen=True):
    """Request to begin drains that nobody sets a rate for at this rate."""

    connections_per_second: float


class ShedRequest(msgspec.Struct, frozen=True):
    """Request to move a number of connections to other servers at a rate."""

    connections: int
    connections_per_second: float


def decode_report(body: bytes) -> Report:
    """Decode a worker's answer. Raises msgspec.DecodeError."""
    return msgspec.json.decode(body, type=Report)


def application(
    control: WorkerControl,
    registry: CollectorRegistry,
    listening: Callable[[], bool],
    histories: HistoryArchive,
    probe: Probe,
) -> web.Application:
    """Return the control site.

    `GET /status` and `POST /quiesce|resume|drain|stop-drain|share|shed|probe` answer with the report, `GET /metrics`
    with the exposition of `registry`. For `/history` see history_archive.
    """

    def report() -> web.Response:
        body = msgspec.json.encode(Report(replace(control.status(), probe=probe.last), listening()))
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
            case "share":
                control.set_share(msgspec.json.decode(body, type=ShareRequest).connections_per_second)
            case "shed":
                wanted = msgspec.json.decode(body, type=ShedRequest)
                control.shed(wanted.connections, wanted.connections_per_second)
            case "probe":
                probe.start()
            case _:
                raise web.HTTPNotFound
        return report()

    site = web.Application(client_max_size=HISTORY_BYTES)
    add_routes(site, histories)
    site.router.add_get("/status", status)
    site.router.add_get("/metrics", metrics)
    site.router.add_post("/{command}", command)
    return site


async def serve(
    control: WorkerControl,
    path: Path,
    registry: CollectorRegistry,
    histories: HistoryArchive,
    probe: Probe,
    *,
    listening: Callable[[], bool],
) -> web.AppRunner:
    """Serve the control site on a Unix socket; `listening` returns True while clients can connect.

    Call `cleanup` of the result to stop.
    """
    site = application(control, registry, listening, histories, probe)
    runner = web.AppRunner(site, access_log=None, handle_signals=False, shutdown_timeout=1)
    await runner.setup()
    await web.UnixSite(runner, str(path)).start()
    return runner
