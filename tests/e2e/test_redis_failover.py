"""Scenarios of a managed Redis with failover, updated and killed while clients count every message."""

from __future__ import annotations

import asyncio

import pytest

from realtime_operator.api.base import JsonObject
from tests.e2e.test_redis_change import redis_pods
from tests.kit.deadline import eventually
from tests.kit.document import dig, objects_at, text_at
from tests.kit.kube import is_ready, name_of
from tests.kit.kubernetes_fixtures import Scenario
from tests.kit.live_cluster import LiveCluster
from tests.kit.running_cluster import manifest
from tests.kit.traffic import finish, traffic

LIMIT = "200Mi"


def with_failover(**fields: object) -> JsonObject:
    """Return the backplane of a managed Redis with failover."""
    return {"redis": {"managed": {"mode": "Failover", **fields}}}  # type: ignore[dict-item] # JSON in every test


async def primary_of(cluster: LiveCluster, *other_than: str) -> str:
    """Wait until the status names a primary other than these; return it."""
    stored = await cluster.wait(
        lambda o: text_at(o, "status", "redis", "primary") not in {"", *other_than}, what="a primary", within=60
    )
    return text_at(stored, "status", "redis", "primary")


@pytest.mark.timeout(400)
async def test_a_failover_loses_nothing_that_clients_are_not_told_of(scenario: Scenario) -> None:
    """An update replaces all pods without losing a message; after the death of the primary publishing goes on."""
    cluster = scenario.cluster()
    await cluster.apply(manifest("main", backplane=with_failover()))
    await cluster.wait_ready(within=120)
    first = await primary_of(cluster)
    assert first == "main-redis-0"
    async with traffic(cluster) as running:
        await cluster.patch(backplane=with_failover(resources={"limits": {"memory": LIMIT}}))
        await all_updated(scenario)
        await cluster.wait_ready(within=60)
        second = await primary_of(cluster, first)
        result = await finish(running, seconds_more=2)
        assert (result.lost, result.duplicated) == (0, 0), result.describe()
        assert all(event.recovered for event in running.recoveries()), running.recoveries()
    async with traffic(cluster) as running:
        await asyncio.sleep(1)
        await scenario.kube.delete("pod", second, "--grace-period=0", "--force")
        await primary_of(cluster, second)
        await cluster.wait_ready(within=90)
        result = await finish(running, seconds_more=2)
        told = [event for event in running.recoveries() if not event.recovered]
        assert result.lost == 0 or told, result.describe()
        assert result.duplicated == 0, result.describe()


async def all_updated(scenario: Scenario) -> None:
    """Wait until three pods have the memory limit LIMIT and are ready."""

    async def updated() -> list[str]:
        pods = [pod for pod in await redis_pods(scenario) if is_ready(pod)]
        limits = {
            name_of(p): dig(objects_at(p, "spec", "containers")[0], "resources", "limits", "memory") for p in pods
        }
        return [name for name, limit in limits.items() if limit == LIMIT]

    await eventually(updated, lambda names: len(names) == 3, what="three updated pods", within=200, every=0.5)
