"""The headless Service over the admin ports, for the collection of metrics."""

from __future__ import annotations

from realtime_operator import naming
from realtime_operator.api.base import JsonObject
from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.builders.manifest import component_selector, metadata, service_port, with_applied_hash


def build_admin_service(cluster: RealtimeCluster) -> JsonObject:
    """Build the Service over all server pods: draining and unready ones have metrics too."""
    return with_applied_hash(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata(cluster, naming.admin_service(cluster.metadata.name), naming.COMPONENT_SERVER),
            "spec": {
                "type": "ClusterIP",
                "clusterIP": "None",
                "publishNotReadyAddresses": True,
                "selector": component_selector(cluster, naming.COMPONENT_SERVER),
                "ports": [service_port(naming.PORT_NAME_ADMIN, naming.PORT_ADMIN)],
            },
        }
    )
