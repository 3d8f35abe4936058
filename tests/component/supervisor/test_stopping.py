"""Stopping of a server."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections import Counter

from realtime_operator.api.base import JsonObject
from tests.component.supervisor.processes import (
    Client,
    children_of,
    clients_of,
    exit_code_of,
    gone,
    kill,
    pid_of,
)
from tests.kit.deadline import eventually
from tests.kit.redis_process import RedisProcess
from tests.kit.server_process import ServerProcess

MOVED, SHUTDOWN = 3011, 3001


async def codes_of(clients: list[Client]) -> Counter[int | None]:
    """Wait for the end of all connections, and return their codes."""
    return Counter([await client.closed() for client in clients])


async def test_sigterm_moves_all_connections_and_ends(redis: RedisProcess) -> None:
    """Connections move at the configured rate of the whole server, and the exit code is 0."""
    drain: JsonObject = {"connections_per_second": 20, "timeout_seconds": 30, "settle_seconds": 0}
    async with ServerProcess("stopping", redis, workers=2, drain=drain) as server, clients_of(server, 20) as clients:
        children = children_of(pid_of(server))
        began = time.monotonic()
        kill(pid_of(server), signal.SIGTERM)
        assert await codes_of(clients) == {MOVED: 20}
        took = time.monotonic() - began
        assert await exit_code_of(server) == 0
        await gone(*children)
        # Two workers at half the rate each: the one with more connections determines how long it takes.
        assert 0.5 < took < 8


async def test_while_it_drains_it_tells_so(redis: RedisProcess) -> None:
    """The admin process outlives the workers."""
    drain: JsonObject = {"connections_per_second": 1, "timeout_seconds": 60, "settle_seconds": 0}
    async with ServerProcess("stopping", redis, workers=2, drain=drain) as server, clients_of(server, 10) as clients:
        kill(pid_of(server), signal.SIGTERM)
        await eventually(server.state, lambda state: state == "draining", what="draining", within=5, every=0.05)
        assert not await server.ready()
        kill(pid_of(server), signal.SIGTERM)
        codes = await codes_of(clients)
        assert set(codes) <= {MOVED, SHUTDOWN}
        assert codes[SHUTDOWN] > 0
        assert await exit_code_of(server) == 0


async def test_what_does_not_move_in_time_is_closed(redis: RedisProcess) -> None:
    """The rate is raised so that all connections are moved before the timeout."""
    drain: JsonObject = {"connections_per_second": 0.1, "timeout_seconds": 3, "settle_seconds": 0}
    async with ServerProcess("stopping", redis, workers=2, drain=drain) as server, clients_of(server, 10) as clients:
        began = time.monotonic()
        kill(pid_of(server), signal.SIGTERM)
        codes = await codes_of(clients)
        assert sum(codes.values()) == 10
        assert set(codes) <= {MOVED, SHUTDOWN}
        assert await exit_code_of(server) == 0
        assert time.monotonic() - began < 20


async def test_an_interrupt_stops_it_too(server: ServerProcess) -> None:
    """SIGINT, as from a terminal, stops the server too."""
    kill(pid_of(server), signal.SIGINT)
    assert await exit_code_of(server) == 0


async def test_a_port_that_is_taken_is_told_at_once(server: ServerProcess) -> None:
    """One line names the port, and the exit code is 1."""
    environment = {**os.environ, "TMPDIR": str(server.log.parent)}
    again = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", "realtime_server", "run", "--config", str(server.log.parent / "config.json"),
        stderr=asyncio.subprocess.PIPE, env=environment,
    )  # fmt: skip
    async with asyncio.timeout(10):
        _, error = await again.communicate()
    assert again.returncode == 1
    text = error.decode()
    assert f"cannot listen on 127.0.0.1:{server.admin_port}: Address already in use" in text
    assert text.count("\n") == 1
    assert await server.ready()
    assert not [path for path in os.listdir(server.log.parent) if path.startswith("realtime-server-")]  # noqa: PTH208
