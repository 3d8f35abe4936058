"""`realtime-server drain`, as a pod runs it before it is stopped."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path

from realtime_operator.api.base import JsonObject
from realtime_server.admin.drain_command import START_SECONDS
from tests.component.supervisor.processes import clients_of
from tests.kit.deadline import eventually
from tests.kit.redis_process import RedisProcess, free_port
from tests.kit.server_process import ServerProcess

QUICK: JsonObject = {"connections_per_second": 100, "timeout_seconds": 10, "settle_seconds": 0.2}
SLOW: JsonObject = {"connections_per_second": 0.1, "timeout_seconds": 1, "settle_seconds": 0}


async def drain(config: Path) -> tuple[int | None, list[str], str]:
    """Run the command; return exit code, lines of stdout, and stderr."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", "realtime_server", "drain", "--config", str(config),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(START_SECONDS + 20):
        out, error = await process.communicate()
    return process.returncode, out.decode().splitlines(), error.decode()


def config_of(server: ServerProcess) -> Path:
    """Return the path of the server's configuration."""
    return server.log.parent / "config.json"


async def test_it_empties_the_server_and_tells_how(redis: RedisProcess) -> None:
    """The server runs on, drained."""
    async with ServerProcess("pod", redis, workers=2, drain=QUICK) as server, clients_of(server, 20) as clients:
        code, lines, error = await drain(config_of(server))
        assert (code, error) == (0, "")
        assert lines[0].startswith("quiesced with 20 connections")
        assert lines[-1] == "done with 0 connections left"
        assert [await client.closed() for client in clients] == [3011] * 20
        assert await server.state() == "drained"


async def test_it_finds_the_admin_api_on_its_socket(redis: RedisProcess, tmp_path: Path) -> None:
    """On a machine with several servers the port may be shared, or belong to another one."""
    listen: JsonObject = {"admin_socket": str(tmp_path / "admin.sock")}
    async with ServerProcess("pod", redis, drain=QUICK, listen=listen) as server, clients_of(server, 4) as clients:
        code, lines, error = await drain(config_of(server))
        assert (code, error) == (0, "")
        assert lines[-1] == "done with 0 connections left"
        assert [await client.closed() for client in clients] == [3011] * 4
        assert await server.state() == "drained"


async def test_it_is_as_fast_as_it_has_to_be(redis: RedisProcess) -> None:
    """A rate that is too low for the timeout is raised, so that connections move evenly."""
    async with ServerProcess("pod", redis, workers=2, drain=SLOW) as server, clients_of(server, 10) as clients:
        code, lines, error = await drain(config_of(server))
        assert (code, error) == (0, "")
        assert "draining at 10 connections per second" in lines
        assert [await client.closed() for client in clients] == [3011] * 10


async def test_without_a_rate_of_the_operator_it_drains_at_the_share(redis: RedisProcess) -> None:
    """The operator gave the share while it was there."""
    drained: JsonObject = {"connections_per_second": 0.1, "timeout_seconds": 60, "settle_seconds": 0}
    async with ServerProcess("pod", redis, workers=2, drain=drained) as server, clients_of(server, 6) as clients:
        status = await server.admin("POST", "share", {"connections_per_second": 20})
        assert status["share"] == 20
        code, lines, error = await drain(config_of(server))
        assert (code, error) == (0, "")
        assert "draining at 20 connections per second" in lines
        assert [await client.closed() for client in clients] == [3011] * 6


async def test_a_rate_that_comes_after_the_settle_time_is_taken(redis: RedisProcess) -> None:
    """The operator sees the end of the pod a moment later than the command."""
    drained: JsonObject = {"connections_per_second": 0.1, "timeout_seconds": 60, "settle_seconds": 0}
    async with ServerProcess("pod", redis, drain=drained) as server, clients_of(server, 4) as clients:
        command = asyncio.create_task(drain(config_of(server)))
        await eventually(server.state, lambda state: state == "quiesced", what="quiesced", within=30, every=0.1)
        await server.admin("POST", "drain", {"connections_per_second": 40})
        code, lines, error = await command
        assert (code, error) == (0, "")
        assert not [line for line in lines if line.startswith("draining at")]
        assert [await client.closed() for client in clients] == [3011] * 4


async def test_what_is_left_at_the_end_of_the_time_is_closed(redis: RedisProcess) -> None:
    """Connections left by a drain that was too slow are closed, so that the pod does not end with open ones."""
    async with ServerProcess("pod", redis, workers=2, drain=SLOW) as server, clients_of(server, 10) as clients:
        await server.admin("POST", "drain", {"connections_per_second": 0.1})
        code, lines, error = await drain(config_of(server))
        assert (code, error) == (0, "")
        assert "10 connections left after 1 s, closing them" in lines
        assert lines[-1] == "done with 0 connections left"
        assert [await client.closed() for client in clients] == [3011] * 10


async def test_a_drain_that_somebody_began_goes_on_at_its_rate(redis: RedisProcess) -> None:
    """The operator's rate is kept, since it knows the capacity of the other servers."""
    async with ServerProcess("pod", redis, workers=2, drain=QUICK) as server, clients_of(server, 4) as clients:
        await server.admin("POST", "drain", {"connections_per_second": 4})
        code, lines, _ = await drain(config_of(server))
        assert code == 0
        assert not any(line.startswith(("quiesced", "draining at")) for line in lines)
        assert [await client.closed() for client in clients] == [3011] * 4


async def test_a_server_that_is_only_starting_is_waited_for(redis: RedisProcess) -> None:
    """The command waits when it runs before the server listens: a pod may be deleted that early.

    The test does not wait for the server, so that the command may be first; it may succeed at any later time.
    """
    server = ServerProcess("pod", redis, workers=2, drain=QUICK)
    draining = asyncio.create_task(drain(Path(server.write_files())), name="drain")
    await asyncio.sleep(2)
    try:
        await server.launch()
        code, lines, error = await draining
        assert (code, error) == (0, "")
        assert lines[0].startswith("the server does not answer yet")
        assert lines[-1] == "done with 0 connections left"
        assert await server.state() == "drained"
    finally:
        await server.__aexit__()


async def test_without_a_server_it_fails_with_a_reason_in_time(tmp_path: Path) -> None:
    """The command leaves most of the 30 s that a pod has beyond its drain."""
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"listen": {"admin_port": free_port()}}))
    began = time.monotonic()
    code, lines, error = await drain(config)
    assert (code, len(lines)) == (1, 1)
    assert error.startswith("error: the server does not answer")
    assert error.count("\n") == 1
    assert time.monotonic() - began < START_SECONDS + 5


async def test_a_wrong_token_is_told(redis: RedisProcess, tmp_path: Path) -> None:
    """The command fails without any effect."""
    async with ServerProcess("pod", redis, drain=QUICK) as server:
        config = json.loads(config_of(server).read_text())
        (tmp_path / "token").write_text("wrong")
        config["admin"] = {"token_file": str(tmp_path / "token")}
        other = tmp_path / "config.json"
        other.write_text(json.dumps(config))
        code, _, error = await drain(other)
        assert code == 1
        assert "401" in error
        assert await server.state() == "serving"
