"""Today's operator with servers of older commits: they read its configuration and obey its commands."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from realtime_operator import naming
from realtime_operator.api.base import JsonObject
from realtime_operator.planning.model.world import ServerReport, ServerState
from realtime_operator.pods.admin_client import AdminClient
from tests.kit.collector import Collector
from tests.kit.deadline import eventually
from tests.kit.document import dig, objects_at
from tests.kit.earlier_commit import CommitMissingError, unpack
from tests.kit.local_cluster import local_cluster
from tests.kit.older_server import OlderServer, module_of
from tests.kit.raw_client import RawClient, raw_client
from tests.kit.realtime_command import processes_that_name
from tests.kit.redis_process import RedisProcess, running_redis
from tests.kit.running_cluster import manifest
from tests.kit.server_process import ADMIN_TOKEN, TOKEN_SECRET
from tests.kit.tokens import connection_token
from tests.kit.traffic import assert_nothing_lost, traffic

COMMITS = ("1b980f7c96d5a572493898838097737353cfe2c7", "d167a997b5cbe06d3d8bb7efb757a75fdefaaa90")
"""Last commit before this promise was made, and one 99 commits earlier."""
HOST = "127.0.0.1"
SPEC: JsonObject = {
    "server": {"limits": {"connections": 5000, "messageBytes": "32Ki"}, "heartbeat": {"interval": "20s"}},
    "namespaces": [
        {"name": "chat", "history": {"size": 50}, "recovery": "Stream", "presence": True, "publish": "Subscribers"}
    ],
    "rollout": {"drain": {"timeout": "2m", "settle": "1s"}},
}
"""Spec with options that all of these commits support."""
CLIENTS = 4
TODAY = Path(__file__).parents[2] / "server"
SAMPLED = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}


@pytest.fixture(scope="module", params=COMMITS, ids=lambda commit: commit[:7])
def older(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Check out the server's code of an older commit."""
    checkout = tmp_path_factory.mktemp("older") / "checkout"
    unpack(request.param, checkout, "server")
    path = checkout / "server"
    assert module_of(path).startswith(str(path)), "it is this code that runs, and not that of the checkout"
    return path


@pytest.fixture
def redis() -> Iterator[RedisProcess]:
    """Start a Redis."""
    with running_redis() as process:
        yield process


@contextlib.asynccontextmanager
async def clients(server: OlderServer, count: int) -> AsyncIterator[list[RawClient]]:
    """Connect and subscribe clients."""
    async with contextlib.AsyncExitStack() as stack:
        opened = []
        for number in range(count):
            client = await stack.enter_async_context(raw_client(server.url))
            await client.connect(connection_token(TOKEN_SECRET, f"user-{number}"))
            opened.append(await client.subscribe("chat:a"))
        yield opened


async def test_it_reads_its_configuration_and_obeys(older: Path, redis: RedisProcess) -> None:
    """Report, shed, quiesce, resume, drain and metrics, all that the operator asks servers for, work."""
    async with OlderServer("older", redis, older, SPEC) as server, clients(server, CLIENTS):
        admin = AdminClient(server.admin_port)

        async def report() -> ServerReport:
            found = await admin.report(HOST, ADMIN_TOKEN)
            assert found is not None
            return found

        async def reported(state: ServerState, connections: int) -> None:
            await eventually(
                report, lambda found: (found.state, found.connections) == (state, connections), what=state, within=10
            )

        try:
            await reported(ServerState.SERVING, CLIENTS)
            assert (await report()).backplane_healthy
            await admin.shed(HOST, ADMIN_TOKEN, 1, 100.0)
            await reported(ServerState.SERVING, CLIENTS - 1)
            await admin.quiesce(HOST, ADMIN_TOKEN)
            await reported(ServerState.QUIESCED, CLIENTS - 1)
            assert not await admin.is_ready(HOST, ADMIN_TOKEN)
            await admin.resume(HOST, ADMIN_TOKEN)
            await reported(ServerState.SERVING, CLIENTS - 1)
            assert await admin.is_ready(HOST, ADMIN_TOKEN)
            await admin.drain(HOST, ADMIN_TOKEN, 1.0)
            assert (await report()).drain_rate == 1.0
            await admin.drain(HOST, ADMIN_TOKEN, 100.0)
            await reported(ServerState.DRAINED, 0)
            assert "realtime_server_connections" in await admin.metrics(HOST)
        finally:
            await admin.close()


async def test_a_rolling_update_of_its_servers_loses_nothing(older: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the whole operator, connections move by code 3011, and every publication is accounted for."""
    monkeypatch.setenv("PYTHONPATH", str(older))
    async with local_cluster() as cluster:
        await cluster.apply(manifest("main", replicas=2))
        before = await cluster.wait_ready()
        assert len(processes_that_name(str(cluster.up.state), f"{naming.ENV_SERVER_NAME}=", f"PYTHONPATH={older}")) >= 4
        async with traffic(cluster) as running:
            await cluster.patch(server={"limits": {"messagesPerSecond": 200}})
            after = await cluster.wait_ready()
            await assert_nothing_lost(running)
        assert dig(after, "status", "currentRevision") != dig(before, "status", "currentRevision")


async def test_traced_publications_reach_its_servers_and_theirs_reach_today_s(older: Path, redis: RedisProcess) -> None:
    """During an upgrade to servers that trace, each reads what the other publishes, from Redis and from the history."""
    async with (
        Collector() as collector,
        OlderServer("older", redis, older, SPEC) as before,
        OlderServer("today", redis, TODAY, {**SPEC, "tracing": {"endpoint": collector.endpoint}}) as today,
        clients(before, 1) as [old_client],
        clients(today, 1) as [new_client],
        before.api() as old_api,
        today.api() as new_api,
    ):
        new_api.headers.update(SAMPLED)
        await new_api.call("publish", channel="chat:a", data="traced", tags={"a": "b"})
        await old_api.call("publish", channel="chat:a", data="not traced")
        for client in (old_client, new_client):
            assert [await client.publication() for _ in range(2)] == ["traced", "not traced"]
        for api in (old_api, new_api):
            history = await api.call("history", channel="chat:a", limit=10)
            found = [
                (publication["data"], publication.get("tags")) for publication in objects_at(history, "publications")
            ]
            assert found == [("traced", {"a": "b"}), ("not traced", None)]
        await collector.wait_for(1, "deliver chat:{channel}")
        assert {span.server for span in collector.spans} == {"today"}


def test_a_clone_without_history_is_told_so(tmp_path: Path) -> None:
    """The test fails with advice instead of being skipped."""
    with pytest.raises(CommitMissingError, match="git fetch --unshallow"):
        unpack("0" * 40, tmp_path / "checkout", "server")
