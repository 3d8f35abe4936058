"""The manifests of a cluster as the operator renders them, without Kubernetes."""

from __future__ import annotations

from realtime_operator import naming
from realtime_operator.api.base import JsonObject
from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.builders import (
    BuildSettings,
    CanaryTraffic,
    build_redis_certificate_secret,
    build_revision,
    build_secrets,
    build_shared,
    with_canary_traffic,
    with_common_metadata,
)

SETTINGS = BuildSettings(
    server_image="ghcr.io/realtime-operator/server:0.1.0",
    redis_image="docker.io/library/redis:7.4-bookworm",
    operator_namespace="realtime-system",
)
REPLICAS = 2
UID = "00000000-0000-4000-8000-000000000000"
FORMER_REVISION = "bbbbbbbbbb"
PASSWORD_HASH = "5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8"


def cluster_of(spec: JsonObject | None = None, *, name: str = "chat", namespace: str = "realtime") -> RealtimeCluster:
    """Return a cluster as the API server would return it, with this spec."""
    metadata: JsonObject = {"name": name, "namespace": namespace, "uid": UID, "generation": 1}
    return RealtimeCluster.from_object({"metadata": metadata, "spec": spec or {}})


def without_centrifuge(cluster: RealtimeCluster) -> RealtimeCluster:
    """Return the cluster without Centrifugo's protocol, whether there is another one or not."""
    off = cluster.spec.protocols.centrifuge.model_copy(update={"mode": "Disabled"})
    protocols = cluster.spec.protocols.model_copy(update={"centrifuge": off})
    return cluster.model_copy(update={"spec": cluster.spec.model_copy(update={"protocols": protocols})})


def with_redis_password(cluster: RealtimeCluster) -> dict[str, dict[str, str]]:
    """Return the hashes of Secrets when the password of the managed Redis exists."""
    return {naming.redis(cluster.metadata.name): {naming.KEY_REDIS_PASSWORD: PASSWORD_HASH}}


def render(cluster: RealtimeCluster, settings: BuildSettings = SETTINGS) -> list[JsonObject]:
    """Return the manifests in the order in which they are applied; those of a route's canary in its first step."""
    revision = build_revision(cluster, settings)
    shared, canary = build_shared(cluster, settings, with_redis_password(cluster)), cluster.spec.rollout.canary
    if canary is not None and canary.traffic == "Route":
        percent = round(canary.steps[0].part * 100)
        shared = with_canary_traffic(cluster, shared, CanaryTraffic(FORMER_REVISION, revision.name, percent))
    certificate = build_redis_certificate_secret(cluster)
    manifests = [
        *(template.manifest for template in (*build_secrets(cluster), *([certificate] if certificate else []))),
        *shared,
        revision.config_map,
        revision.replica_set(REPLICAS),
    ]
    return [with_common_metadata(manifest, cluster.spec.common_metadata) for manifest in manifests]


def as_run(word: str) -> str:
    """Return a word of a container's command as it is run: Kubernetes takes two dollar signs for one."""
    return word.replace("$$", "$")
