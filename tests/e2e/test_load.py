"""A thousand stock clients through everything that can happen to a cluster. Takes minutes: `make e2e-load`."""

from __future__ import annotations

import asyncio

import pytest

from realtime_operator.api.base import JsonObject
from tests.e2e.test_operator import OPERATOR_SELECTOR
from tests.e2e.test_redis_failover import primary_of, with_failover
from tests.kit.deadline import eventually
from tests.kit.document import dig, objects_at
from tests.kit.kill import kill_pod
from tests.kit.kube import condition, is_ready, name_of
from tests.kit.kubernetes_fixtures import Scenario
from tests.kit.live_cluster import LiveCluster
from tests.kit.load import Figures, Load, load
from tests.kit.running_cluster import busiest_server, manifest

CONNECTIONS, PYTHON, CHANNELS, PUBLICATIONS_PER_SECOND = 1000, 100, 100, 100.0
SERVERS, BUDGET = 4, 25
PEAK = 2 * BUDGET
"""Moves that a second of the clients' clock may show: their event loops may lag by one."""
REPEATED = 1.1
"""Moves for each connection at most: a few reach a server that drains, before proxies notice."""
PATIENCE = 240
"""Seconds for a phase, which takes 60 at most on an idle machine."""
BEFORE_SECONDS = 20


async def settled(cluster: LiveCluster, running: Load) -> None:
    """Wait until the cluster has settled, and all clients are back."""
    await cluster.wait_ready(within=PATIENCE)
    await running.calm(within=PATIENCE)


async def drains(cluster: LiveCluster) -> None:
    """Wait until connections are moved."""
    await cluster.wait(
        lambda o: bool(dig(o, "status", "rollout", "drainingServers")), what="a drain has begun", within=PATIENCE
    )


async def kill_operator(scenario: Scenario) -> None:
    """Kill the operator without notice, and wait for its successor."""
    for pod in await scenario.system.list("pods", OPERATOR_SELECTOR):
        await kill_pod(scenario.system, pod)


async def change(cluster: LiveCluster, messages_per_second: int) -> None:
    """Change the configuration of the servers, so that all of them are replaced."""
    await cluster.patch(server={"limits": {"messagesPerSecond": messages_per_second}})


async def an_image_that_does_not_exist(cluster: LiveCluster) -> None:
    """Ask for it, and undo that when the status tells the reason."""
    await cluster.patch(image={"repository": "localhost/no-such-image", "tag": "none", "pullPolicy": "Never"})
    await cluster.wait(lambda o: "no-such-image" in str(objects_at(o, "status", "conditions")), what="the reason told")
    await cluster.patch(image=None)


async def a_canary_that_fails(cluster: LiveCluster) -> None:
    """Ask for servers that refuse most connects, a quarter first; take that back when it has been rolled back."""
    steps = [{"share": "25%", "hold": "30s"}]
    await cluster.patch(rollout={"canary": {"steps": steps}}, server={"limits": {"connectsPerSecond": 1}})
    await cluster.wait(
        lambda o: condition(o, "Progressing").get("reason") == "GateFailed", what="the roll back", within=PATIENCE
    )
    await cluster.patch(rollout={"canary": None}, server={"limits": {"connectsPerSecond": None}})


async def evict(scenario: Scenario, pods: list[JsonObject]) -> None:
    """Delete pods as a node drain does, and wait until they are gone."""
    await scenario.kube.kubectl("delete", "pod", *map(name_of, pods), f"--timeout={PATIENCE}s")


async def through_everything(scenario: Scenario, cluster: LiveCluster, running: Load) -> None:
    """Let it happen, a phase each."""
    with running.phase("before"):
        await asyncio.sleep(BEFORE_SECONDS)
    with running.phase("config change"):
        await change(cluster, 200)
        await settled(cluster, running)
    with running.phase("missing image"):
        await an_image_that_does_not_exist(cluster)
        await settled(cluster, running)
    with running.phase("canary that fails"):
        await a_canary_that_fails(cluster)
        await settled(cluster, running)
    with running.phase("scale-in"):
        await cluster.scale(SERVERS - 1)
        await settled(cluster, running)
    with running.phase("evictions, one by one"):
        for pod in (await cluster.pods())[:2]:
            await evict(scenario, [pod])
            await settled(cluster, running)
    with running.phase("evictions, all at once"):
        await evict(scenario, await cluster.pods())
        await settled(cluster, running)
    with running.phase("pod killed"):
        victim = await busiest_server(cluster)
        await cluster.kill_server(victim)
        await eventually(cluster.pods, lambda pods: victim not in map(name_of, pods), what="it is gone", within=30)
        await settled(cluster, running)
    with running.phase("operator killed, config change"):
        await change(cluster, 201)
        for delay in (0.5, 4.0, 8.0):  # new servers start, old ones quiesce, connections move
            await asyncio.sleep(delay)
            await kill_operator(scenario)
        await settled(cluster, running)
    with running.phase("Redis failover, config change"):
        await change(cluster, 202)
        await drains(cluster)
        primary = await primary_of(cluster)
        await scenario.kube.delete("pod", primary, "--grace-period=0", "--force")
        await primary_of(cluster, primary)
        await settled(cluster, running)
    with running.phase("after"):
        await asyncio.sleep(BEFORE_SECONDS / 2)


@pytest.mark.timeout(1800)
async def test_a_thousand_clients_through_everything(scenario: Scenario) -> None:
    """Everything arrives once and in order, or the subscriber is told; moves keep to the budget."""
    cluster = scenario.cluster()
    rollout = {"maxSurge": "100%", "drain": {"connectionsPerSecond": BUDGET, "settle": "1s"}}
    await cluster.apply(manifest("main", replicas=SERVERS, rollout=rollout, backplane=with_failover()))
    await cluster.wait_ready(within=PATIENCE)
    async with load(
        cluster,
        javascript=CONNECTIONS - PYTHON,
        python=PYTHON,
        channels=CHANNELS,
        per_second=PUBLICATIONS_PER_SECOND,
    ) as running:
        try:
            await through_everything(scenario, cluster, running)
            result = await running.settled()
        finally:
            print(running.describe(), flush=True)
        print(
            f"{len(running.publisher.published)} published, {len(running.publisher.failed)} without an answer,"
            f" {result.delivered} delivered, {result.lost} lost, {result.duplicated} duplicated"
        )
        phases = {found.phase.name: found for found in running.figures()}
        assert result.duplicated == 0, result.describe()
        assert not any(account.out_of_order or account.unknown for account in result.accounts), result.describe()
        assert running.untold(result) == [], result.describe()
        assert_moves(phases)
    assert all(is_ready(pod) for pod in await cluster.pods())


def assert_moves(phases: dict[str, Figures]) -> None:
    """Assert the budget, the moves of a whole move, and that only Redis can make a recovery fail."""
    for found in phases.values():
        assert found.peak <= PEAK, found
    whole = phases["config change"]
    assert CONNECTIONS <= whole.asked <= REPEATED * CONNECTIONS, whole
    assert phases["missing image"].asked == 0
    assert 0 < phases["canary that fails"].asked < CONNECTIONS
    assert all(phases[name].unrecovered == 0 for name in phases if "Redis" not in name), phases
