"""Stopping of a server that does not serve yet, as process 1 of a container and as another process."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.component.supervisor.processes import children_of, gone, kill
from tests.kit.deadline import eventually
from tests.kit.redis_process import free_port

PROCESS_1 = ("unshare", "--pid", "--fork", "--kill-child")
"""Command prefix that makes a process 1 of a namespace, whose signals with default disposition the kernel drops."""
BOTH = (1 << signal.SIGTERM - 1) | (1 << signal.SIGINT - 1)
AT_ONCE_SECONDS = 8.0
"""Time for interpreter, imports and exit on a busy machine; without a handler the server would run for ever."""
DELAYS = (0.0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.8, 1.5)
COMMANDS = (("-m", "realtime_server"), ("-c", "from realtime_server.__main__ import main; raise SystemExit(main())"))


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Write the configuration of a server."""
    listen = {
        "host": "127.0.0.1",
        "client_port": free_port(),
        "api_port": free_port(),
        "admin_port": free_port(),
    }
    (tmp_path / "token").write_text("starting-admin-token")
    drain = {"connections_per_second": 50, "timeout_seconds": 30, "settle_seconds": 0}
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"listen": listen, "drain": drain, "admin": {"token_file": str(tmp_path / "token")}}))
    return path


@contextlib.asynccontextmanager
async def started(*words: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, int]]:
    """Run Python as process 1 of a namespace; return the process to wait for, and process 1."""
    outer = await asyncio.create_subprocess_exec(
        *PROCESS_1, sys.executable, "-P", *words, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:

        async def inner() -> list[int]:
            return children_of(outer.pid)

        (pid,) = await eventually(inner, bool, what="process 1", within=5, every=0.001)
        yield outer, pid
    finally:
        if outer.returncode is None:
            outer.kill()
            await outer.wait()


def blocked(pid: int) -> int:
    """Return the set of blocked signals of a process."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    (mask,) = [line.split()[1] for line in lines if line.startswith("SigBlk:")]
    return int(mask, 16)


def files_once_blocked(pid: int) -> str:
    """Return the mapped files of a Python process that blocks SIGTERM and SIGINT, none before that.

    `unshare` blocks them too, until it executes Python.
    """
    is_python = Path(f"/proc/{pid}/exe").readlink() == Path(sys.executable).resolve()
    return Path(f"/proc/{pid}/maps").read_text() if is_python and blocked(pid) & BOTH == BOTH else ""


async def holds_back(pid: int) -> str:
    """Wait until the process blocks SIGTERM and SIGINT, and return its mapped files."""

    async def files() -> str:
        return files_once_blocked(pid)

    return await eventually(files, bool, what="signals blocked", within=10, every=0.001)


async def ends(outer: asyncio.subprocess.Process, *, within: float = AT_ONCE_SECONDS) -> tuple[int | None, str]:
    """Wait for the end, and return exit code and stderr."""
    async with asyncio.timeout(within):
        _, error = await outer.communicate()
    return outer.returncode, error.decode()


@pytest.mark.parametrize("delay", DELAYS)
@pytest.mark.parametrize("command", COMMANDS, ids=["module", "console script"])
async def test_sigterm_at_any_time_of_the_start_ends_it(config: Path, command: tuple[str, ...], delay: float) -> None:
    """The exit code is 0, even for process 1; the delay counts from its first action."""
    async with started(*command, "run", "--config", str(config)) as (outer, pid):
        await holds_back(pid)
        await asyncio.sleep(delay)
        children = children_of(pid)
        kill(pid, signal.SIGTERM)
        code, error = await ends(outer)
        assert code == 0, error
        assert "server stops" in error
        await gone(pid, *children)


async def test_the_signals_are_held_back_before_the_imports(config: Path) -> None:
    """No heavy module is loaded before that, and several signals at once stop it before it has a child."""
    async with started("-m", "realtime_server", "run", "--config", str(config)) as (outer, pid):
        files = await holds_back(pid)
        assert not [name for name in ("pydantic_core", "aiohttp", "msgspec", "uvloop") if f"/{name}/" in files]
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGTERM):
            kill(pid, number)
        code, error = await ends(outer)
        assert code == 0, error
        assert "process died" not in error
        assert "worker listens" not in error


async def test_only_run_holds_signals_back_and_its_children_do_not(config: Path) -> None:
    """Worker and admin process have normal signal masks, and so have other commands."""
    async with started("-m", "realtime_server", "run", "--config", str(config)) as (outer, pid):

        async def children() -> list[int]:
            return children_of(pid)

        for child in await eventually(children, lambda pids: len(pids) == 2, what="2 children", within=10, every=0.02):

            async def mask(child: int = child) -> int:
                return blocked(child)

            await eventually(mask, lambda bits: bits & BOTH == 0, what="signals unblocked", within=5, every=0.02)
        kill(pid, signal.SIGTERM)
        assert (await ends(outer))[0] == 0
    program = "import signal, sys; from realtime_server.__main__ import main; main(['check-config']); "
    shown = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-c", program + "sys.exit(len(signal.pthread_sigmask(signal.SIG_BLOCK, ())))",
        stdout=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    assert await shown.wait() == 0


async def test_a_start_that_fails_exits_with_its_code_all_the_same(config: Path) -> None:
    """The exit code is that of the failure, also with a pending SIGTERM."""
    missing = str(config.parent / "missing.json")
    async with started("-m", "realtime_server", "run", "--config", missing) as (outer, pid):
        await holds_back(pid)
        began = time.monotonic()
        kill(pid, signal.SIGTERM)
        code, error = await ends(outer)
        assert code == 2
        assert error.startswith("error: ")
        assert time.monotonic() - began < AT_ONCE_SECONDS
