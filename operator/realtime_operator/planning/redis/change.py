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
from realtime_operator.api.document import dig, object_at, objects_at, text_at
from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.builders import build_redis_trial_pod
from realtime_operator.builders.redis.tls_options import VOLUME as TLS_VOLUME
from realtime_operator.planning.model.difference import apply_to, contains, needs_apply
from realtime_operator.planning.model.plan import Action, CreateObject, DeleteObject, DeletePod
from realtime_operator.planning.model.world import CANNOT_START, ObjectKey, RedisPod, World, object_key
from realtime_operator.planning.redis.mode import (
    is_other,
    joining,
    leaves_failover,
    newest_template,
    pods_change,
    primary_address,
    shrunk,
)
from realtime_operator.planning.redis.volumes import expand_volumes, has_tls, must_be_replaced


@dataclass(frozen=True, slots=True)
class RedisState:
    """The managed Redis: its pods, and since when its StatefulSet has had none (None: it has one).

    `primary` is the one that most servers use, of a managed or an external Redis with Sentinel; "" without a choice.
    `changes_pods`: its pods are not yet the wanted ones.
    """

    name: str
    pods: tuple[RedisPod, ...] = ()
    podless_since: datetime | None = None
    primary: str = ""
    changes_pods: bool = False


def redis_state(cluster: RealtimeCluster, world: World, podless_since: datetime | None, now: datetime) -> RedisState:
    """Read the state from the world; `podless_since` is the previously noted time."""
    name, backplane = naming.redis(cluster.metadata.name), cluster.spec.backplane
    live = world.objects.get(ObjectKey("apps/v1", "StatefulSet", name))
    pods = tuple(pod for pod in world.redis if not pod.terminating)
    primary = _shown(primary_address(world), cluster.metadata.name)
    changes = backplane.managed is not None and pods_change(live, world, has_failover=backplane.has_failover)
    if live is None or any(not pod.trial for pod in pods) or dig(live, "status", "readyReplicas"):
        return RedisState(name, pods, None, primary, changes)
    return RedisState(name, pods, podless_since or now, primary, changes)


def _shown(primary: str, cluster: str) -> str:
    """Return the pod of a primary of the managed Redis, also while the pod is away; of another one the address."""
    pod, _, suffix = primary.partition(".")
    return pod if suffix.startswith(f"{naming.redis_nodes(cluster)}.") else primary


def change_redis(wanted: JsonObject | None, world: World, *, settled: bool = True) -> list[Action]:
    """Plan the change of the StatefulSet to `wanted`; empty without a managed Redis, which is pruned.

    `settled`: no server is of another revision than the wanted one.
    """
    trials = [pod for pod in world.redis if pod.trial and not pod.terminating]
    if wanted is None:
        return _remove(trials)
    live = world.objects.get(object_key(wanted))
    if live is None:
        return [*_remove(trials), CreateObject(wanted)]
    if text_at(live, "metadata", "deletionTimestamp"):
        return _remove(trials)
    if _lacks_certificate(wanted, world):
        return _remove(trials)
    if leaves_failover(wanted, world) and not settled:
        return []
    wanted = joining(wanted, live, world, settled=settled)
    larger = expand_volumes(wanted, world)
    if not needs_apply(wanted, live):
        return [*_remove(trials), *larger, *_free(live, world)]
    if larger:  # first: if it is refused, the StatefulSet stays as it is
        return [*_remove(trials), *larger]
    fewer = shrunk(live) if leaves_failover(wanted, world) else None
    apply = _replace(live, wanted) if fewer is None else apply_to(live, fewer)
    if not _is_risky(wanted, live) or not any(pod.ready and not pod.trial for pod in world.redis):
        return [*_remove(trials), apply]
    trial = build_redis_trial_pod(wanted)
    identity = text_at(trial, "metadata", "annotations", naming.ANNOTATION_APPLIED)
    same = [pod for pod in trials if pod.template == identity]
    others = _remove([pod for pod in trials if pod.template != identity])
    if any(pod.ready for pod in same):
        if fewer is not None:
            return [*others, apply]
        return others if _leave(live, world) else [*others, apply, *_remove(same)]
    is_there = any(pod.trial for pod in world.redis)  # A terminating one counts too, as it still has the name.
    return others if is_there else [CreateObject(trial)]


def _lacks_certificate(wanted: JsonObject, world: World) -> bool:
    """Return True while the Secret with the certificate of Redis lacks a file: pods would wait for it."""
    for volume in objects_at(wanted, "spec", "template", "spec", "volumes"):
        if volume.get("name") == TLS_VOLUME:
            present = world.secrets.get(text_at(volume, "secret", "secretName"), {})
            return any(text_at(item, "key") not in present for item in objects_at(volume, "secret", "items"))
    return False


def _replace(live: JsonObject, wanted: JsonObject) -> Action:
    """Return the apply, or the deletion of a StatefulSet that cannot be changed so: its successor adopts the pods."""
    if not must_be_replaced(live, wanted):
        return apply_to(live, wanted)
    uid, version = text_at(live, "metadata", "uid"), text_at(live, "metadata", "resourceVersion")
    return DeleteObject(object_key(wanted), uid, version, orphans_children=True)


def _is_risky(wanted: JsonObject, live: JsonObject) -> bool:
    """Return True when the change replaces the only pod: another image, command or volume.

    With failover the pods are replaced one by one, each after the one before is ready.
    """
    if dig(wanted, "spec", "replicas") != 1:
        return False
    path = ("spec", "template", "spec")
    return not contains(object_at(live, *path), object_at(wanted, *path))


def _remove(pods: Sequence[RedisPod]) -> list[Action]:
    return [DeletePod(pod.name, pod.uid) for pod in pods]


def _free(live: JsonObject, world: World) -> list[Action]:
    """Delete a pod of an old template that cannot start: a StatefulSet would wait for it for ever.

    The same holds for a pod that the other ones of three do not reach: they wait for it.
    """
    newest = newest_template(live)
    if newest is None:
        return []
    return [
        DeletePod(pod.name, pod.uid)
        for pod in world.redis
        if not pod.trial
        and not pod.terminating
        and ((not pod.ready and pod.waiting_reason in CANNOT_START) or _is_out_of_reach(pod, live))
        and pod.template != newest
    ]


def _is_out_of_reach(pod: RedisPod, live: JsonObject) -> bool:
    """Return True for one of several pods with an earlier release's host name, or with TLS where others have none."""
    if dig(live, "spec", "replicas") == 1:
        return False
    return pod.tls != has_tls(live) or pod.service not in {"", text_at(live, "spec", "serviceName")}


def _leave(live: JsonObject, world: World) -> bool:
    """Return True while the first pod, which is to be replaced, has others that give it what they have."""
    return dig(live, "spec", "replicas") == 1 and any(is_other(pod) for pod in world.redis)
