"""Tests of a changed mode of Redis: who is primary, and what stays until no server depends on it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from realtime_operator.api.base import JsonObject
from realtime_operator.planning.model.plan import DeletePod
from realtime_operator.planning.model.world import ObjectKey, RedisPod, StoreReport
from realtime_operator.planning.redis.change import change_redis
from realtime_operator.planning.redis.mode import LABEL_POD_NAME, joining
from tests.unit.realtime_operator.planning.memory_platform import MemoryPlatform, dig
from tests.unit.realtime_operator.planning.simulation import START
from tests.unit.realtime_operator.planning.test_reconcile import settled

KEY = ObjectKey("apps/v1", "StatefulSet", "main-redis")
SERVICE = ObjectKey("v1", "Service", "main-redis")
NODES = ObjectKey("v1", "Service", "main-redis-nodes")
BUDGET = ObjectKey("policy/v1", "PodDisruptionBudget", "main-redis")
PODS = [RedisPod(f"main-redis-{n}", f"uid-{n}", "old", START, ready=True) for n in range(3)]
FAILOVER: JsonObject = {"redis": {"managed": {"mode": "Failover"}}}


def stateful_set(platform: MemoryPlatform, *path: str) -> object:
    """Return a field of the StatefulSet's spec."""
    return dig(platform.objects[KEY], "spec", *path)


def partition(platform: MemoryPlatform) -> object:
    """Return the number of the first pods that keep their template."""
    return stateful_set(platform, "updateStrategy", "rollingUpdate", "partition")


def is_updating(platform: MemoryPlatform) -> bool:
    """Return True while servers of a former revision are there."""
    assert platform.life.now < 5000, "the update does not end"
    facts = platform.decide().facts
    assert facts is not None
    return any(server.revision != facts.fleet.target for server in platform.life.pods)


def report_primary(platform: MemoryPlatform, pod: str) -> None:
    """Let all servers report this pod as the primary."""
    for server in platform.life.pods:
        server.store = StoreReport(1, 2, f"{pod}.main-redis-nodes.test.svc:6379")


def joined() -> MemoryPlatform:
    """Return a cluster whose Redis is getting failover, after the first reconcile."""
    platform = settled()
    platform.redis = [PODS[0]]
    platform.change(backplane=FAILOVER)
    platform.reconcile()
    return platform


def test_the_first_pod_stays_until_all_servers_know_the_sentinels() -> None:
    """Two pods are added beside it; it is replaced when the last server of the former revision is gone."""
    platform = joined()
    assert (stateful_set(platform, "replicas"), partition(platform)) == (3, 1)
    while is_updating(platform):
        assert partition(platform) == 1
        assert dig(platform.objects[SERVICE], "spec", "selector", LABEL_POD_NAME) == "main-redis-0"
        platform.reconcile()
    platform.reconcile()
    assert partition(platform) == 0


def test_the_change_is_told_until_it_is_made() -> None:
    """A cluster is not settled before its first pod is of the new template."""
    platform = joined()
    platform.redis = [PODS[0], *(replace(pod, template="new") for pod in PODS[1:])]
    while is_updating(platform):
        platform.reconcile()
    platform.reconcile()
    platform.objects[KEY]["status"] = {"readyReplicas": 3, "updateRevision": "new"}
    assert changing(platform)
    platform.redis = [replace(pod, template="new") for pod in PODS]
    assert not changing(platform)


def changing(platform: MemoryPlatform) -> bool:
    """Return True while pods of Redis change, by the facts of a decision."""
    facts = platform.decide().facts
    assert facts is not None
    return facts.redis.changes_pods


@pytest.mark.parametrize(
    "pods",
    [
        pytest.param(PODS[1:], id="the first pod is gone"),
        pytest.param([replace(PODS[0], terminating=True), *PODS[1:]], id="it is being deleted"),
        pytest.param([replace(PODS[0], template="new"), *PODS[1:]], id="it is replaced"),
    ],
)
def test_what_is_lost_is_not_waited_for(pods: list[RedisPod]) -> None:
    """A first pod that comes back of its former template would be an empty primary of its own."""
    platform = joined()
    world = platform.world()
    live: JsonObject = {**platform.objects[KEY], "status": {"updateRevision": "new"}}
    wanted: JsonObject = {"spec": {"replicas": 3, "updateStrategy": {"rollingUpdate": {"partition": 0}}}}

    def held(found: list[RedisPod]) -> bool:
        return joining(wanted, live, replace(world, redis=tuple(found)), settled=False) != wanted

    assert held(PODS)
    assert not held(pods)


