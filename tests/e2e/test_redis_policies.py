"""Scenario of a managed Redis with failover under NetworkPolicies that are enforced."""

from __future__ import annotations

import asyncio
import json

import pytest

from realtime_operator.api.base import JsonObject
from tests.e2e.test_redis_change import redis_pods
from tests.e2e.test_redis_failover import primary_of, with_failover
from tests.kit.deadline import eventually
from tests.kit.kube import Kube, KubectlError, is_ready
from tests.kit.kubernetes_fixtures import Scenario
from tests.kit.running_cluster import manifest
from tests.kit.traffic import finish, traffic

PODS_OF_REDIS = ("main-redis-0", "main-redis-1", "main-redis-2")


@pytest.mark.timeout(400)
async def test_redis_fails_over_under_enforced_policies(enforcement: None, scenario: Scenario) -> None:  # noqa: ARG001
    """Pods reach each other: an evicted primary loses nothing, no second pod is evicted, a killed one is succeeded."""
    cluster = scenario.cluster()
    policy: JsonObject = {"mode": "Restricted"}
    await cluster.apply(manifest("main", replicas=1, backplane=with_failover(), networkPolicy=policy))
    await cluster.wait_ready(within=150)
    first = await primary_of(cluster)
    async with traffic(cluster) as running:
        await asyncio.sleep(1)
        await evict(scenario.kube, first)
        with pytest.raises(KubectlError, match="disruption budget"):
            await evict(scenario.kube, next(name for name in PODS_OF_REDIS if name != first))
        second = await primary_of(cluster, first)
        result = await finish(running, seconds_more=1)
        assert (result.lost, result.duplicated) == (0, 0), result.describe()
        assert all(event.recovered for event in running.recoveries()), running.recoveries()
    await cluster.wait_ready(within=120)
    await eventually(lambda: ready_pods(scenario), lambda count: count == 3, what="three pods", within=120, every=1)
    async with traffic(cluster) as running:
        await asyncio.sleep(1)
        await scenario.kube.delete("pod", second, "--grace-period=0", "--force")
        await primary_of(cluster, second)
        result = await finish(running, seconds_more=1)
        told = [event for event in running.recoveries() if not event.recovered]
        assert result.lost == 0 or told, result.describe()
        assert result.duplicated == 0, result.describe()


async def evict(kube: Kube, pod: str) -> None:
    """Evict a pod, as a drain of its node does."""
    path = f"/api/v1/namespaces/{kube.namespace}/pods/{pod}/eviction"
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": kube.namespace}}
    await kube.kubectl("create", "--raw", path, "-f", "-", stdin=json.dumps(eviction))


async def ready_pods(scenario: Scenario) -> int:
    """Return the number of pods of Redis that are ready."""
    return sum(is_ready(pod) for pod in await redis_pods(scenario))
