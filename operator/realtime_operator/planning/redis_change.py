"""Changes of the managed Redis: a trial pod must start before the serving Redis is replaced. Pure.

With the Redis all histories are lost, and all servers lose their link: a Redis that cannot start must never replace a
working one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from realtime_operator import naming
from realtime_operator.api.base import JsonObject
from realtime_operator.api.document import dig, object_at, text_at
from realtime_operator.builders import build_redis_trial_pod
from realtime_operator.planning.difference import apply_to, contains, needs_apply
from realtime_operator.planning.plan import Action, CreateObject, DeletePod
from realtime_operator.planning.world import CANNOT_START, ObjectKey, RedisPod, World, object_key


@dataclass(frozen=True, slots=True)
class RedisState:
    """The managed Redis: its pods, and since when its StatefulSet has had none (None: it has one)."""

    name: str
    pods: tuple[RedisPod, ...] = ()
    podless_since: datetime | None = None


def redis_state(cluster: str, world: World, podless_since: datetime | None, now: datetime) -> RedisState:
    """Read the state from the world; `podless_since` is the previously noted time."""
    name = naming.redis(cluster)
    live = world.objects.get(ObjectKey("apps/v1", "StatefulSet", name))
    pods = tuple(pod for pod in world.redis if not pod.terminating)
    if live is None or any(not pod.trial for pod in pods) or dig(live, "status", "readyReplicas"):
        return RedisState(name, pods)
    return RedisState(name, pods, podless_since or now)


def change_redis(wanted: JsonObject | None, world: World) -> list[Action]:
    """Plan the change of the StatefulSet to `wanted`; empty without a managed Redis, which is pruned."""
    trials = [pod for pod in world.redis if pod.trial and not pod.terminating]
    if wanted is None:
        return _remove(trials)
    live = world.objects.get(object_key(wanted))
    if live is None:
        return [*_remove(trials), CreateObject(wanted)]
    if not needs_apply(wanted, live):
        return [*_remove(trials), *_free(live, world)]
    apply = apply_to(live, wanted)
    if not _is_risky(wanted, live) or not any(pod.ready and not pod.trial for pod in world.redis):
        return [*_remove(trials), apply]
    trial = build_redis_trial_pod(wanted)
    identity = text_at(trial, "metadata", "annotations", naming.ANNOTATION_APPLIED)
    same = [pod for pod in trials if pod.template == identity]
    others = _remove([pod for pod in trials if pod.template != identity])
    if any(pod.ready for pod in same):
        return [*others, apply, *_remove(same)]
    is_there = any(pod.trial for pod in world.redis)  # A terminating one counts too, as it still has the name.
    return others if is_there else [CreateObject(trial)]


def _is_risky(wanted: JsonObject, live: JsonObject) -> bool:
    """Return True when the change replaces the pod: another image, command or volume."""
    path = ("spec", "template", "spec")
    return not contains(object_at(live, *path), object_at(wanted, *path))


def _remove(pods: Sequence[RedisPod]) -> list[Action]:
    return [DeletePod(pod.name, pod.uid) for pod in pods]


def _free(live: JsonObject, world: World) -> list[Action]:
    """Delete a pod of an old template that cannot start: a StatefulSet would wait for it for ever."""
    if dig(live, "status", "observedGeneration") != dig(live, "metadata", "generation"):
        return []
    newest = text_at(live, "status", "updateRevision")
    return [
        DeletePod(pod.name, pod.uid)
        for pod in world.redis
        if not pod.trial
        and not pod.terminating
        and not pod.ready
        and pod.waiting_reason in CANNOT_START
        and newest
        and pod.template != newest
    ]
