"""The pods of a cluster whose settings are in its spec: the servers, and the managed Redis."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from realtime_operator import naming
from realtime_operator.api.base import JsonObject
from realtime_operator.api.document import object_at
from realtime_operator.api.errors import Finding
from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.api.v1alpha1_pod import PodSettings, RedisPod
from realtime_operator.builders.manifest import component_selector
from realtime_operator.builders.pods.checks import check_pod
from realtime_operator.builders.record import made_of, redis_hash, servers_hash
from realtime_operator.builders.redis.stateful_set import build_redis_stateful_set
from realtime_operator.builders.servers.replica_set import base_template, build_replica_set, selector
from realtime_operator.builders.settings import BuildSettings

_ANY = "any"
"""Stands for names and hashes that no check depends on."""


@dataclass(frozen=True, slots=True)
class ClusterPod:
    """A pod template without the settings of the spec, and these: `path` is theirs, `selector` its pods' labels."""

    path: str
    base: JsonObject
    settings: PodSettings
    selector: JsonObject


@dataclass(frozen=True, slots=True)
class PodOwner:
    """A pod of a cluster, the manifest that makes it, and the recorded hash of objects that were made from this spec.

    Names and hashes in the manifest stand for others.
    """

    pod: ClusterPod
    manifest: JsonObject
    made_of: str


def cluster_pods(cluster: RealtimeCluster, settings: BuildSettings) -> Iterator[ClusterPod]:
    """Yield the pods of a cluster that have settings with a structure of Kubernetes' own: others cannot be wrong."""
    if cluster.spec.pod.has_structures:
        yield ClusterPod("spec.pod", base_template(cluster, settings, _ANY), cluster.spec.pod, selector(cluster, _ANY))
    managed = cluster.spec.backplane.managed
    if managed is not None and managed.pod.has_structures:
        yield ClusterPod(
            "spec.backplane.redis.managed.pod",
            _redis_base(cluster, settings),
            managed.pod,
            component_selector(cluster, naming.COMPONENT_REDIS),
        )


def check_pods(cluster: RealtimeCluster, settings: BuildSettings) -> tuple[Finding, ...]:
    """Return what is wrong with the settings of pods in the spec; empty when they can be rendered."""
    return tuple(
        finding
        for pod in cluster_pods(cluster, settings)
        for finding in check_pod(pod.path, pod.base, pod.settings, pod.selector)
    )


def made_of_spec(cluster: RealtimeCluster) -> frozenset[str]:
    """Return the recorded hashes of the objects of `pod_owners`, without rendering them."""
    managed = cluster.spec.backplane.managed
    return frozenset({servers_hash(cluster), *([redis_hash(managed)] if managed is not None else [])})


def pod_owners(
    cluster: RealtimeCluster, settings: BuildSettings, secrets: Mapping[str, Mapping[str, str]]
) -> Iterator[PodOwner]:
    """Yield the pods of a cluster with what makes them; raises PatchError, if `check_pods` finds something."""
    for pod in cluster_pods(cluster, settings):
        if pod.path == "spec.pod":
            yield PodOwner(pod, build_replica_set(cluster, settings, _ANY), servers_hash(cluster))
            continue
        name = naming.redis(cluster.metadata.name)
        known = secrets if naming.KEY_REDIS_PASSWORD in secrets.get(name, {}) else _known_password(cluster)
        manifest = build_redis_stateful_set(cluster, settings, known)
        if manifest is not None:
            yield PodOwner(pod, manifest, made_of(manifest))


def _redis_base(cluster: RealtimeCluster, settings: BuildSettings) -> JsonObject:
    """Return the template of the managed Redis without its settings."""
    backplane = cluster.spec.backplane
    assert backplane.managed is not None
    redis = backplane.redis.model_copy(update={"managed": backplane.managed.model_copy(update={"pod": RedisPod()})})
    spec = cluster.spec.model_copy(update={"backplane": backplane.model_copy(update={"redis": redis})})
    bare = cluster.model_copy(update={"spec": spec})
    stateful_set = build_redis_stateful_set(bare, settings, _known_password(cluster))
    return object_at(stateful_set, "spec", "template")


def _known_password(cluster: RealtimeCluster) -> Mapping[str, Mapping[str, str]]:
    return {naming.redis(cluster.metadata.name): {naming.KEY_REDIS_PASSWORD: _ANY}}
