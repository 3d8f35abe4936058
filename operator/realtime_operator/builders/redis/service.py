"""The Services of the managed Redis, and its addresses."""

from __future__ import annotations

from realtime_operator import naming
from realtime_operator.api.base import JsonObject, JsonValue
from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.builders.manifest import component_selector, metadata, service_port, with_applied_hash
from realtime_operator.builders.redis.failover_script import PODS
from realtime_operator.builders.redis.pod import node_suffix

LABEL_POD_NAME = "statefulset.kubernetes.io/pod-name"


def build_redis_service(cluster: RealtimeCluster) -> JsonObject | None:
    """Build the Service, whose address outlives the pod; None when an external Redis is used.

    It leads to the first pod, which with failover is the primary at first: servers of a former revision know no
    sentinels.
    """
    backplane, name = cluster.spec.backplane, naming.redis(cluster.metadata.name)
    if backplane.managed is None:
        return None
    return with_applied_hash(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata(cluster, name, naming.COMPONENT_REDIS),
            "spec": {
                "type": "ClusterIP",
                "selector": {**component_selector(cluster, naming.COMPONENT_REDIS), LABEL_POD_NAME: f"{name}-0"},
                "ports": [service_port(naming.PORT_NAME_REDIS, naming.PORT_REDIS)],
            },
        }
    )


def build_redis_nodes_service(cluster: RealtimeCluster) -> JsonObject | None:
    """Build the headless Service that gives each pod a host name, ready or not; None without failover."""
    if not cluster.spec.backplane.has_failover:
        return None
    return with_applied_hash(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata(cluster, naming.redis_nodes(cluster.metadata.name), naming.COMPONENT_REDIS),
            "spec": {
                "type": "ClusterIP",
                "clusterIP": "None",
                "publishNotReadyAddresses": True,
                "selector": component_selector(cluster, naming.COMPONENT_REDIS),
                "ports": [
                    service_port(naming.PORT_NAME_REDIS, naming.PORT_REDIS),
                    service_port(naming.PORT_NAME_SENTINEL, naming.PORT_SENTINEL),
                ],
            },
        }
    )


def redis_hosts(cluster: RealtimeCluster) -> tuple[str, ...]:
    """Return the names in the certificate of Redis: of its Service, and those that servers and sentinels use of pods.

    They are the same in all modes, so that another mode needs no other certificate.
    """
    name, suffix = naming.redis(cluster.metadata.name), node_suffix(cluster)
    service = f"{name}.{cluster.metadata.namespace}"
    return (name, service, f"{service}.svc", *(f"{name}-{number}.{suffix}" for number in range(PODS)))


def redis_address(cluster: RealtimeCluster) -> str:
    """Return host:port of a managed Redis that is alone, inside the Kubernetes cluster."""
    return f"{naming.redis(cluster.metadata.name)}.{cluster.metadata.namespace}.svc:{naming.PORT_REDIS}"


def sentinel_addresses(cluster: RealtimeCluster) -> list[JsonValue]:
    """Return host:port of the sentinels of a managed Redis with failover."""
    name, suffix = naming.redis(cluster.metadata.name), node_suffix(cluster)
    return [f"{name}-{number}.{suffix}:{naming.PORT_SENTINEL}" for number in range(PODS)]
