"""Scenarios of a managed Redis that gets TLS and loses it again, also with its mode, while clients count every message.

Pods and servers with TLS reach none without it, so publishing is interrupted, and without a volume histories are lost.
"""

from __future__ import annotations

import asyncio
import logging

import pytest

from realtime_operator.api.base import JsonObject
from tests.e2e.test_redis_change import redis_pods
from tests.e2e.test_redis_failover import LIMIT, all_updated, with_failover
from tests.kit.document import objects_at
from tests.kit.kube import name_of
from tests.kit.kubernetes_fixtures import Scenario
from tests.kit.live_cluster import LiveCluster
from tests.kit.running_cluster import manifest
from tests.kit.traffic import Traffic, finish, traffic

CHANGE_SECONDS = 240
INTERRUPTION_SECONDS = 120
"""Upper bound of the seconds without a confirmed publication, on a slow machine."""
MOVED, ALONE = {3011}, ["main-redis-0"]
THREE = [*ALONE, "main-redis-1", "main-redis-2"]
logger = logging.getLogger(__name__)


@pytest.mark.timeout(600)
async def test_a_redis_alone_gets_tls_and_loses_it_again(scenario: Scenario) -> None:
    """Both ways clients keep their connections until they are moved, and those that missed something are told so."""
    cluster = await started(scenario, {"redis": {"managed": {}}})
    await changed(cluster, "TLS on, alone", {"tls": {}})
    assert await with_certificate(scenario) == dict.fromkeys(ALONE, True)
    await changed(cluster, "TLS off, alone", {"tls": None})
    assert await with_certificate(scenario) == dict.fromkeys(ALONE, False)


@pytest.mark.timeout(900)
async def test_a_redis_with_failover_gets_tls_and_loses_it_again(scenario: Scenario) -> None:
    """All three pods are replaced at once, both ways; while they have TLS, one by one without a loss."""
    cluster = await started(scenario, with_failover())
    await changed(cluster, "TLS on, failover", {"tls": {}})
    assert await with_certificate(scenario) == dict.fromkeys(THREE, True)
    async with traffic(cluster) as running:
        await cluster.patch(backplane={"redis": {"managed": {"resources": {"limits": {"memory": LIMIT}}}}})
        await all_updated(scenario)
        await cluster.wait_ready(within=60)
        result = await finish(running)
        assert (result.lost, result.duplicated) == (0, 0), result.describe()
        assert all(event.recovered for event in running.recoveries()), running.recoveries()
    await changed(cluster, "TLS off, failover", {"tls": None})
    assert await with_certificate(scenario) == dict.fromkeys(THREE, False)


@pytest.mark.timeout(600)
async def test_the_mode_changes_together_with_tls(scenario: Scenario) -> None:
    """One change of the spec makes one pod three with TLS, and another one makes them one pod without it."""
    cluster = await started(scenario, {"redis": {"managed": {}}})
    await changed(cluster, "failover and TLS on", {"mode": "Failover", "tls": {}})
    assert await with_certificate(scenario) == dict.fromkeys(THREE, True)
    await changed(cluster, "alone and TLS off", {"mode": "Standalone", "tls": None})
    assert await with_certificate(scenario) == dict.fromkeys(ALONE, False)


async def started(scenario: Scenario, backplane: JsonObject) -> LiveCluster:
    """Return a cluster of two servers that is ready."""
    cluster = scenario.cluster()
    await cluster.apply(manifest("main", backplane=backplane))
    await cluster.wait_ready(within=120)
    return cluster


async def changed(cluster: LiveCluster, what: str, managed: JsonObject) -> None:
    """Change the managed Redis under load; assert that nothing is lost untold, and publishing is possible again."""
    async with traffic(cluster) as running:
        await asyncio.sleep(1)
        await cluster.patch(backplane={"redis": {"managed": managed}})
        await cluster.wait_ready(within=CHANGE_SECONDS)
        publisher = running.publisher
        await publisher.confirm_more(50, within=30)
        result = await finish(running)
        logger.warning(
            "%s: %d lost, %d of %d calls failed, %.1f s without a confirmation, %d of %d recoveries refused",
            what, result.lost, len(publisher.failed), publisher.sequence, publisher.longest_wait,
            sum(not event.recovered for event in running.recoveries()), len(running.recoveries()),
        )  # fmt: skip
        assert result.duplicated == 0, result.describe()
        assert lost_untold(running, [len(account.lost) for account in result.accounts]) == [], result.describe()
        assert {event.code for event in running.lost_connections()} == MOVED, running.lost_connections()
        assert publisher.longest_wait < INTERRUPTION_SECONDS


def lost_untold(running: Traffic, lost: list[int]) -> list[tuple[int, int]]:
    """Return the clients, by group and number, that lost something and had no recovery refused; `lost` is in order."""
    clients = [(group, client) for group, one in enumerate(running.groups) for client in range(one.options.count)]
    told = {
        (group, event.client)
        for group, one in enumerate(running.groups)
        for event in one.record.recoveries()
        if not event.recovered
    }
    return [client for client, number in zip(clients, lost, strict=True) if number and client not in told]


async def with_certificate(scenario: Scenario) -> dict[str, bool]:
    """Return of each pod of Redis whether it has a certificate."""
    pods = await redis_pods(scenario)
    volumes = {name_of(pod): {volume.get("name") for volume in objects_at(pod, "spec", "volumes")} for pod in pods}
    return {name: "tls" in names for name, names in sorted(volumes.items())}
