"""The Service that clients connect to."""

from __future__ import annotations

from realtime_operator import naming
from realtime_operator.api.base import JsonObject, JsonValue
from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.api.v1alpha1_endpoint import ClientService
from realtime_operator.builders.manifest import metadata, service_port, serving_selector, with_applied_hash
from realtime_operator.builders.services.ingress import service_annotations

WEBSOCKET = "kubernetes.io/ws"
"""Application protocol by which a Gateway knows that WebSockets may be upgraded (GEP-1911)."""

REQUIRE_BOTH = "RequireDualStack"
"""Policy that Kubernetes itself gives a new Service of two families; it refuses an existing one without it."""


def build_client_service(cluster: RealtimeCluster) -> JsonObject:
    """Build the Service over the serving pods: a quiesced pod leaves it at once but stays ready until it is drained."""
    service = cluster.spec.endpoint.service
    annotations: dict[str, JsonValue] = {**service_annotations(cluster), **service.annotations}
    return with_applied_hash(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata(
                cluster,
                naming.client_service(cluster.metadata.name),
                naming.COMPONENT_SERVER,
                annotations=annotations,
            ),
            "spec": {
                "type": service.type,
                "selector": serving_selector(cluster),
                "ports": [_port(cluster)],
                **_options(service),
            },
        }
    )


def build_revision_service(cluster: RealtimeCluster, name: str, revision: str) -> JsonObject:
    """Build a Service over the serving pods of one revision, to which a route gives its part of the new connections."""
    port = service_port(naming.PORT_NAME_CLIENT, cluster.spec.endpoint.service.port)
    return with_applied_hash(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata(cluster, name, naming.COMPONENT_SERVER),
            "spec": {
                "type": "ClusterIP",
                "selector": {**serving_selector(cluster), naming.LABEL_REVISION: revision},
                "ports": [{**port, "appProtocol": WEBSOCKET}],
                **_families(cluster.spec.endpoint.service),
            },
        }
    )


def _port(cluster: RealtimeCluster) -> JsonObject:
    endpoint = cluster.spec.endpoint
    port = service_port(naming.PORT_NAME_CLIENT, endpoint.service.port)
    if endpoint.service.node_port is not None:
        port |= {"nodePort": endpoint.service.node_port}
    if endpoint.gateway is not None and endpoint.tls is None:
        port |= {"appProtocol": WEBSOCKET}
    return port


def _options(service: ClientService) -> JsonObject:
    """Return the fields that the spec sets; Kubernetes chooses the others."""
    options: JsonObject = {
        "loadBalancerClass": service.load_balancer_class,
        "loadBalancerSourceRanges": [*service.load_balancer_source_ranges],
        "externalTrafficPolicy": service.external_traffic_policy,
    }
    return {**{name: value for name, value in options.items() if value not in (None, [])}, **_families(service)}


def _families(service: ClientService) -> JsonObject:
    """Return the fields of the address families that the spec sets."""
    options: JsonObject = {
        "ipFamilyPolicy": service.ip_family_policy or (REQUIRE_BOTH if len(service.ip_families) > 1 else None),
        "ipFamilies": [*service.ip_families],
    }
    return {name: value for name, value in options.items() if value not in (None, [])}
