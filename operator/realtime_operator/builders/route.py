"""The route of the Gateway API to the client Service: an HTTPRoute, or a TLSRoute to servers with certificates."""

from __future__ import annotations

from realtime_operator import naming
from realtime_operator.api.base import JsonObject, JsonValue
from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.api.v1alpha1_endpoint import Gateway
from realtime_operator.builders.manifest import metadata, with_applied_hash

API_VERSION = "gateway.networking.k8s.io/v1"


def build_route(cluster: RealtimeCluster) -> JsonObject | None:
    """Build the route; None when the spec wants none.

    An HTTPRoute has no timeout: connections last, and so do the responses of SSE. A TLSRoute passes the bytes on.
    """
    wanted = cluster.spec.endpoint.gateway
    if wanted is None:
        return None
    backend: JsonObject = {
        "name": naming.client_service(cluster.metadata.name), "port": cluster.spec.endpoint.service.port,
    }  # fmt: skip
    rule: JsonObject = {"backendRefs": [backend]}
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


def _parents(wanted: Gateway) -> list[JsonValue]:
    return [parent.model_dump(mode="json", by_alias=True, exclude_none=True) for parent in wanted.parent_refs]
