"""Tests of changes of Redis: the trial beside the serving one, and the deletion of a hanging pod."""

from __future__ import annotations

from dataclasses import replace

from realtime_operator import naming
from realtime_operator.api.base import JsonObject
from realtime_operator.planning.model.plan import ApplyObject, CreateObject, DeleteObject, DeletePod
from realtime_operator.planning.model.world import ObjectKey, RedisPod, StoreReport, World, object_key
from realtime_operator.planning.redis.change import change_redis
from tests.unit.realtime_operator.planning.memory_platform import MemoryPlatform, dig
from tests.unit.realtime_operator.planning.simulation import START
from tests.unit.realtime_operator.planning.test_reconcile import settled

KEY = ObjectKey("apps/v1", "StatefulSet", "main-redis")
SERVING = RedisPod("main-redis-0", "uid-0", "main-redis-1", START, ready=True)
OTHER_IMAGE: JsonObject = {"redis": {"managed": {"image": "localhost/redis:2"}}}


def image_of(platform: MemoryPlatform) -> str:
    """Return the image in the StatefulSet."""
    containers = dig(platform.objects[KEY], "spec", "template", "spec", "containers")
    assert isinstance(containers, list)
    return str(dig(containers[0], "image"))  # type: ignore[arg-type] # an object


def changed() -> MemoryPlatform:
    """Return a settled cluster whose spec asks for another image of Redis."""
    platform = settled()
    platform.redis = [SERVING]
    platform.change(backplane=OTHER_IMAGE)
    return platform


def test_a_change_is_tried_before_it_is_made() -> None:
    """The serving Redis stays until the trial has started; then the trial is deleted."""
    platform = changed()
    platform.reconcile()
    (trial,) = (pod for pod in platform.redis if pod.trial)
    assert trial.name == "main-redis-trial"
    for _ in range(5):
        platform.reconcile()
    assert image_of(platform) == "localhost/redis:1"
    platform.redis = [SERVING, replace(trial, ready=True)]
    platform.reconcile()
    assert image_of(platform) == "localhost/redis:2"
    assert platform.redis == [SERVING]


def test_the_trial_follows_the_spec() -> None:
    """A corrected spec gets another trial; after a revert the trial is deleted and Redis is unchanged."""
    platform = changed()
    platform.reconcile()
    first = next(pod for pod in platform.redis if pod.trial)
    platform.change(backplane={"redis": {"managed": {"image": "localhost/redis:3"}}})
    platform.reconcile()
    platform.reconcile()
    second = next(pod for pod in platform.redis if pod.trial)
    assert second.template != first.template
    platform.change(backplane={})
    platform.reconcile()
    assert platform.redis == [SERVING]
    assert image_of(platform) == "localhost/redis:1"


def test_a_trial_that_is_going_is_waited_for() -> None:
    """The next trial has the same name."""
    platform = changed()
    platform.reconcile()
    trial = next(pod for pod in platform.redis if pod.trial)
    platform.redis = [SERVING, replace(trial, template="older", terminating=True)]
    for _ in range(3):
        assert not any(isinstance(action, CreateObject) for action in platform.reconcile().actions)
    platform.redis = [SERVING]
    assert any(isinstance(action, CreateObject) for action in platform.reconcile().actions)


def test_a_redis_that_does_not_serve_is_replaced_at_once() -> None:
    platform = changed()
    platform.redis = [replace(SERVING, ready=False, waiting_reason="ImagePullBackOff")]
    platform.reconcile()
    assert image_of(platform) == "localhost/redis:2"


def test_the_trial_is_the_same_pod_behind_no_service() -> None:
    """The Service of Redis does not select the trial's labels."""
    platform = changed()
    actions = platform.decide().actions
    (manifest,) = (a.manifest for a in actions if isinstance(a, CreateObject) and a.manifest["kind"] == "Pod")
    assert dig(manifest, "metadata", "labels", naming.LABEL_COMPONENT) == naming.COMPONENT_REDIS_TRIAL
    selector = dig(platform.objects[ObjectKey("v1", "Service", "main-redis")], "spec", "selector")
    assert isinstance(selector, dict)
    assert dig(manifest, "metadata", "labels", naming.LABEL_COMPONENT) != selector[naming.LABEL_COMPONENT]


def stuck(**status: object) -> World:
    """Return a StatefulSet whose pod has an old template and cannot start."""
    live = {**settled().objects[KEY]}
    live["metadata"] = {**live["metadata"], "generation": 3}  # type: ignore[dict-item] # an object
    live["status"] = {"observedGeneration": 3, "updateRevision": "main-redis-2", **status}  # type: ignore[dict-item] # a status
    pod = replace(SERVING, ready=False, waiting_reason="ImagePullBackOff")
    return World({KEY: live}, (), redis=(pod,))


