"""Changes of the mode of a managed Redis while servers of both modes run. Pure.

To `Failover`: two pods become replicas of the pod alone, which stays the primary until all servers know the sentinels;
then it gives its role to one of the two, and is replaced. To `Standalone`: all pods stay until no server asks sentinels
any more, and the Service leads to the primary meanwhile; then the others leave, and the first one is replaced.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from realtime_operator import naming
from realtime_operator.api.base import JsonObject
from realtime_operator.api.document import dig, object_at, text_at
from realtime_operator.builders.record import recorded
from realtime_operator.builders.redis.failover_script import PODS
from realtime_operator.planning.model.difference import label
from realtime_operator.planning.model.world import ObjectKey, RedisPod, World, object_key
from realtime_operator.planning.redis.volumes import has_tls

FIRST = "-0"
"""Suffix of the name of the first pod, which all modes have."""
LABEL_POD_NAME = "statefulset.kubernetes.io/pod-name"


def primary_address(world: World) -> str:
    """Return the address of the primary that most servers report; "" without a report."""
    reports = [server.report.store for server in world.servers if server.report and server.report.store]
    counted = Counter(report.primary for report in reports if report.primary)
    return counted.most_common(1)[0][0] if counted else ""


def primary_pod(world: World) -> str:
    """Return the name of the primary's pod, the first label of its host name; "" when it is none of the pods."""
    host = primary_address(world).partition(".")[0]
    return host if any(pod.name == host for pod in serving(world)) else ""


def serving(world: World) -> list[RedisPod]:
    """Return the pods of Redis that are not being deleted, without trials."""
    return [pod for pod in world.redis if not pod.trial and not pod.terminating]


def leaves_failover(wanted: JsonObject | None, world: World) -> bool:
    """Return True while pods are left that a Redis alone, which is wanted, does not have."""
    live = live_redis(wanted, world)
    if wanted is None or live is None or dig(wanted, "spec", "replicas") != 1 or has_tls(live) != has_tls(wanted):
        return False  # with another kind of connections no server could use both
    return dig(live, "spec", "replicas") != 1 or any(is_other(pod) for pod in world.redis)


def is_other(pod: RedisPod) -> bool:
    """Return True for a pod that a Redis alone does not have."""
    return not pod.trial and not pod.name.endswith(FIRST)


def live_redis(wanted: JsonObject | None, world: World) -> JsonObject | None:
    """Return the live StatefulSet; None when it does not exist or is being deleted."""
    if wanted is None:
        return None
    live = world.objects.get(ObjectKey("apps/v1", "StatefulSet", text_at(wanted, "metadata", "name")))
    return None if live is None or text_at(live, "metadata", "deletionTimestamp") else live


def is_of_redis(document: JsonObject) -> bool:
    """Return True for an object of Redis: the pods need those that there are until they have left failover."""
    return label(document, naming.LABEL_COMPONENT) == naming.COMPONENT_REDIS


def until_left(manifests: Sequence[JsonObject], wanted: JsonObject | None, world: World) -> list[JsonObject]:
    """Return the objects to apply until the pods have left failover: those of Redis stay as they are.

    Only the Service of Redis gets the primary as its endpoint, for servers that ask no sentinels. When the last server
    that reports the primary is gone, it stays with it until the first pod is to be the only one.
    """
    live = live_redis(wanted, world)
    follows = live is not None and dig(live, "spec", "replicas") != 1
    others = [one for one in manifests if not is_of_redis(one)]
    services = [one for one in manifests if is_of_redis(one) and one["kind"] == "Service"]
    return [*others, *(_follow_primary(one, world) if follows else one for one in services)]


def _follow_primary(service: JsonObject, world: World) -> JsonObject:
    former = text_at(world.objects.get(object_key(service)), "spec", "selector", LABEL_POD_NAME)
    primary = primary_pod(world) or former
    if all(pod.name != primary for pod in serving(world)):
        return service
    spec = object_at(service, "spec")
    selector: JsonObject = {**object_at(spec, "selector"), LABEL_POD_NAME: primary}
    return {**service, "spec": {**spec, "selector": selector}}


def joining(wanted: JsonObject, live: JsonObject, world: World, *, settled: bool) -> JsonObject:
    """Return the StatefulSet with failover to apply: it does not replace the first pod while servers depend on it.

    They do so from the change of the mode on until all servers know the sentinels (`settled`), or until the first pod
    is not the primary any more.
    """
    if dig(wanted, "spec", "replicas") in {1, None} or settled or not _joins(live):
        return wanted
    first = next((pod for pod in serving(world) if not is_other(pod)), None)
    if first is None or primary_pod(world) not in {"", first.name} or _is_updated(first, live):
        return wanted
    spec = object_at(wanted, "spec")
    strategy: JsonObject = {**object_at(spec, "updateStrategy"), "rollingUpdate": {"partition": 1}}
    return {**wanted, "spec": {**spec, "updateStrategy": strategy}}


def _joins(live: JsonObject) -> bool:
    return dig(live, "spec", "replicas") == 1 or _partition(live) == 1


def _partition(live: JsonObject) -> object:
    return dig(live, "spec", "updateStrategy", "rollingUpdate", "partition")


def _is_updated(pod: RedisPod, live: JsonObject) -> bool:
    """Return True when a pod is of the newest template of a StatefulSet that has more than one pod."""
    newest = newest_template(live)
    return dig(live, "spec", "replicas") != 1 and newest is not None and pod.template == newest


def newest_template(live: JsonObject) -> str | None:
    """Return the identity of the newest template; None before the controller has seen it."""
    return (text_at(live, "status", "updateRevision") or None) if _is_observed(live) else None


def _is_observed(live: JsonObject) -> bool:
    return dig(live, "status", "observedGeneration") == dig(live, "metadata", "generation")


def shrunk(live: JsonObject) -> JsonObject | None:
    """Return the StatefulSet as it was made, with the first pod only, so that this one gets what the others have.

    None when it has no other, when the first one has not been replaced, and without a record.
    """
    manifests = recorded(live)
    if dig(live, "spec", "replicas") == 1 or _partition(live) == 1 or manifests is None:
        return None
    return {**manifests[0], "spec": {**object_at(manifests[0], "spec"), "replicas": 1}}


def pods_change(live: JsonObject | None, world: World, *, has_failover: bool) -> bool:
    """Return True until the pods of the live StatefulSet are those of the wanted mode and of its newest template."""
    if live is None:
        return False
    wanted, pods = PODS if has_failover else 1, [pod for pod in world.redis if not pod.trial]
    if dig(live, "spec", "replicas") != wanted or _partition(live) == 1 or not _is_observed(live):
        return True
    newest = newest_template(live)
    return bool(pods) and (len(pods) != wanted or any(newest and pod.template != newest for pod in pods))
