"""Families of addresses of the Service for clients that cannot be had any more. Pure."""

from __future__ import annotations

from realtime_operator import naming
from realtime_operator.api.document import dig, text_at
from realtime_operator.api.errors import Finding, FindingReason
from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.planning.model.difference import controller_uid
from realtime_operator.planning.model.world import ObjectKey, World

PATH = "spec.endpoint.service.ipFamilies"


def impossible_families(cluster: RealtimeCluster, world: World) -> tuple[Finding, ...]:
    """Return the field that the existing Service contradicts: another first family, which Kubernetes never changes."""
    name, wanted = naming.client_service(cluster.metadata.name), cluster.spec.endpoint.service.ip_families
    live = world.objects.get(ObjectKey("v1", "Service", name), {})
    families = dig(live, "spec", "ipFamilies")
    if not wanted or not isinstance(families, list) or controller_uid(live) != cluster.metadata.uid:
        return ()
    if families[:1] == [wanted[0]]:
        return ()
    address = text_at(live, "spec", "clusterIP")
    message = (
        f"the first family of Service {name} is {families[0]} and cannot be changed: begin with {families[0]}, or "
        f"delete the Service, which loses its address {address}"
    )
    return (Finding(PATH, FindingReason.INVALID_FIELD, message),)
