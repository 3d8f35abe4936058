"""Persistent volumes of the managed Redis: sizes and classes that cannot be had, and expansion. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from realtime_operator.api import quantity
from realtime_operator.api.base import JsonObject
from realtime_operator.api.document import dig, object_at, objects_at, text_at
from realtime_operator.api.errors import Finding, FindingReason
from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.builders.redis.tls_options import VOLUME as TLS_VOLUME
from realtime_operator.planning.model.difference import contains
from realtime_operator.planning.model.plan import Action, ResizeClaim
from realtime_operator.planning.model.world import VolumeClaim, World

PATH = "spec.backplane.redis.managed.persistence"


def impossible_volumes(cluster: RealtimeCluster, world: World) -> tuple[Finding, ...]:
    """Return the fields that existing volumes contradict: a smaller size, another storage class."""
    managed = cluster.spec.backplane.managed
    persistence = None if managed is None else managed.persistence
    if persistence is None:
        return ()
    size, storage_class = quantity.canonical(persistence.size), persistence.storage_class_name
    return tuple(found for claim in world.claims for found in _contradictions(claim, size, storage_class))


def _contradictions(claim: VolumeClaim, size: str, storage_class: str | None) -> Iterator[Finding]:
    if quantity.parse(size) < quantity.parse(claim.size):
        message = f"the volume of {claim.name} has {claim.size} and cannot shrink to {size}: set at least {claim.size}"
        yield Finding(f"{PATH}.size", FindingReason.INVALID_FIELD, message)
    if storage_class is not None and storage_class != claim.storage_class:
        there = claim.storage_class or "none"
        message = (
            f"the storage class of {claim.name} is {there} and cannot be changed:"
            f" set {there}, or delete the claim, which loses its data"
        )
        yield Finding(f"{PATH}.storageClassName", FindingReason.INVALID_FIELD, message)


def expand_volumes(wanted: JsonObject, world: World) -> list[Action]:
    """Plan the expansion of the claims that are smaller than those of the StatefulSet `wanted`."""
    templates = objects_at(wanted, "spec", "volumeClaimTemplates")
    sizes = [text_at(template, "spec", "resources", "requests", "storage") for template in templates]
    return [
        ResizeClaim(claim.name, claim.uid, size)
        for size in sizes
        for claim in world.claims
        if quantity.parse(claim.size) < quantity.parse(size)
    ]


def has_tls(stateful_set: JsonObject) -> bool:
    """Return True when the pods of a StatefulSet of Redis have a certificate."""
    return mounts_certificate(object_at(stateful_set, "spec", "template"))


def mounts_certificate(pod: JsonObject) -> bool:
    """Return True for a pod of Redis, or a template of it, that has a certificate."""
    return any(volume.get("name") == TLS_VOLUME for volume in objects_at(pod, "spec", "volumes"))


def must_be_replaced(live: JsonObject, wanted: JsonObject) -> bool:
    """Return True when a StatefulSet differs from the wanted one in a way that cannot be changed pod by pod."""
    service = text_at(live, "spec", "serviceName")  # podManagementPolicy differs with it
    if service and service != text_at(wanted, "spec", "serviceName"):
        return True
    if dig(wanted, "spec", "replicas") != 1 and has_tls(live) != has_tls(wanted):
        return True  # pods with and without TLS do not reach each other, so that none would follow the other
    before, after = (objects_at(one, "spec", "volumeClaimTemplates") for one in (live, wanted))
    return len(before) != len(after) or not contains([*before], [*after])
