"""Tests of the local platform with real servers and a real Redis."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import pytest_asyncio

from realtime_operator import naming
from realtime_operator.api.base import JsonObject
from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.cli.cluster_file import read
from realtime_operator.cli.ports import free_port
from realtime_operator.planning.model.plan import (
    Action,
    DeleteServer,
    Drain,
    EmitEvent,
    EventType,
    Quiesce,
    Resume,
    SetDeletionCost,
    SetStatus,
)
from realtime_operator.planning.model.world import Endpoints, Server, ServerState, World
from realtime_operator.planning.reconcile import Decision, reconcile
from realtime_operator.planning.status.report import report
from realtime_operator.platforms.base import Key
from realtime_operator.platforms.local.driver import SETTINGS, LocalPlatform
from realtime_operator.platforms.local.fleet import Fleet
from realtime_operator.platforms.local.object_store import NAMESPACE, Event, ObjectStore
from realtime_operator.platforms.local.redis import LocalRedis, find_redis_server
from realtime_operator.platforms.local.server_files import Ports, ServerFiles
from realtime_operator.platforms.local.state_folder import StateFolder
from realtime_operator.pods.admin_client import AdminClient
from tests.kit.deadline import eventually
from tests.kit.manifests import without_centrifuge
from tests.kit.raw_client import raw_client
from tests.kit.running_cluster import QUICKSTART

pytestmark = pytest.mark.asyncio(loop_scope="module")

SETTLED_SECONDS = 20
LOOK_SECONDS = 0.05
CLIENTS = 16
LISTEN = "0A"
"""State of a listening socket in /proc/net/tcp."""


@dataclass
class Machine:
    """A platform, with the steps of a reconcile."""

    platform: LocalPlatform
    events: list[Event] = field(default_factory=list)

    @property
    def url(self) -> str:
        """URL that clients connect to."""
        return self.platform.fleet.files.ports.client_url

    async def stored(self) -> JsonObject:
        """Return the stored cluster."""
        stored = await self.platform.read(Key(NAMESPACE, "quickstart"))
        assert stored is not None
        return stored

    async def observe(self) -> World:
        """Observe the cluster."""
        return await self.platform.observe(RealtimeCluster.from_object(await self.stored()))

    async def plan(self) -> Decision:
        """Return the actions of a reconcile."""
        cluster = RealtimeCluster.from_object(await self.stored())
        world = await self.platform.observe(cluster)
        decision = reconcile(cluster, world, datetime.now(UTC), SETTINGS)
        assert decision.facts is not None
        events = report(cluster, world, decision.facts, decision.scaling, decision.actions, ())
        return replace(decision, actions=(*decision.actions, *events))

    async def reconcile(self) -> Decision:
        """Reconcile once: decide and carry out."""
        decision = await self.plan()
        await self.platform.apply(await self.stored(), decision.actions)
        return decision

    async def settle(self) -> None:
        """Reconcile until no action is left."""
        await eventually(
            self.reconcile,
            lambda plan: not plan.actions and plan.requeue_after is None,
            what="nothing left to do",
            within=SETTLED_SECONDS,
            every=LOOK_SECONDS,
        )

    async def do(self, *actions: Action) -> None:
        """Carry out given actions."""
        await self.platform.apply(await self.stored(), actions)

    async def until(self, fact: Callable[[dict[str, Server]], bool], what: str) -> dict[str, Server]:
        """Observe until `wanted` accepts the servers by name."""

        async def look() -> dict[str, Server]:
            return {server.name: server for server in (await self.observe()).servers}

        return await eventually(look, fact, what=what, within=SETTLED_SECONDS, every=LOOK_SECONDS)

    async def listeners(self) -> int:
        """Return the number of sockets that listen on the client port."""
        port = self.platform.fleet.files.ports.client
        lines = Path("/proc/net/tcp").read_text().splitlines()[1:]  # noqa: ASYNC240 - in memory
        columns = [line.split() for line in lines]
        return sum(1 for column in columns if column[1].endswith(f":{port:04X}") and column[3] == LISTEN)

    async def have(self, fact: Callable[[dict[str, int]], bool], what: str) -> None:
        """Wait until the servers have these numbers of connections."""

        async def connections() -> dict[str, int]:
            servers = (await self.observe()).servers
            return {server.name: server.report.connections for server in servers if server.report is not None}

        await eventually(connections, fact, what=what, within=5, every=0.01)


@asynccontextmanager
async def local_machine(redis: Path | None) -> AsyncIterator[Machine]:
    """Prepare a platform with the quickstart's cluster; all processes end with the body."""
    with tempfile.TemporaryDirectory(prefix="rt-") as path:
        folder = StateFolder(Path(path) / "state")
        folder.prepare()
        store, admin = ObjectStore(folder.secrets), AdminClient()
        file = read(QUICKSTART)
        store.set_cluster(file.name, file.spec)
        own_redis = None if redis is None else LocalRedis(folder, redis, lambda: None)
        files = ServerFiles(folder, store, Ports(client=free_port(), api=free_port()), own_redis)
        fleet = Fleet(folder, store, files, lambda: None)
        events: list[Event] = []
        try:
            yield Machine(LocalPlatform(store, fleet, admin, own_redis, events.append), events)
        finally:
            fleet.kill()
            for server in fleet.servers:
                await server.process.ended()
            if own_redis is not None:
                await own_redis.end()
            await admin.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def machine() -> AsyncIterator[Machine]:
    """The settled quickstart cluster of the module; tests restore it."""
    program = find_redis_server()
    assert program is not None, "redis-server is not installed: run `make setup`"
    async with local_machine(program) as made:
        await made.settle()
        yield made


