"""The servers that are compared: how each is started, on a core of its own, and what it has used of it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path

from tests.kit.redis_process import free_port
from tests.kit.server_process import TOKEN_SECRET, ServerProcess

REPOSITORY = Path(__file__).parents[1]
NODE_MODULES = REPOSITORY / "tests" / "kit" / "sdk"
START_SECONDS = 15.0
CORES = frozenset(os.sched_getaffinity(0))
SERVER_CORE = min(CORES)
"""The core of the servers: the load generator stays off it."""
REFERENCE = "websockets"
"""The peer that the others are compared with."""


@dataclass(frozen=True, slots=True)
class Running:
    """A server that accepts connections."""

    port: int
    pid: int

    def cpu_seconds(self) -> float:
        """User and system time of the process and its children since their start."""
        return sum(_cpu_seconds(pid) for pid in _family(self.pid))


@dataclass(frozen=True, slots=True)
class Peer:
    """One server that can be started again and again."""

    name: str
    start: Callable[[], AbstractAsyncContextManager[Running]]


def peers() -> list[Peer]:
    """All that can run here."""
    found = [Peer("realtime-server", _realtime_server), Peer(REFERENCE, _websockets)]
    if shutil.which("node") and (NODE_MODULES / "node_modules" / "ws").is_dir():
        found.append(Peer("ws", _ws))
    return found


@contextlib.contextmanager
def _on_server_core() -> Iterator[None]:
    """What is started in the body runs on the servers' core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {SERVER_CORE})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextlib.asynccontextmanager
async def _realtime_server() -> AsyncIterator[Running]:
    limits = {"connections": 100_000, "messages_per_second": 1_000_000, "outbox_bytes": 16 * 1024 * 1024}
    server = ServerProcess("bench", None, workers=1, limits=dict(limits))
    with _on_server_core():
        await server.__aenter__()
    try:
        assert server.process is not None
        yield Running(server.client_port, server.process.pid)
    finally:
        with contextlib.redirect_stdout(None):
            await server.__aexit__()


def _websockets() -> AbstractAsyncContextManager[Running]:
    return _process(sys.executable, "-P", "-m", "bench.servers.websockets_peer")


def _ws() -> AbstractAsyncContextManager[Running]:
    node = shutil.which("node")
    assert node is not None
    return _process(node, str(REPOSITORY / "bench" / "servers" / "ws_peer.mjs"), after=(str(NODE_MODULES),))


@contextlib.asynccontextmanager
async def _process(*command: str, after: tuple[str, ...] = ()) -> AsyncIterator[Running]:
    port = free_port()
    with _on_server_core():
        process = await asyncio.create_subprocess_exec(
            *command, str(port), TOKEN_SECRET, *after, cwd=REPOSITORY, env={**os.environ, "PYTHONPATH": str(REPOSITORY)}
        )
    try:
        await _accepts(port)
        yield Running(port, process.pid)
    finally:
        process.kill()
        await process.wait()


async def _accepts(port: int) -> None:
    async with asyncio.timeout(START_SECONDS):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.05)
                continue
            writer.close()
            return


def _family(pid: int) -> list[int]:
    """The process and all below it."""
    family = [pid]
    for member in family:
        for task in Path(f"/proc/{member}/task").iterdir():
            family += map(int, (task / "children").read_text().split())
    return family


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
