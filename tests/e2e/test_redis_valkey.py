"""Scenario of a managed Valkey with failover, updated while clients count every message."""

from __future__ import annotations

import asyncio

import pytest

from tests.e2e.test_redis_failover import LIMIT, all_updated, primary_of, with_failover
from tests.kit.cluster.images import import_valkey
from tests.kit.cluster.layout import Layout
from tests.kit.kubernetes_fixtures import Scenario
from tests.kit.running_cluster import manifest
from tests.kit.traffic import finish, traffic

VERSION = "command -v redis-server; valkey-server --version"


@pytest.mark.timeout(600)
async def test_a_valkey_gives_its_role_away_without_a_loss(scenario: Scenario) -> None:
    """An image without any program of Redis: an update replaces all pods one by one, and nothing is lost."""
    image = await asyncio.to_thread(import_valkey, Layout.from_environ(), print)
    cluster = scenario.cluster()
    await cluster.apply(manifest("main", replicas=1, backplane=with_failover(image=image)))
    await cluster.wait_ready(within=150)
    first = await primary_of(cluster)
    assert (await scenario.kube.kubectl("exec", first, "-c", "redis", "--", "sh", "-c", VERSION)).startswith("Valkey ")
    async with traffic(cluster) as running:
        await asyncio.sleep(1)
        await cluster.patch(backplane={"redis": {"managed": {"resources": {"limits": {"memory": LIMIT}}}}})
        await all_updated(scenario)
        await primary_of(cluster, first)
        await cluster.wait_ready(within=90)
        result = await finish(running, seconds_more=2)
        assert (result.lost, result.duplicated) == (0, 0), result.describe()
        assert all(event.recovered for event in running.recoveries()), running.recoveries()
