"""The route of the Gateway API to the client Service: an HTTPRoute, or a TLSRoute to servers with certificates.

In a canary an HTTPRoute can lead to the Services of two revisions instead, with weights.
"""

from __future__ import annotations

from collections.abc import Mapping

from realtime_operator import naming
from realtime_operator.api.base import JsonObject, JsonValue
from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.api.v1alpha1_endpoint import Gateway
from realtime_operator.builders.manifest import metadata, with_applied_hash

API_VERSION = "gateway.networking.k8s.io/v1"


def build_route(cluster: RealtimeCluster, weights: Mapping[str, int] | None = None) -> JsonObject | None:
    """Build the route; None when the spec wants none.

    `weights` are those of other Services, by name; by default all connections go to the client Service. A Service
    without weight is left out, so that it may be missing or have no endpoints. An HTTPRoute has no timeout: connections
    last, and so do the responses of SSE. A TLSRoute passes the bytes on.
    """
    wanted = cluster.spec.endpoint.gateway
    if wanted is None:
        return None
    rule: JsonObject = {"backendRefs": _backends(cluster, weights or {})}
    passes_tls = cluster.spec.endpoint.tls is not None
    if not passes_tls:
        rule |= {"timeouts": {"request": "0s", "backendRequest": "0s"}}
    name = naming.route(cluster.metadata.name)
    return with_applied_hash(
        {
            "apiVersion": API_VERSION,
            "kind": "TLSRoute" if passes_tls else "HTTPRoute",
            "metadata": metadata(
                cluster, name, naming.COMPONENT_SERVER, annotations=dict[str, JsonValue](wanted.annotations)
            ),
            "spec": {
                "parentRefs": _parents(wanted),
                **({"hostnames": [*wanted.hostnames]} if wanted.hostnames else {}),
                "rules": [rule],
            },
        }
    )


def _backends(cluster: RealtimeCluster, weights: Mapping[str, int]) -> list[JsonValue]:
    """Return references to the Services with a weight; one alone needs none."""
    port = cluster.spec.endpoint.service.port
    named = {name: weight for name, weight in weights.items() if weight > 0}
    if len(named) > 1:
        return [{"name": name, "port": port, "weight": weight} for name, weight in named.items()]
    return [{"name": name, "port": port} for name in named or [naming.client_service(cluster.metadata.name)]]


def _parents(wanted: Gateway) -> list[JsonValue]:
    return [parent.model_dump(mode="json", by_alias=True, exclude_none=True) for parent in wanted.parent_refs]
