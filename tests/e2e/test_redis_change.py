"""Scenarios of a changed, paused and lost Redis, with clients that count every message."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator

from realtime_operator import naming
from realtime_operator.api.base import JsonObject
from tests.kit.cluster.environment import Environment
from tests.kit.deadline import eventually
from tests.kit.document import dig, objects_at, text_at, whole_at
from tests.kit.kill import processes_of
from tests.kit.kube import condition, is_ready, name_of
from tests.kit.kubernetes_fixtures import Scenario
from tests.kit.live_cluster import LiveCluster
from tests.kit.running_cluster import every_server_is_reached, manifest, never_fewer_available_than
from tests.kit.traffic import assert_nothing_lost, finish, traffic

PAUSE_SECONDS = 14
HELD_SECONDS = 40
"""Upper bound until the operator has seen the pause; the kubelet restarts Redis after a minute."""
WRONG_IMAGE = "localhost/there-is-no-such-redis:1"


def redis_spec(image: str | None) -> JsonObject:
    """Return a spec with a managed Redis of this image."""
    return {"redis": {"managed": {"image": image}}}


async def redis_pods(scenario: Scenario, component: str = naming.COMPONENT_REDIS) -> list[JsonObject]:
    """Return the pods of the managed Redis."""
    return await scenario.kube.list("pods", f"{naming.LABEL_CLUSTER}=main,{naming.LABEL_COMPONENT}={component}")


async def test_a_wrong_image_does_not_take_the_place_of_a_redis_that_works(
    scenario: Scenario, environment: Environment
) -> None:
    """The trial fails and is reported; after a revert no message was lost and no recovery has failed."""
    cluster = scenario.cluster()
    await cluster.apply(manifest("main", replicas=1))
    await cluster.wait_ready()
    (before,) = await redis_pods(scenario)
    async with traffic(cluster) as running:
        await cluster.patch(backplane=redis_spec(WRONG_IMAGE))
        stored = await cluster.wait(
            lambda o: condition(o, "Degraded").get("reason") == "RedisChangeFails", what="it is told", within=60
        )
        assert WRONG_IMAGE in text_at(condition(stored, "Degraded"), "message")
        await cluster.patch(backplane=redis_spec(environment.redis_image))
        await cluster.wait_ready(within=90)
        await assert_nothing_lost(running, moved_by=None)
    (after,) = await redis_pods(scenario)
    assert text_at(after, "metadata", "uid") == text_at(before, "metadata", "uid")
    await _no_trial(scenario)


async def test_a_change_that_works_is_made_after_its_trial(scenario: Scenario) -> None:
    """A change such as more memory replaces the pod. Its histories are lost, and clients are told so."""
    cluster = scenario.cluster()
    await cluster.apply(manifest("main", replicas=1))
    await cluster.wait_ready()
    (before,) = await redis_pods(scenario)
    async with traffic(cluster) as running:
        await cluster.patch(backplane={"redis": {"managed": {"resources": {"limits": {"memory": "300Mi"}}}}})
        await cluster.wait(lambda o: condition(o, "Progressing").get("reason") == "ChangingRedis", what="it is tried")
        await scenario.kube.wait_for(
            "pods",
            name_of(before),
            lambda o: is_ready(o) and text_at(o, "metadata", "uid") != text_at(before, "metadata", "uid"),
            what="another Redis pod",
            within=90,
        )
        (after,) = await redis_pods(scenario)
        assert dig(objects_at(after, "spec", "containers")[0], "resources", "limits", "memory") == "300Mi"
        await cluster.wait_ready(within=90)
        result = await finish(running)
        assert not all(event.recovered for event in running.recoveries()), running.recoveries()
        assert result.duplicated == 0, result.describe()
    await _no_trial(scenario)


async def _no_trial(scenario: Scenario) -> None:
    async def trials() -> list[JsonObject]:
        return await redis_pods(scenario, naming.COMPONENT_REDIS_TRIAL)

    await eventually(trials, lambda found: found == [], what="the trial is gone", within=40)


async def test_a_redis_that_never_worked_is_told_and_freed(scenario: Scenario, environment: Environment) -> None:
    """A new cluster with a wrong image names it; with a valid one its pod starts without help."""
    cluster = scenario.cluster()
    await cluster.apply(manifest("main", replicas=1, backplane=redis_spec(WRONG_IMAGE)))
    stored = await cluster.wait(
        lambda o: condition(o, "Degraded").get("reason") == "RedisCannotStart", what="it is told", within=60
    )
    assert WRONG_IMAGE in text_at(condition(stored, "Degraded"), "message")
    await cluster.patch(backplane=redis_spec(environment.redis_image))
    await cluster.wait_ready(within=120)


@contextlib.asynccontextmanager
async def paused_redis(scenario: Scenario) -> AsyncIterator[None]:
    """Suspend the Redis of `main` (SIGSTOP) while the body runs."""
    (pod,) = await redis_pods(scenario)
    processes = processes_of(pod)
    assert processes, "the Redis runs on another machine"
    try:
        for process in processes:
            os.kill(process, signal.SIGSTOP)
        yield
    finally:
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGCONT)


async def _pause_in_a_rollout(scenario: Scenario, cluster: LiveCluster) -> None:
    drain = {"connectionsPerSecond": 2, "settle": "1s"}
    await cluster.apply(manifest("main", replicas=5, rollout={"maxSurge": 1, "maxUnavailable": 0, "drain": drain}))
    await cluster.wait_ready(within=120)
    await every_server_is_reached(cluster)
    async with traffic(cluster, per_sdk=10) as running:
        await cluster.patch(server={"limits": {"messagesPerSecond": 200}})
        await cluster.wait(lambda o: bool(dig(o, "status", "rollout", "drainingServers")), what="a drain has begun")
        async with paused_redis(scenario):
            held = await cluster.wait(
                lambda o: condition(o, "Progressing").get("reason") == "MovesHeld",
                what="moves are held",
                within=HELD_SECONDS,
            )
            assert text_at(held, "status", "hold", "reason") in {"BackplaneUnavailable", "FleetUnready"}
            await asyncio.sleep(PAUSE_SECONDS - 4)
            pods = [pod for pod in await cluster.pods() if dig(pod, "metadata", "deletionTimestamp") is None]
            serving = [pod for pod in pods if dig(pod, "metadata", "labels", naming.LABEL_SERVING) == "true"]
            assert len(serving) >= 5, "servers were taken out while Redis was paused"
        await cluster.wait(lambda o: whole_at(o, "status", "readyReplicas") >= 5, what="five are back", within=30)
        async with never_fewer_available_than(cluster, 5):
            await cluster.wait_ready(within=150)
        result = await finish(running)
        failed = [event for event in running.recoveries() if not event.recovered]
        assert result.lost == 0 or failed, result.describe()
        assert result.duplicated == 0, result.describe()
        # An unconfirmed publication may be published after later, confirmed ones.
        unconfirmed = {sequence for sequence, _ in running.publisher.failed}
        assert all(unconfirmed >= set(account.out_of_order) for account in result.accounts), result.describe()


async def test_a_pause_of_redis_in_a_rollout_takes_no_server_out(scenario: Scenario) -> None:
    """A pause of 14 seconds with five servers: servers that were to leave are resumed, and the rollout continues."""
    await _pause_in_a_rollout(scenario, scenario.cluster())
