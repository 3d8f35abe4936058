"""The Service that clients connect to."""

from __future__ import annotations

from realtime_operator import naming
from realtime_operator.api.base import JsonObject
from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.builders.manifest import metadata, service_port, serving_selector, with_applied_hash


def build_client_service(cluster: RealtimeCluster) -> JsonObject:
    """Build the Service over the serving pods: a quiesced pod leaves it at once but stays ready until it is drained."""
    service = cluster.spec.endpoint.service
    return with_applied_hash(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata(
                cluster,
                naming.client_service(cluster.metadata.name),
                naming.COMPONENT_SERVER,
                annotations={**service.annotations},
            ),
            "spec": {
                "type": service.type,
                "selector": serving_selector(cluster),
                "ports": [service_port(naming.PORT_NAME_CLIENT, naming.PORT_CLIENT)],
            },
        }
    )
