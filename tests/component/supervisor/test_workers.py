"""Death of workers, and the server's status meanwhile."""

from __future__ import annotations

import json
import signal

from tests.component.supervisor.processes import (
    admin_process_of,
    clients_of,
    gone,
    kill,
    pid_of,
    ready,
    workers_of,
)
from tests.kit.deadline import eventually
from tests.kit.document import text_at, whole_at
from tests.kit.redis_process import RedisProcess
from tests.kit.server_process import ServerProcess


async def test_the_workers_are_one_server(server: ServerProcess) -> None:
    """Status and metrics count the connections of both workers."""
    assert len(workers_of(server)) == 2
    async with clients_of(server, 30):
        status = await server.admin("GET", "status")
        assert whole_at(status, "connections") == 30
        assert whole_at(status, "accepted_total") == 30
        assert whole_at(status, "workers") == 2
        assert status["backplane_healthy"] is True
        assert text_at(status, "server") == "supervised"
        metrics = await server.metrics()
        counts = [line.split()[-1] for line in metrics.splitlines() if line.startswith("realtime_server_connections{")]
        assert sum(float(count) for count in counts) == 30
        assert len(counts) == 2
        assert metrics.count("# TYPE realtime_server_connections gauge") == 1


async def test_a_killed_worker_comes_back(server: ServerProcess) -> None:
    """Connections of the other worker stay, and the restart is counted."""
    first, second = workers_of(server)
    async with clients_of(server, 30) as clients:
        kill(first, signal.SIGKILL)
        await gone(first)
        await eventually(
            lambda: server.admin("GET", "status"),
            lambda status: whole_at(status, "connections") == sum(client.code is None for client in clients),
            what="only the other worker's connections counted",
            within=5,
        )
        await ready(server)
        assert 0 < sum(client.code is None for client in clients) < 30
    assert second in workers_of(server)
    assert first not in workers_of(server)
    assert len(workers_of(server)) == 2
    assert "realtime_server_worker_restarts_total 1.0" in await server.metrics()


async def test_a_server_with_a_dead_worker_is_not_ready(server: ServerProcess) -> None:
    """The reason is given, and the admin API covers the other workers."""
    await server.admin("POST", "quiesce")
    await ready(server, wanted=False)
    await server.admin("POST", "resume")
    await ready(server)
    for pid in workers_of(server):
        kill(pid, signal.SIGKILL)
    await ready(server, wanted=False)
    await ready(server)


async def test_a_worker_that_comes_back_is_quiesced_like_the_others(server: ServerProcess) -> None:
    """Otherwise the server would appear to serve again."""
    await server.admin("POST", "quiesce")
    first, _ = workers_of(server)
    kill(first, signal.SIGKILL)
    await gone(first)
    await eventually(
        server.metrics,
        lambda text: 'realtime_server_connections{worker="0"}' in text and "restarts_total 1.0" in text,
        what="the worker is back",
        within=10,
    )
    assert await server.state() == "quiesced"
    await server.admin("POST", "resume")
    assert await server.state() == "serving"


async def test_a_killed_admin_process_comes_back_and_knows_the_state(server: ServerProcess) -> None:
    """Clients are not affected."""
    async with clients_of(server, 5) as clients:
        await server.admin("POST", "quiesce")
        before = admin_process_of(server)
        workers = workers_of(server)
        kill(before, signal.SIGKILL)
        await gone(before)
        await eventually(
            lambda: _state_or_error(server), lambda state: state == "quiesced", what="still quiesced", within=10
        )
        assert all(client.code is None for client in clients)
        assert set(workers) <= set(_children(server))


async def test_a_dead_supervisor_leaves_nothing_behind(server: ServerProcess) -> None:
    """The kernel ends its children, however it was killed."""
    left = [*workers_of(server), admin_process_of(server)]
    kill(pid_of(server), signal.SIGKILL)
    await gone(pid_of(server), *left)


async def test_without_redis_a_server_is_alive_and_not_ready(redis: RedisProcess, server: ServerProcess) -> None:
    """Its connections stay, and the reason is given."""
    async with clients_of(server, 3) as clients:
        redis.stop()
        try:
            await ready(server, wanted=False)
            assert (await server.admin("GET", "status"))["backplane_healthy"] is False
        finally:
            redis.start()
        await ready(server)
        assert all(client.code is None for client in clients)


def _children(server: ServerProcess) -> list[int]:
    return [*workers_of(server), admin_process_of(server)]


async def _state_or_error(server: ServerProcess) -> str:
    try:
        return await server.state()
    except (OSError, AssertionError, json.JSONDecodeError) as error:
        return repr(error)