@asynccontextmanager
async def clients(url: str) -> AsyncIterator[None]:
    """Hold connections open while the body runs."""
    async with AsyncExitStack() as stack:
        for _ in range(CLIENTS):
            client = await stack.enter_async_context(raw_client(url))
            await client.command(id=1, connect={})
        yield


async def test_a_settled_cluster_is_left_alone(machine: Machine) -> None:
    """A further plan has no actions; the status has the endpoints, and the available servers were reported."""
    plan = await machine.plan()
    assert (plan.actions, plan.requeue_after) == ((), None)
    status = (await machine.stored())["status"]
    assert isinstance(status, dict)
    assert (status["phase"], status["readyReplicas"]) == ("Ready", 2)
    assert "ServersAvailable" in {event.reason for event in machine.events}
    world = await machine.observe()
    assert [server.ready for server in world.servers] == [True, True]
    ports = machine.platform.fleet.files.ports
    assert world.endpoints == Endpoints(ports.client_url, ports.api_url)
    other = without_centrifuge(RealtimeCluster.from_object(await machine.stored()))
    assert (await machine.platform.observe(other)).endpoints == Endpoints(ports.client_origin, ports.api_url)


async def test_only_the_cluster_of_the_platform_is_read(machine: Machine) -> None:
    """The returned object is a copy."""
    assert await machine.platform.read(Key(NAMESPACE, "other")) is None
    assert await machine.platform.read(Key("other", "quickstart")) is None
    before = await machine.stored()
    before["spec"] = None
    assert (await machine.stored())["spec"] is not None


async def test_hashes_of_secrets_are_seen_and_no_values(machine: Machine) -> None:
    """Secrets that are owned, and those that the spec refers to, are included."""
    world = await machine.observe()
    credentials = naming.credentials_secret("quickstart")
    assert set(world.secrets) == {credentials, naming.redis("quickstart")}
    values = machine.platform.store.secret(credentials)
    assert set(world.secrets[credentials]) == set(values)
    assert not set(world.secrets[credentials].values()) & set(values.values())


async def test_a_quiesced_server_leaves_the_shared_port_and_comes_back(machine: Machine) -> None:
    """New connections reach only the other server; after Resume they reach both."""
    first, second = (server.name for server in (await machine.observe()).servers)
    await machine.do(Quiesce(first, first))
    seen = await machine.until(lambda servers: not servers[first].ready, "it is not ready")
    await eventually(machine.listeners, lambda count: count == 1, what="one listens", within=5, every=0.01)
    assert (seen[first].serving, seen[second].serving) == (False, True)
    assert seen[first].quiesced_at is not None
    async with clients(machine.url):
        await machine.have(lambda counts: counts == {first: 0, second: CLIENTS}, "all are at the other one")
    await machine.do(Resume(first, first, None))
    seen = await machine.until(lambda servers: servers[first].ready, "it is back")
    assert (seen[first].serving, seen[first].quiesced_at) == (True, None)
    async with clients(machine.url):
        await machine.have(
            lambda counts: sum(counts.values()) == CLIENTS and min(counts.values()) > 0, "both have some"
        )
    await machine.settle()


