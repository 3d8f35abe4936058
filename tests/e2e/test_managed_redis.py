"""Scenarios of the managed Redis: its volume and its password, with clients that count every message."""

from __future__ import annotations

import asyncio

from realtime_operator import naming
from realtime_operator.api.base import JsonObject
from tests.e2e.test_redis_change import redis_pods
from tests.kit.deadline import eventually
from tests.kit.document import text_at
from tests.kit.kube import is_ready, name_of
from tests.kit.kubernetes_fixtures import Scenario
from tests.kit.local_volume import local_volumes
from tests.kit.running_cluster import manifest
from tests.kit.traffic import assert_nothing_lost, finish, traffic


async def test_a_killed_redis_pod_loses_nothing_on_its_volume(scenario: Scenario) -> None:
    """A pod that is killed without grace, or changed, is replaced on the same volume: every client recovers."""
    async with local_volumes(scenario.kube) as storage_class:
        persistence: JsonObject = {"size": "512Mi", "storageClassName": storage_class}
        cluster = scenario.cluster()
        await cluster.apply(manifest("main", backplane={"redis": {"managed": {"persistence": persistence}}}))
        await cluster.wait_ready(within=90)
        (before,) = await redis_pods(scenario)
        async with traffic(cluster) as running:
            await asyncio.sleep(1)
            await scenario.kube.delete("pod", name_of(before), "--grace-period=0", "--force")
            await scenario.kube.wait_for(
                "pods",
                name_of(before),
                lambda o: is_ready(o) and text_at(o, "metadata", "uid") != text_at(before, "metadata", "uid"),
                what="another Redis pod",
                within=60,
            )
            await cluster.wait_ready(within=60)
            for group in running.groups:
                for client in range(2):
                    await group.call(client, "disconnect")
                    await group.call(client, "connect")
            (second,) = await redis_pods(scenario)
            limits: JsonObject = {"limits": {"memory": "300Mi"}}
            await cluster.patch(backplane={"redis": {"managed": {"persistence": persistence, "resources": limits}}})
            await scenario.kube.wait_for(
                "pods",
                name_of(second),
                lambda o: is_ready(o) and text_at(o, "metadata", "uid") != text_at(second, "metadata", "uid"),
                what="a changed Redis pod",
                within=90,
            )
            await cluster.wait_ready(within=60)
            result = await finish(running, seconds_more=1)
            assert (result.lost, result.duplicated) == (0, 0), result.describe()
            recoveries = running.recoveries()
            assert len(recoveries) >= 4
            assert all(event.recovered for event in recoveries), recoveries


async def test_another_password_is_taken_under_load(scenario: Scenario) -> None:
    """Redis and servers take the new value of the Secret: no pod is replaced, no call fails, new links use it."""
    cluster = scenario.cluster()
    await cluster.apply(manifest("main"))
    await cluster.wait_ready(within=90)
    (before,) = await redis_pods(scenario)
    patch: JsonObject = {"stringData": {naming.KEY_REDIS_PASSWORD: "another password"}}

    async def accepts(password: str) -> bool:
        script = f'REDISCLI_AUTH="{password}" redis-cli ping'
        return "PONG" in await scenario.kube.kubectl("exec", name_of(before), "--", "sh", "-c", script)

    async with traffic(cluster) as running:
        await asyncio.sleep(1)
        await scenario.kube.patch("secret", "main-redis", patch)
        await scenario.kube.kubectl("annotate", "pod", "--all", "test/read-secrets=now")
        await eventually(lambda: accepts("another password"), bool, what="Redis takes the password", within=90, every=1)
        await assert_nothing_lost(running, moved_by=None)
    await cluster.wait_ready()
    (after,) = await redis_pods(scenario)
    assert text_at(after, "metadata", "uid") == text_at(before, "metadata", "uid")
