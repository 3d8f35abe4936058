"""Scenarios of an external Redis with Sentinel, and of an external Redis Cluster."""

from __future__ import annotations

import asyncio

import pytest

from realtime_operator import naming
from realtime_operator.api.base import JsonObject
from realtime_operator.builders.configuration.external_redis import PASSWORD_FILE
from tests.kit.deadline import eventually
from tests.kit.document import text_at
from tests.kit.external_redis import KEY_PASSWORD, NAME, USER, USER_PASSWORD, ClusterPods, SentinelPods
from tests.kit.installation import Images
from tests.kit.kube import has_condition, name_of
from tests.kit.kubernetes_fixtures import Scenario
from tests.kit.live_cluster import LiveCluster
from tests.kit.running_cluster import manifest
from tests.kit.traffic import Traffic, assert_nothing_lost, finish, traffic

KUBELET_SECONDS = 120
"""Upper bound of the seconds until the files in pods follow a Secret."""


async def cluster_on(scenario: Scenario, pods: SentinelPods | ClusterPods) -> LiveCluster:
    """Start an external Redis, and return a cluster that is ready on it."""
    await pods.start()
    cluster = scenario.cluster()
    await cluster.apply(manifest("main", backplane=pods.spec()))
    await cluster.wait_ready(within=120)
    return cluster


async def reconnected(running: Traffic) -> None:
    """Let the first client of each SDK disconnect and connect again, so that it recovers."""
    for group in running.groups:
        await group.call(0, "disconnect")
        await group.call(0, "connect")


async def accept_another_password(pods: SentinelPods, password: str) -> None:
    """Change the password of the ACL user as the guide says: the former one is removed when every server has it."""
    for pod in pods.data:
        await pods.ask(pod, "acl", "setuser", USER, f">{password}")
    patch: JsonObject = {"stringData": {KEY_PASSWORD: password}}
    await pods.kube.patch("secret", NAME, patch)
    await pods.kube.kubectl("annotate", "pod", "--all", "test/read-secrets=now")
    file = f"{naming.REDIS_CREDENTIALS_DIRECTORY}/{PASSWORD_FILE}"
    servers = await LiveCluster(pods.kube, "main").pods()

    async def read() -> list[str]:
        return [await pods.kube.kubectl("exec", name_of(server), "--", "cat", file) for server in servers]

    await eventually(read, lambda found: set(found) == {password}, what="servers have it", within=KUBELET_SECONDS)
    for pod in pods.data:
        await pods.ask(pod, "acl", "setuser", USER, f"<{USER_PASSWORD}")


@pytest.mark.timeout(300)
async def test_an_external_redis_with_sentinels_fails_over(scenario: Scenario, images: Images) -> None:
    """By fields, with TLS, an ACL user and a private authority: no failover loses what clients are not told of."""
    pods = SentinelPods(scenario.kube, images.redis)
    cluster = await cluster_on(scenario, pods)
    async with traffic(cluster) as running:
        await asyncio.sleep(1)
        await accept_another_password(pods, "another-password")
        assert await pods.fail_over() == pods.data[1]
        await reconnected(running)
        stored = await cluster.wait(
            lambda o: text_at(o, "status", "redis", "primary").startswith(f"{pods.data[1]}."), what="moved", within=30
        )
        result = await finish(running, seconds_more=2)
        told = [event for event in running.recoveries() if not event.recovered]
        assert running.recoveries()
        assert result.lost == 0 or told, (result.describe(), running.recoveries())
        assert result.duplicated == 0, result.describe()
    assert has_condition(stored, "BackplaneReady")


@pytest.mark.timeout(300)
async def test_an_external_redis_cluster_is_the_backplane(scenario: Scenario, images: Images) -> None:
    """By fields, with TLS and an ACL user: channels are on all primaries, and clients recover."""
    pods = ClusterPods(scenario.kube, images.redis)
    cluster = await cluster_on(scenario, pods)
    async with traffic(cluster) as running, await cluster.api() as api:
        for number in range(16):
            await api.call("publish", channel=f"chat:{number}", data={"number": number})
        await reconnected(running)
        await assert_nothing_lost(running, moved_by=None)
        assert running.recoveries()
        for number in range(16):
            history = await api.call("history", channel=f"chat:{number}", limit=1)
            assert history["publications"], number
    assert all(await pods.keys()), await pods.keys()
