"""Worker that records the commands it gets."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from aiohttp import web
from prometheus_client import CollectorRegistry, Gauge

from realtime_server.admin import worker
from realtime_server.admin.admin_server import AdminServer
from realtime_server.admin.history_archive import HistoryArchive
from realtime_server.admin.shared_worker_state import SharedWorkerState
from realtime_server.admin.workers import Workers
from realtime_server.core.metrics.recent_events import RecentEvents
from realtime_server.core.ports.api import ProbeResult, ServingState, WorkerStatus
from realtime_server.settings import Settings


def status_of(state: ServingState = ServingState.SERVING, connections: int = 0) -> WorkerStatus:
    """Return a status with default values."""
    return WorkerStatus(
        state=state,
        connections=connections,
        accepted_total=connections,
        seconds_since_last_accept=None,
        accept_cost_seconds=None,
        drain_rate=None,
        moved_total=0,
        backplane_healthy=True,
        store=None,
        recent=RecentEvents(),
    )


@dataclass
class Control:
    """WorkerControl without connections to move; records its calls."""

    now: WorkerStatus = field(default_factory=status_of)
    commands: list[str] = field(default_factory=list)
    listening: bool = True

    def status(self) -> WorkerStatus:
        return self.now

    def quiesce(self) -> None:
        self._become("quiesce", ServingState.QUIESCED)

    def resume(self) -> None:
        self._become("resume", ServingState.SERVING)

    def drain(self, connections_per_second: float) -> None:
        self._become(f"drain {connections_per_second:g}", ServingState.DRAINING, connections_per_second)

    def stop_drain(self) -> None:
        self._become("stop_drain", ServingState.QUIESCED)

    def set_share(self, connections_per_second: float) -> None:
        self.commands.append(f"share {connections_per_second:g}")
        self.now = replace(self.now, share=connections_per_second)

    def shed(self, connections: int, connections_per_second: float) -> None:
        self.commands.append(f"shed {connections} {connections_per_second:g}")

    def _become(self, commands: str, state: ServingState, rate: float | None = None) -> None:
        self.commands.append(commands)
        self.now = replace(self.now, state=state, drain_rate=rate)


@dataclass
class Probe:
    """Probe of a worker that counts its starts."""

    last: ProbeResult | None = None
    starts: int = 0

    def start(self) -> None:
        self.starts += 1
        self.last = ProbeResult("", has_token=True, seconds=0.1)


class Processes:
    """State of the workers' processes."""

    def __init__(self, count: int) -> None:
        self.up = [True] * count

    def running(self, worker: int) -> bool:
        return self.up[worker]


@contextlib.asynccontextmanager
async def serving(
    control: Control, path: Path, index: int = 0, probe: worker.Probe | None = None
) -> AsyncIterator[None]:
    """Serve the worker's control site on its socket."""
    registry = CollectorRegistry()
    Gauge("things", "Things.", ["worker"], registry=registry).labels(str(index)).set(index + 1)
    runner = await worker.serve(
        control,
        path,
        registry,
        HistoryArchive(None, lambda _: None),
        probe or Probe(),
        listening=lambda: control.listening,
    )
    try:
        yield
    finally:
        await runner.cleanup()


@contextlib.asynccontextmanager
async def admin_application(control: Control, folder: Path) -> AsyncIterator[web.Application]:
    """Return the admin site of a server with one worker; its token is in the file `token` of the folder."""
    state = SharedWorkerState(1)
    state.set_running(0, running=True)
    workers = Workers([folder / "worker.sock"], state)
    settings = Settings.model_validate({"admin": {"token_file": str(folder / "token")}})
    async with serving(control, folder / "worker.sock"):
        yield AdminServer(workers, settings, state).application()
    await workers.close()
