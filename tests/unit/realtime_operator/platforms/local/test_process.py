"""Processes that end with their parent."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from realtime_operator.errors import PlatformError
from realtime_operator.platforms.local import pdeathsig_exec
from realtime_operator.platforms.local.process import Process
from tests.kit.deadline import eventually

PARENT = """
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-S", "-E", "-P", sys.argv[1], str(os.getpid()), "/bin/sleep", "60"])
print(child.pid, flush=True)
time.sleep(60)
"""


async def started(folder: Path, ended: asyncio.Event, script: str) -> Process:
    """Return a process that runs a shell script."""
    process = Process("it", folder / "log", ended.set)
    await process.start(["/bin/sh", "-c", script], os.environ)
    return process


async def test_its_end_is_noticed_and_its_words_are_kept(tmp_path: Path) -> None:
    """Output of the process is in the log."""
    ended = asyncio.Event()
    process = await started(tmp_path, ended, "echo first; echo last >&2; exit 3")
    await ended.wait()
    assert (process.running, process.pid, process.asked_to_end) == (False, None, False)
    assert process.last_log_line() == "last"
    await process.ended()


async def test_it_is_ended_when_asked(tmp_path: Path) -> None:
    """SIGTERM ends it; SIGKILL ends one that ignores SIGTERM."""
    ended = asyncio.Event()
    process = await started(tmp_path, ended, "trap '' TERM; echo deaf; while true; do sleep 0.1; done")
    await eventually(_said(process), lambda words: words == "deaf", what="the trap is set", within=5, every=0.01)
    process.terminate()
    assert process.asked_to_end
    assert process.running
    process.kill()
    await asyncio.wait_for(ended.wait(), 5)


async def test_it_is_in_a_session_of_its_own(tmp_path: Path) -> None:
    """Ctrl-C in the terminal reaches only the parent."""
    ended = asyncio.Event()
    process = await started(tmp_path, ended, "sleep 60")
    assert process.pid is not None
    assert os.getsid(process.pid) != os.getsid(0)
    process.kill()
    await ended.wait()


async def test_a_program_that_is_not_there_is_an_error_or_an_end(tmp_path: Path) -> None:
    """The process never counts as running."""
    ended = asyncio.Event()
    process = Process("it", tmp_path / "log", ended.set)
    await process.start(["/no/such/program"], os.environ)
    await asyncio.wait_for(ended.wait(), 5)
    assert process.last_log_line() == "cannot run /no/such/program: No such file or directory"
    other = Process("other", tmp_path / "none" / "log", ended.set)
    with pytest.raises(PlatformError, match="cannot start other: No such file"):
        await other.start(["/bin/true"], os.environ)


def test_it_ends_with_its_parent() -> None:
    """The parent is killed."""
    with subprocess.Popen([sys.executable, "-c", PARENT, pdeathsig_exec.__file__], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        asyncio.run(eventually(_command_of(child), lambda c: b"sleep" in c, what="it runs", within=5, every=0.01))
        parent.send_signal(signal.SIGKILL)
    asyncio.run(eventually(_command_of(child), lambda c: c == b"", what="it is gone", within=2, every=0.01))


def _command_of(pid: int) -> Callable[[], Awaitable[bytes]]:
    async def read() -> bytes:
        try:
            return Path(f"/proc/{pid}/cmdline").read_bytes()  # noqa: ASYNC240 - in memory
        except OSError:
            return b""

    return read


def _said(process: Process) -> Callable[[], Awaitable[str]]:
    async def read() -> str:
        return process.last_log_line()

    return read
