"""Tests of the persistent volumes of Redis: expansion, and what existing volumes contradict."""

from __future__ import annotations

from realtime_operator.api.base import JsonObject
from realtime_operator.planning.model.plan import CreateObject, DeleteObject, ResizeClaim
from realtime_operator.planning.model.reasons import ConditionType, Reason
from realtime_operator.planning.model.world import ObjectKey, RedisPod, VolumeClaim
from realtime_operator.planning.status.prior_status import condition_of
from tests.kit.document import objects_at, text_at
from tests.unit.realtime_operator.planning.memory_platform import MemoryPlatform, dig
from tests.unit.realtime_operator.planning.simulation import START
from tests.unit.realtime_operator.planning.test_reconcile import settled

KEY = ObjectKey("apps/v1", "StatefulSet", "main-redis")
CLAIM = VolumeClaim("data-main-redis-0", "claim-0", "1Gi", "fast")


def persistent(size: str, **fields: str) -> JsonObject:
    """Return the backplane of a managed Redis with volumes of this size."""
    return {"redis": {"managed": {"persistence": {"size": size, **fields}}}}


def with_volume() -> MemoryPlatform:
    """Return a settled cluster with a persistent Redis."""
    platform = settled({"backplane": persistent("1Gi")})
    platform.claims = [CLAIM]
    platform.redis = [RedisPod("main-redis-0", "uid-0", "main-redis-1", START, ready=True)]
    return platform


def claimed(platform: MemoryPlatform) -> str:
    """Return the size that the StatefulSet claims."""
    (template,) = objects_at(platform.objects[KEY], "spec", "volumeClaimTemplates")
    return text_at(template, "spec", "resources", "requests", "storage")


def accepted(platform: MemoryPlatform) -> str:
    """Return the message of the condition Accepted."""
    return text_at(condition_of(platform.status or {}, ConditionType.ACCEPTED), "message")


def test_a_larger_size_expands_the_volume_before_the_statefulset_is_replaced() -> None:
    """The pod is neither deleted nor tried: the new StatefulSet adopts it."""
    platform = with_volume()
    platform.change(backplane=persistent("2Gi"))
    assert [a for a in platform.reconcile().actions if isinstance(a, ResizeClaim)] == [
        ResizeClaim("data-main-redis-0", "claim-0", "2Gi")
    ]
    assert claimed(platform) == "1Gi"
    (deleted,) = (a for a in platform.reconcile().actions if isinstance(a, DeleteObject))
    assert (deleted.key, deleted.orphans_children) == (KEY, True)
    assert any(isinstance(a, CreateObject) and a.manifest["kind"] == "StatefulSet" for a in platform.decide().actions)
    platform.settle()
    assert claimed(platform) == "2Gi"
    assert [pod.uid for pod in platform.redis] == ["uid-0"]


def test_a_statefulset_that_is_going_is_waited_for() -> None:
    """The deletion takes a moment, while the pod is orphaned."""
    platform = with_volume()
    platform.change(backplane=persistent("2Gi"))
    platform.reconcile()
    live = platform.objects[KEY]
    metadata = live["metadata"]
    assert isinstance(metadata, dict)
    platform.objects[KEY] = {**live, "metadata": {**metadata, "deletionTimestamp": "2026-11-01T00:00:00Z"}}
    assert not any(isinstance(action, DeleteObject | CreateObject) for action in platform.reconcile().actions)


def test_a_refused_expansion_is_told_and_keeps_the_statefulset() -> None:
    """The API server's message says that the storage class does not allow it."""
    platform = with_volume()
    platform.change(backplane=persistent("2Gi"))
    message = "only dynamically provisioned pvc can be resized"
    platform.refused[ObjectKey("v1", "PersistentVolumeClaim", CLAIM.name)] = message
    platform.reconcile()
    decision = platform.reconcile()
    assert not any(isinstance(action, DeleteObject) for action in decision.actions)
    degraded = condition_of(platform.status or {}, ConditionType.DEGRADED)
    assert degraded["reason"] == Reason.WRITE_REFUSED
    assert degraded["message"] == (
        f"expansion of PersistentVolumeClaim data-main-redis-0 to 2Gi was refused: {message}"
    )


def test_a_volume_cannot_shrink() -> None:
    """A smaller size is refused with what the volume has, also when it is left from an earlier cluster."""
    platform = with_volume()
    platform.change(backplane=persistent("512Mi"))
    platform.reconcile()
    assert accepted(platform) == (
        "spec.backplane.redis.managed.persistence.size: the volume of data-main-redis-0 has 1Gi and cannot shrink to"
        " 512Mi: set at least 1Gi"
    )
    assert claimed(platform) == "1Gi"
    platform.change(backplane=persistent("1024Mi"))
    platform.settle()
    assert "shrink" not in accepted(platform)


def test_a_storage_class_is_for_the_life_of_a_volume() -> None:
    """Another class is refused while the claim exists; the default class may be named later."""
    platform = with_volume()
    platform.change(backplane=persistent("1Gi", storageClassName="slow"))
    platform.reconcile()
    assert "the storage class of data-main-redis-0 is fast and cannot be changed: set fast" in accepted(platform)
    platform.change(backplane=persistent("1Gi", storageClassName="fast"))
    platform.settle()
    (template,) = objects_at(platform.objects[KEY], "spec", "volumeClaimTemplates")
    assert dig(template, "spec", "storageClassName") == "fast"
