"""A child process that ends with its parent: its own session, its output in a log, its end noticed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from realtime_operator.errors import PlatformError
from realtime_operator.platforms.local import pdeathsig_exec

LOG_TAIL_BYTES = 4096


class Process:
    """A process from `start` to its end; `on_end` is called once, from the event loop, when it has ended."""

    def __init__(self, name: str, log: Path, on_end: Callable[[], None]) -> None:
        self.name = name
        self.log = log
        self.asked_to_end = False
        self._on_end = on_end
        self._process: asyncio.subprocess.Process | None = None
        self._waiting: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """Process id, None while the process does not run."""
        return self._process.pid if self._process is not None and self.running else None

    @property
    def running(self) -> bool:
        """True while the process runs."""
        return self._process is not None and self._process.returncode is None

    async def start(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        """Start the process; raises PlatformError when none can be created.

        A program that cannot be run ends at once, with the reason as the last line of its log.
        """
        try:
            with self.log.open("ab") as log:
                self._process = await asyncio.create_subprocess_exec(
                    sys.executable, "-S", "-E", "-P", pdeathsig_exec.__file__, str(os.getpid()), *command,
                    env=dict(environment), stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log,
                    start_new_session=True,
                )  # fmt: skip
        except OSError as error:
            raise PlatformError(f"cannot start {self.name}: {error.strerror}") from error
        self._waiting = asyncio.create_task(self._wait(self._process), name=f"process-{self.name}")

    async def _wait(self, process: asyncio.subprocess.Process) -> None:
        await process.wait()
        self._on_end()

    def terminate(self) -> None:
        """Send SIGTERM: a request to end; servers take a second one as a request to end at once."""
        self.asked_to_end = True
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.asked_to_end = True
        self._signal(signal.SIGKILL)

    async def ended(self) -> None:
        """Wait for the end of the process."""
        if self._waiting is not None:
            await asyncio.shield(self._waiting)

    def last_log_line(self) -> str:
        """Return the last line of the log; empty when there is none."""
        try:
            with self.log.open("rb") as log:
                log.seek(max(0, self.log.stat().st_size - LOG_TAIL_BYTES))
                lines = log.read().decode(errors="replace").strip().splitlines()
        except OSError:
            return ""
        return lines[-1] if lines else ""

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self.running:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)
