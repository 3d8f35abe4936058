"""The `realtime` command as users run it: a process with arguments, an exit code and output."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from realtime_operator.cli.__main__ import main
from tests.kit.deadline import eventually
from tests.kit.redis_process import free_port

COMMAND_SECONDS = 30
READY_SECONDS = 20
END_SECONDS = 20
COMMAND = (sys.executable, "-P", "-m", "realtime_operator.cli")


@dataclass(frozen=True, slots=True)
class Printed:
    """Output and exit code of a command."""

    code: int
    out: str
    stderr: str


async def realtime(*arguments: str, **environment: str) -> Printed:
    """Run a command to its end, within COMMAND_SECONDS."""
    return await realtime_within(COMMAND_SECONDS, *arguments, **environment)


async def realtime_within(seconds: float, *arguments: str, **environment: str) -> Printed:
    """Run a command to its end, within a number of seconds."""
    process = await asyncio.create_subprocess_exec(
        *COMMAND, *arguments, env={**os.environ, **environment},
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(seconds):
            out, stderr = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        raise
    assert process.returncode is not None
    assert b"Traceback" not in stderr, stderr.decode()
    return Printed(process.returncode, out.decode(), stderr.decode())


def call(*arguments: str) -> Printed:
    """Run a command in this process: one at a time, and not in the thread of a running event loop."""
    out, stderr = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(stderr):
        code = main(list(arguments))
    return Printed(code, out.getvalue(), stderr.getvalue())


class RealtimeUp:
    """A `realtime up` process with its file, state folder and ports; `options` are appended to the command."""

    def __init__(self, folder: Path, text: str, *options: str) -> None:
        self.folder = folder
        self.file = folder / "cluster.yaml"
        self.state = folder / "state"
        self.log = folder / "up.log"
        self.port, self.api_port = free_port(), free_port()
        self.process: asyncio.subprocess.Process | None = None
        self._options = options
        self._asking = asyncio.Lock()
        self.file.write_text(text)

    @property
    def arguments(self) -> tuple[str, ...]:
        """Arguments of the command, without the program."""
        ports = ("--port", str(self.port), "--api-port", str(self.api_port))
        return ("up", "-f", str(self.file), "--state-dir", str(self.state), *ports, *self._options)

    async def spawn(self) -> None:
        """Start the process."""
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(*COMMAND, *self.arguments, stdout=log, stderr=log)

    async def start(self) -> None:
        """Start the process, and wait for the line that the cluster is ready."""
        await self.spawn()
        await self.wait_for_output("is ready")

    async def wait_for_output(self, text: str, times: int = 1) -> None:
        """Wait until the output contains a text `times` times."""

        async def read() -> str:
            assert self.process is not None
            assert self.process.returncode is None, self.log.read_text()
            return self.log.read_text()

        await eventually(
            read, lambda log: log.count(text) >= times, what=f"{text!r} in the output", within=READY_SECONDS
        )

    async def ask(self, *arguments: str) -> Printed:
        """Run a command on the platform in this process, one at a time: it captures the process's standard output."""
        where = ("--state-dir", str(self.state), "--platform", "local")
        async with self._asking, asyncio.timeout(COMMAND_SECONDS):
            return await asyncio.to_thread(call, *arguments, *where)

    async def ask_apart(self, *arguments: str) -> Printed:
        """Run a command on the platform in a process of its own."""
        return await realtime(*arguments, "--state-dir", str(self.state), "--platform", "local")

    async def answer(self, *arguments: str) -> str:
        """Return the output of a command, which must succeed."""
        printed = await self.ask(*arguments)
        assert printed.code == 0, printed
        return printed.out

    async def signal(self, number: signal.Signals) -> int:
        """Send a signal and wait for the end; return the exit code."""
        assert self.process is not None
        self.process.send_signal(number)
        async with asyncio.timeout(END_SECONDS):
            return await self.process.wait()

    async def end(self) -> None:
        """End the process at once if it runs; kill it when it does not end."""
        if self.process is None or self.process.returncode is not None:
            return
        self.process.send_signal(signal.SIGINT)
        self.process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(END_SECONDS):
                await self.process.wait()
        except TimeoutError:
            self.process.kill()
            await self.process.wait()

    def processes(self) -> list[int]:
        """Return the ids of its processes, whatever their parent."""
        return processes_that_name(str(self.state))


def processes_that_name(*texts: str) -> list[int]:
    """Return the ids of processes that have all texts in their command line or environment."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with contextlib.suppress(OSError):
                known = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
                if all(text.encode() in known for text in texts):
                    found.append(int(entry.name))
    return found


@contextlib.asynccontextmanager
async def running(text: str) -> AsyncIterator[RealtimeUp]:
    """Run `realtime up` with a file of this text while the body runs; all of its processes have ended afterwards."""
    async with contained(text) as up:
        await up.start()
        yield up


@contextlib.asynccontextmanager
async def contained(text: str, *options: str) -> AsyncIterator[RealtimeUp]:
    """Prepare `realtime up` in a short temporary folder without starting it; all of its processes end with the body."""
    folder = Path(tempfile.mkdtemp(prefix="rt-"))  # sockets have short paths
    up = RealtimeUp(folder, text, *options)
    try:
        yield up
    finally:
        await up.end()
        for log in (up.log, *sorted(up.state.glob("logs/*.log"))):  # shown by pytest when a test fails
            if log.exists():
                print(f"--- {log.name}", log.read_text(errors="replace"), sep="\n")
        left = up.processes()
        for process in left:  # a failure leaves nothing behind either
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        shutil.rmtree(folder)
        assert left == [], f"processes are left: {left}"
