"""The Service of the managed Redis."""

from __future__ import annotations

from realtime_operator import naming
from realtime_operator.api.base import JsonObject
from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.builders.manifest import component_selector, metadata, service_port, with_applied_hash


def build_redis_service(cluster: RealtimeCluster) -> JsonObject | None:
    """Build the Service, whose address outlives the pod; None when an external Redis is used."""
    if cluster.spec.backplane.managed is None:
        return None
    return with_applied_hash(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata(cluster, naming.redis(cluster.metadata.name), naming.COMPONENT_REDIS),
            "spec": {
                "type": "ClusterIP",
                "selector": component_selector(cluster, naming.COMPONENT_REDIS),
                "ports": [service_port(naming.PORT_NAME_REDIS, naming.PORT_REDIS)],
            },
        }
    )


def redis_address(cluster: RealtimeCluster) -> str:
    """Return host:port of the managed Redis, inside the Kubernetes cluster."""
    return f"{naming.redis(cluster.metadata.name)}.{cluster.metadata.namespace}.svc:{naming.PORT_REDIS}"
