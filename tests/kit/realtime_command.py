"""The `realtime` command as people run it: a process with arguments, an exit code and what it printed."""

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
    """What a command printed, and its exit code."""

    code: int
    out: str
    complaints: str


async def realtime(*arguments: str, **environment: str) -> Printed:
    """Run a command to its end; it must come within COMMAND_SECONDS."""
    process = await asyncio.create_subprocess_exec(
        *COMMAND, *arguments, env={**os.environ, **environment},
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(COMMAND_SECONDS):
            out, complaints = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        raise
    assert process.returncode is not None
    assert b"Traceback" not in complaints, complaints.decode()
    return Printed(process.returncode, out.decode(), complaints.decode())


def call(*arguments: str) -> Printed:
    """Run a command in this process, to its end: not beside others, and not from a running event loop's thread."""
    out, complaints = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(complaints):
        code = main(list(arguments))
    return Printed(code, out.getvalue(), complaints.getvalue())


class RealtimeUp:
    """A running `realtime up`, with its file, its state folder and its ports; `options` are added to the command."""

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
        """The command line, without the program."""
        ports = ("--port", str(self.port), "--api-port", str(self.api_port))
        return ("up", "-f", str(self.file), "--state-dir", str(self.state), *ports, *self._options)

    async def spawn(self) -> None:
        """Start it."""
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(*COMMAND, *self.arguments, stdout=log, stderr=log)

    async def start(self) -> None:
        """Start it and wait until it says that the cluster is ready."""
        await self.spawn()
        await self.said("is ready")

    async def said(self, text: str, times: int = 1) -> None:
        """Wait until it has printed a text so many times."""

        async def read() -> str:
            assert self.process is not None
            assert self.process.returncode is None, self.log.read_text()
            return self.log.read_text()

        await eventually(read, lambda log: log.count(text) >= times, what=f"{text!r} said", within=READY_SECONDS)

    async def ask(self, *arguments: str) -> Printed:
        """Run a command on it, within this process: one at a time, for standard output is that of the process."""
        where = ("--state-dir", str(self.state), "--platform", "local")
        async with self._asking, asyncio.timeout(COMMAND_SECONDS):
            return await asyncio.to_thread(call, *arguments, *where)

    async def ask_apart(self, *arguments: str) -> Printed:
        """Run a command on it as a process of its own, beside others."""
        return await realtime(*arguments, "--state-dir", str(self.state), "--platform", "local")

    async def answer(self, *arguments: str) -> str:
        """The answer of a command that must succeed."""
        printed = await self.ask(*arguments)
        assert printed.code == 0, printed
        return printed.out

    async def signal(self, number: signal.Signals) -> int:
        """Send a signal and wait for the end; the exit code."""
        assert self.process is not None
        self.process.send_signal(number)
        async with asyncio.timeout(END_SECONDS):
            return await self.process.wait()

    async def end(self) -> None:
        """Let it end at once, if it runs; kill it when it does not."""
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
        """Its processes, of whatever parent."""
        return processes_that_name(str(self.state))


def processes_that_name(*texts: str) -> list[int]:
    """Processes, of whatever parent, that name all of the texts in their command line or environment."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with contextlib.suppress(OSError):
                told = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
                if all(text.encode() in told for text in texts):
                    found.append(int(entry.name))
    return found


@contextlib.asynccontextmanager
async def running(text: str) -> AsyncIterator[RealtimeUp]:
    """`realtime up` with a file of this text while the body runs; nothing of it is left afterwards."""
    async with contained(text) as up:
        await up.start()
        yield up


@contextlib.asynccontextmanager
async def contained(text: str, *options: str) -> AsyncIterator[RealtimeUp]:
    """`realtime up`, not started yet, in a short temporary folder; nothing of it is left afterwards."""
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
