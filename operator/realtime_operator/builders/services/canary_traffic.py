"""The objects that divide new connections between two revisions: two Services, and the HTTPRoute with weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from realtime_operator import naming
from realtime_operator.api.base import JsonObject
from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.builders.common_metadata import with_common_metadata
from realtime_operator.builders.services.client_service import build_revision_service
from realtime_operator.builders.services.route import build_route


@dataclass(frozen=True, slots=True)
class CanaryTraffic:
    """Revisions whose servers are behind the two Services, and the percentage of new connections for the second.

    `percent` is None while the route leads to the client Service, and so to all servers alike.
    """

    current: str
    canary: str
    percent: int | None = None


def with_canary_traffic(
    cluster: RealtimeCluster, manifests: Sequence[JsonObject], traffic: CanaryTraffic
) -> tuple[JsonObject, ...]:
    """Return shared manifests with the two Services, which come before the route that names them.

    The HTTPRoute is replaced by one with the weights; where there is none, none is added.
    """
    name = cluster.metadata.name
    current, canary = naming.current_service(name), naming.canary_service(name)
    percent = traffic.percent
    weights = None if percent is None else {current: 100 - percent, canary: percent}
    common = cluster.spec.common_metadata
    services = (
        build_revision_service(cluster, current, traffic.current),
        build_revision_service(cluster, canary, traffic.canary),
    )
    route = build_route(cluster, weights)
    others = [
        with_common_metadata(route, common) if route is not None and manifest["kind"] == "HTTPRoute" else manifest
        for manifest in manifests
    ]
    return (*(with_common_metadata(service, common) for service in services), *others)
