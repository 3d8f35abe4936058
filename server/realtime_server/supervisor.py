"""The server's main process: forks the workers, keeps them running, and answers for all of them on the admin port."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import multiprocessing
import os
import signal
import tempfile
import time
from dataclasses import dataclass, field
from multiprocessing.context import ForkContext, ForkProcess
from pathlib import Path

import structlog
import uvloop

from realtime_server.admin import admin_server
from realtime_server.admin.workers import Workers
from realtime_server.app import run_worker
from realtime_server.settings import Settings

logger = structlog.get_logger()

PR_SET_PDEATHSIG = 1
RESTART_SECONDS = (0.2, 5.0)
"""The first and the longest pause before a worker that died is started again."""
HEALTHY_SECONDS = 30.0
"""A worker that ran for so long starts again without a pause."""
STOP_MARGIN_SECONDS = 10.0


@dataclass(slots=True)
class Slot:
    """The place of one worker."""

    index: int
    socket: Path
    process: ForkProcess | None = None
    started_at: float = 0.0
    pause: float = RESTART_SECONDS[0]
    restart_at: float = 0.0


@dataclass(slots=True)
class Supervisor:
    """Owns the workers. `restarts` counts those that had to be started again."""

    settings: Settings
    folder: Path
    context: ForkContext
    slots: list[Slot] = field(default_factory=list)
    stopping: bool = False
    restarts: int = 0

    def start_workers(self) -> None:
        """Fork all workers; before any event loop or thread exists in this process."""
        self.slots = [Slot(i, self.folder / f"worker-{i}.sock") for i in range(self.settings.workers)]
        for slot in self.slots:
            self._start(slot)

    def _start(self, slot: Slot) -> None:
        slot.socket.unlink(missing_ok=True)
        arguments = (self.settings, slot.index, slot.socket, os.getpid())
        slot.process = self.context.Process(target=_work, args=arguments, name=f"worker-{slot.index}", daemon=False)
        slot.process.start()
        slot.started_at = time.monotonic()

    def check(self) -> None:
        """Start workers that have died again, after a pause that grows while they keep dying."""
        now = time.monotonic()
        for slot in self.slots:
            process = slot.process
            if process is not None and not process.is_alive():
                process.join()
                slot.process = None
                if self.stopping:
                    continue
                lived = now - slot.started_at
                slot.pause = RESTART_SECONDS[0] if lived > HEALTHY_SECONDS else min(2 * slot.pause, RESTART_SECONDS[1])
                slot.restart_at = now + slot.pause
                logger.error("worker died", worker=slot.index, exit_code=process.exitcode, restart_in=slot.pause)
            elif process is None and not self.stopping and now >= slot.restart_at:
                self.restarts += 1
                self._start(slot)

    @property
    def alive(self) -> bool:
        """Whether every worker runs."""
        return all(slot.process is not None and slot.process.is_alive() for slot in self.slots)

    @property
    def ended(self) -> bool:
        """Whether no worker is left."""
        return all(slot.process is None for slot in self.slots)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to all workers."""
        for slot in self.slots:
            if slot.process is not None and slot.process.pid is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(slot.process.pid, number)


def _work(settings: Settings, index: int, socket: Path, parent: int) -> None:
    # A worker must not outlive its supervisor, however that ends.
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        return
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    run_worker(settings, index, socket)


def run(settings: Settings) -> int:
    """Run the server until SIGTERM or SIGINT; its exit code. Blocks."""
    with tempfile.TemporaryDirectory(prefix="realtime-server-") as folder:
        context = multiprocessing.get_context("fork")
        supervisor = Supervisor(settings, Path(folder), context)
        supervisor.start_workers()
        try:
            uvloop.run(_supervise(supervisor))
        finally:
            supervisor.signal(signal.SIGKILL)
    return 0


async def _supervise(supervisor: Supervisor) -> None:
    loop = asyncio.get_running_loop()
    asked = asyncio.Event()

    def stop() -> None:
        supervisor.stopping = True
        supervisor.signal(signal.SIGTERM)
        asked.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    workers = Workers([slot.socket for slot in supervisor.slots])
    state = admin_server.ServerState(alive=lambda: supervisor.alive, restarts=lambda: supervisor.restarts)
    runner = await admin_server.serve(workers, supervisor.settings, state)
    try:
        while not asked.is_set():
            supervisor.check()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asked.wait(), 0.1)
        deadline = time.monotonic() + supervisor.settings.drain.timeout_seconds + STOP_MARGIN_SECONDS
        while not supervisor.ended and time.monotonic() < deadline:
            supervisor.check()
            await asyncio.sleep(0.05)
    finally:
        await runner.cleanup()
        await workers.close()