def test_another_primary_ends_the_wait() -> None:
    """The sentinels have replaced the first pod: as a replica it is of no use to servers without sentinels."""
    platform = joined()
    platform.redis = [*PODS]
    report_primary(platform, "main-redis-2")
    platform.reconcile()
    assert partition(platform) == 0


def left(persistence: JsonObject | None = None) -> MemoryPlatform:
    """Return a cluster whose Redis is losing failover, with the second pod as primary, after the first reconcile."""
    managed: JsonObject = {"persistence": persistence} if persistence else {}
    platform = settled({"backplane": {"redis": {"managed": {"mode": "Failover", **managed}}}})
    platform.redis = [*PODS]
    report_primary(platform, "main-redis-1")
    platform.reconcile()
    platform.change(backplane={"redis": {"managed": managed}})
    platform.reconcile()
    return platform


def test_all_pods_stay_while_servers_ask_sentinels() -> None:
    """New servers reach the primary by the Service; host names and the budget for evictions stay."""
    platform = left()
    while is_updating(platform):
        assert stateful_set(platform, "replicas") == 3
        assert dig(platform.objects[SERVICE], "spec", "selector", LABEL_POD_NAME) == "main-redis-1"
        assert {NODES, BUDGET} <= platform.objects.keys()
        platform.reconcile()


def test_the_others_leave_before_the_first_pod_is_replaced() -> None:
    """So it has everything; then it is replaced, and what only failover needs is deleted."""
    platform = left()
    seen: list[tuple[object, object]] = []
    while not seen or seen[-1] != (1, 1):
        platform.redis = [replace(pod, ready=True) for pod in platform.redis]
        platform.reconcile()
        image = len(dig(platform.objects[KEY], "spec", "template", "spec", "containers"))  # type: ignore[arg-type] # a list
        state = (stateful_set(platform, "replicas"), image)
        assert state[0] == 1 or dig(platform.objects[SERVICE], "spec", "selector", LABEL_POD_NAME) == "main-redis-1"
        if not seen or seen[-1] != state:
            seen.append(state)
            if state == (1, 2):
                for _ in range(3):
                    platform.reconcile()
                assert len(dig(platform.objects[KEY], "spec", "template", "spec", "containers")) == 2  # type: ignore[arg-type] # a list
                assert NODES in platform.objects
                platform.redis = [pod for pod in platform.redis if pod.trial or pod.name == "main-redis-0"]
    platform.reconcile()
    assert seen == [(3, 2), (1, 2), (1, 1)]
    assert not {NODES, BUDGET} & platform.objects.keys()
    assert dig(platform.objects[SERVICE], "spec", "selector", LABEL_POD_NAME) == "main-redis-0"


def test_a_change_that_is_taken_back_leaves_the_first_pod_alone() -> None:
    """Until it gave its role away it is of the template that is wanted again."""
    platform = joined()
    platform.redis = [*PODS]
    platform.change(backplane={})
    while stateful_set(platform, "replicas") == 3:
        assert partition(platform) == 1
        platform.redis = [replace(pod, ready=True) for pod in platform.redis]
        platform.reconcile()
    assert len(dig(platform.objects[KEY], "spec", "template", "spec", "containers")) == 1  # type: ignore[arg-type] # a list


def test_another_mode_with_tls_is_waited_for_by_nobody() -> None:
    """Servers and pods with TLS reach none without it: no server could use the former Redis and the coming one."""
    platform = left()
    platform.secrets["certificate"] = {"tls.crt": "a", "tls.key": "b", "ca.crt": "c"}
    platform.change(backplane={"redis": {"managed": {"tls": {"secretRef": {"name": "certificate"}}}}})
    for _ in range(20):
        platform.redis = [replace(pod, ready=True) for pod in platform.redis]
        platform.reconcile()
    assert stateful_set(platform, "replicas") == 1


def test_a_pod_without_tls_is_no_part_of_pods_with_it() -> None:
    """One of the former template is deleted: neither kind can follow the other."""
    platform = joined()
    while is_updating(platform):
        platform.reconcile()
    platform.reconcile()
    live: JsonObject = {**platform.objects[KEY], "status": {"updateRevision": "new"}}
    wanted = {key: value for key, value in live.items() if key != "status"}
    world = replace(platform.world(), objects={KEY: live})
    former = replace(PODS[0], tls=True)
    assert change_redis(wanted, replace(world, redis=(PODS[0],))) == []
    assert change_redis(wanted, replace(world, redis=(former,))) == [DeletePod(former.name, former.uid)]
