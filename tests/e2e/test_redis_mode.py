"""Scenarios of a managed Redis whose mode changes, while clients count every message."""

from __future__ import annotations

import asyncio

import pytest

from realtime_operator.api.base import JsonObject
from tests.e2e.test_redis_change import redis_pods
from tests.e2e.test_redis_failover import primary_of, with_failover
from tests.kit.deadline import eventually
from tests.kit.kube import is_ready, name_of
from tests.kit.kubernetes_fixtures import Scenario
from tests.kit.local_volume import local_volumes
from tests.kit.running_cluster import manifest
from tests.kit.traffic import finish, traffic

CHANGE_SECONDS = 240


@pytest.mark.timeout(600)
async def test_a_redis_gets_failover_without_a_loss(scenario: Scenario) -> None:
    """Histories and positions move to the three pods. On the way back they are lost without a volume, and told so."""
    cluster = scenario.cluster()
    await cluster.apply(manifest("main", replicas=1))
    await cluster.wait_ready(within=90)
    async with traffic(cluster) as running:
        await asyncio.sleep(1)
        await cluster.patch(backplane=with_failover())
        await cluster.wait_ready(within=CHANGE_SECONDS)
        primary = await primary_of(cluster, "main-redis-0")
        result = await finish(running, seconds_more=2)
        assert (result.lost, result.duplicated) == (0, 0), result.describe()
        assert all(event.recovered for event in running.recoveries()), running.recoveries()
        assert running.recoveries()
    assert primary in {"main-redis-1", "main-redis-2"}, "the first pod gave its role away"
    async with traffic(cluster) as running:
        await asyncio.sleep(1)
        await cluster.patch(backplane={"redis": {"managed": {"mode": "Standalone"}}})
        await cluster.wait_ready(within=CHANGE_SECONDS)
        result = await finish(running, seconds_more=2)
        told = [event for event in running.recoveries() if not event.recovered]
        assert told, running.recoveries()
        assert result.duplicated == 0, result.describe()
    assert [name_of(pod) for pod in await redis_pods(scenario)] == ["main-redis-0"]


@pytest.mark.timeout(600)
async def test_a_redis_on_volumes_leaves_failover_without_a_loss(scenario: Scenario) -> None:
    """The first pod, which is a replica at the time, has everything on its volume when it is the only one."""
    async with local_volumes(scenario.kube, count=3) as storage_class:
        persistence: JsonObject = {"size": "256Mi", "storageClassName": storage_class}
        cluster = scenario.cluster()
        await cluster.apply(manifest("main", replicas=1, backplane=with_failover(persistence=persistence)))
        await cluster.wait_ready(within=150)
        await scenario.kube.delete("pod", "main-redis-0")
        await primary_of(cluster, "main-redis-0")
        await eventually(lambda: redis_pods(scenario), are_three, what="three pods are ready", within=120, every=1)
        async with traffic(cluster) as running:
            await asyncio.sleep(1)
            await cluster.patch(backplane={"redis": {"managed": {"mode": "Standalone"}}})
            await cluster.wait_ready(within=CHANGE_SECONDS)
            result = await finish(running, seconds_more=2)
            assert (result.lost, result.duplicated) == (0, 0), result.describe()
            assert all(event.recovered for event in running.recoveries()), running.recoveries()
            assert running.recoveries()
        assert [name_of(pod) for pod in await redis_pods(scenario)] == ["main-redis-0"]


def are_three(pods: list[JsonObject]) -> bool:
    """Return True for three pods that are ready."""
    return [is_ready(pod) for pod in pods] == [True] * 3