async def test_a_server_is_drained_at_the_rate_of_the_plan(machine: Machine) -> None:
    """A Resume lets it serve again."""
    first = (await machine.observe()).servers[0].name
    await machine.do(Quiesce(first, first), Drain(first, None, 100.0))

    def is_drained(servers: dict[str, Server]) -> bool:
        report = servers[first].report
        return report is not None and report.state is ServerState.DRAINED

    await machine.until(is_drained, "it is drained")
    await machine.do(Resume(first, first, None))
    await machine.settle()


async def test_events_and_marks_arrive(machine: Machine) -> None:
    """Events, deletion costs and status are stored; actions on a missing server are no error."""
    server = (await machine.observe()).servers[0].name
    status = (await machine.stored())["status"]
    assert isinstance(status, dict)
    await machine.do(
        EmitEvent(EventType.WARNING, "Tried", "a message"),
        SetDeletionCost(server, server, 7),
        SetStatus({**status, "phase": "Tried"}),
        Quiesce("gone", "gone"),
    )
    assert [(event.type, event.reason, event.message) for event in machine.events[-1:]] == [
        ("Warning", "Tried", "a message")
    ]
    assert machine.platform.store.events[-1] == machine.events[-1]
    assert (await machine.observe()).servers[0].deletion_cost == 7
    assert (await machine.stored())["status"] == {**status, "phase": "Tried"}
    await machine.do(SetDeletionCost(server, server, 0), SetStatus(status))
    await machine.settle()


async def test_a_deleted_server_is_replaced(machine: Machine) -> None:
    first = (await machine.observe()).servers[0].name
    await machine.do(DeleteServer(first, first))
    await machine.until(lambda servers: first not in servers and len(servers) == 2, "it is replaced")
    await machine.settle()


async def test_a_redis_that_was_killed_is_brought_back_by_a_look(machine: Machine) -> None:
    """The servers connect to the new one."""
    redis = machine.platform.redis
    assert redis is not None
    killed = redis.pid
    assert killed is not None
    os.kill(killed, signal.SIGKILL)
    await machine.until(
        lambda servers: redis.pid not in {killed, None} and all(server.ready for server in servers.values()),
        "all are ready again",
    )
    await machine.settle()


async def test_a_lost_password_is_made_again() -> None:
    """The next plan writes a removed file again; observations do not fail."""
    program = find_redis_server()
    assert program is not None
    async with local_machine(program) as machine:
        machine.platform.store.apply(
            {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": naming.redis("quickstart")}}
        )
        plan = await machine.plan()
        assert [type(action).__name__ for action in plan.actions[:3]] == [
            "EnsureSecret",
            "EnsureSecret",
            "CreateObject",
        ]


async def test_without_a_redis_objects_are_made_all_the_same() -> None:
    """Objects of Redis are made; servers run without a backplane."""
    async with local_machine(None) as machine:
        await machine.reconcile()
        assert (await machine.observe()).secrets.keys() == {
            naming.credentials_secret("quickstart"),
            naming.redis("quickstart"),
        }


async def test_a_certificate_of_redis_is_made_and_changes_nothing_here() -> None:
    """Servers reach Redis by its Unix socket, as without TLS; there is nothing left to do."""
    program = find_redis_server()
    assert program is not None
    async with local_machine(program) as machine:
        spec = read(QUICKSTART).spec
        machine.platform.store.set_cluster("quickstart", {**spec, "backplane": {"redis": {"managed": {"tls": {}}}}})
        await machine.settle()
        values = machine.platform.store.secret(naming.redis_certificate("quickstart"))
        assert set(values) == {"ca.crt", "ca.key", "tls.crt", "tls.key"}
        world = await machine.observe()
        assert all(server.ready for server in world.servers)
