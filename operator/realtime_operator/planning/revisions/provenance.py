"""Provenance of the target in the status: specs and defaults it was made from, for later operators and people."""

from __future__ import annotations

from realtime_operator import naming
from realtime_operator.api.base import JsonObject, JsonValue
from realtime_operator.api.document import objects_at, text_at
from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.builders import BuildSettings
from realtime_operator.builders.record import made_of, redis_hash, servers_hash
from realtime_operator.planning.model.world import World
from realtime_operator.planning.revisions.choice import Redis, Target, redis_checksum


def compose(
    cluster: RealtimeCluster,
    world: World,
    target: Target,
    redis: Redis | None,
    settings: BuildSettings,
) -> JsonObject:
    """Return the fields `madeOf`, `madeWith`, `defaults` and `newerDefaults` of the status."""
    newer: list[JsonValue] = [
        name for name, chosen in (("Servers", target), ("Redis", redis)) if chosen is not None and not chosen.is_newest
    ]
    return {
        "madeOf": _made_of(cluster, world, redis, of_spec=target.of_spec),
        "madeWith": _made_with(world, target, redis),
        "defaults": _defaults(settings),
        **({"newerDefaults": newer} if newer else {}),
    }


def _made_of(cluster: RealtimeCluster, world: World, redis: Redis | None, *, of_spec: bool) -> JsonObject:
    """Return the hashes of the spec; for a managed Redis that is kept as it was made, its recorded hash."""
    managed, checksum = cluster.spec.backplane.managed, redis_checksum(cluster, world)
    hashes: JsonObject = {}
    if of_spec:
        hashes = {"generation": cluster.metadata.generation, "servers": servers_hash(cluster)}
    if managed is None or checksum is None:
        return hashes
    kept = made_of(redis.made) if redis is not None else ""
    return {**hashes, "redis": kept or redis_hash(managed)}


def _made_with(world: World, target: Target, redis: Redis | None) -> JsonObject:
    made = world.objects[target.replica_set] if target.revision is None else target.revision.template
    known = {
        "operatorVersion": text_at(made, "metadata", "annotations", naming.ANNOTATION_OPERATOR_VERSION),
        "serverImage": _image(made),
        "redisImage": _image(redis.made) if redis is not None else "",
    }
    return {name: value for name, value in known.items() if value}


def _defaults(settings: BuildSettings) -> JsonObject:
    secrets: list[JsonValue] = [{"name": name} for name in settings.image_pull_secrets]
    return {
        "operatorVersion": settings.operator_version,
        "serverImage": settings.server_image,
        "serverImagePullPolicy": settings.server_image_pull_policy,
        **({"imagePullSecrets": secrets} if secrets else {}),
        "redisImage": settings.redis_image,
    }


def _image(document: JsonObject) -> str:
    containers = objects_at(document, "spec", "template", "spec", "containers")
    return text_at(containers[0], "image") if containers else ""