def test_a_pod_that_hangs_in_a_former_template_is_deleted() -> None:
    """Only this pod is deleted, and only when the controller has observed the change."""
    world = stuck()
    wanted = {key: value for key, value in world.objects[KEY].items() if key != "status"}
    assert change_redis(wanted, world) == [DeletePod("main-redis-0", "uid-0")]
    assert change_redis(wanted, stuck(observedGeneration=2)) == []
    assert change_redis(wanted, stuck(updateRevision="main-redis-1")) == []


def test_a_label_is_changed_without_a_trial() -> None:
    """The pod's image, command and volumes are unchanged."""
    platform = settled()
    platform.redis = [SERVING]
    labels = platform.objects[KEY]["metadata"]
    assert isinstance(labels, dict)
    labels["labels"] = {}
    (action,) = platform.decide().actions
    assert isinstance(action, ApplyObject)
    assert object_key(action.manifest) == KEY


FAILOVER: JsonObject = {"redis": {"managed": {"mode": "Failover"}}}


def with_failover() -> MemoryPlatform:
    """Return a settled cluster with three pods of Redis."""
    platform = settled({"backplane": FAILOVER})
    platform.redis = [replace(SERVING, name=f"main-redis-{n}", uid=f"uid-{n}") for n in range(3)]
    return platform


def test_three_pods_are_changed_without_a_trial() -> None:
    """They are replaced one by one, each after the one before is ready; a trial could become the primary."""
    platform = with_failover()
    platform.change(backplane={"redis": {"managed": {"mode": "Failover", "image": "localhost/redis:2"}}})
    platform.reconcile()
    assert image_of(platform) == "localhost/redis:2"
    assert not any(pod.trial for pod in platform.redis)


def test_other_host_names_are_another_statefulset() -> None:
    """Earlier releases gave a pod alone another host name, which no StatefulSet can change: its successor adopts it."""
    platform = settled()
    platform.redis = [SERVING]
    spec = platform.objects[KEY]["spec"]
    assert isinstance(spec, dict)
    spec["serviceName"] = "main-redis"
    platform.change(backplane=FAILOVER)
    (deleted,) = (a for a in platform.reconcile().actions if isinstance(a, DeleteObject) and a.key == KEY)
    assert deleted.orphans_children
    platform.reconcile()
    assert dig(platform.objects[KEY], "spec", "replicas") == 3


def test_a_pod_with_another_host_name_is_deleted() -> None:
    """The two new pods wait for the first one under its new host name, and the controller waits for them."""
    live = {**with_failover().objects[KEY]}
    live["metadata"] = {**live["metadata"], "generation": 1}  # type: ignore[dict-item] # an object
    live["status"] = {"observedGeneration": 1, "updateRevision": "main-redis-2"}
    adopted = replace(SERVING, service="main-redis")
    made = replace(SERVING, name="main-redis-1", uid="uid-1", service="main-redis-nodes")
    wanted = {key: value for key, value in live.items() if key != "status"}
    world = World({KEY: live}, (), redis=(adopted, made))
    assert change_redis(wanted, world) == [DeletePod("main-redis-0", "uid-0")]


def test_adopted_pods_are_replaced_by_the_controller() -> None:
    """Another kind of volume makes another StatefulSet: it replaces the pods one by one, so that two have the data."""
    live = {**with_failover().objects[KEY]}
    live["metadata"] = {**live["metadata"], "generation": 1, "creationTimestamp": "2026-01-01T00:10:00Z"}  # type: ignore[dict-item] # an object
    live["status"] = {"observedGeneration": 1, "updateRevision": "main-redis-2"}
    pods = [replace(SERVING, name=f"main-redis-{n}", uid=f"uid-{n}", service="main-redis-nodes") for n in range(3)]
    wanted = {key: value for key, value in live.items() if key != "status"}
    assert change_redis(wanted, World({KEY: live}, (), redis=tuple(pods))) == []


def test_the_primary_is_in_the_status() -> None:
    """Most servers decide; a pod is named by its name, also while it is away, any other primary by its address."""
    platform = with_failover()
    for pod, host in zip(
        platform.life.pods, ("main-redis-1.main-redis-nodes.test.svc:6379", "10.0.0.1:6379"), strict=False
    ):
        pod.store = StoreReport(1, 2, host)
    platform.life.pods[-1].store = StoreReport(1, 2, "main-redis-1.main-redis-nodes.test.svc:6379")
    platform.reconcile()
    assert dig(platform.status or {}, "redis", "primary") == "main-redis-1"
    platform.redis = [pod for pod in platform.redis if pod.name != "main-redis-1"]
    platform.reconcile()
    assert dig(platform.status or {}, "redis", "primary") == "main-redis-1"
    for pod in platform.life.pods:
        pod.store = StoreReport(1, 2, "10.0.0.1:6379")
    platform.reconcile()
    assert dig(platform.status or {}, "redis", "primary") == "10.0.0.1:6379"
