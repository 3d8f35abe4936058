"""The Service of the HTTP API, for backends inside the Kubernetes cluster."""

from __future__ import annotations

from realtime_operator import naming
from realtime_operator.api.base import JsonObject
from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.builders.manifest import metadata, service_port, serving_selector, with_applied_hash


def build_api_service(cluster: RealtimeCluster) -> JsonObject:
    """Build the Service over the serving pods.

    It is always a ClusterIP: the spec sets a type for the client Service only.
    """
    return with_applied_hash(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata(cluster, naming.api_service(cluster.metadata.name), naming.COMPONENT_SERVER),
            "spec": {
                "type": "ClusterIP",
                "selector": serving_selector(cluster),
                "ports": [service_port(naming.PORT_NAME_API, naming.PORT_API)],
            },
        }
    )
