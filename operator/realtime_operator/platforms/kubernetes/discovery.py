"""Discovery of the kinds that the API server serves, among those that are defined by CustomResourceDefinitions."""

from __future__ import annotations

from realtime_operator import naming
from realtime_operator.api.document import objects_at, text_at
from realtime_operator.builders.optional_kinds import OPTIONAL_KINDS, Kind
from realtime_operator.errors import NotFoundError
from realtime_operator.platforms.kubernetes.client import KubernetesClient

CLUSTERS: Kind = (naming.API_VERSION, naming.KIND)
CUSTOM = frozenset({CLUSTERS, *(kind.key for kind in OPTIONAL_KINDS)})
MISSING = f"the API server does not serve {naming.PLURAL}.{naming.GROUP}: install the CRD"
"""Reason for which RealtimeClusters cannot be watched."""


async def served_kinds(client: KubernetesClient) -> frozenset[Kind]:
    """Return which kinds of `CUSTOM` are served; raises PlatformError when the API server does not answer.

    A group counts when it is in the list of all groups too, which comes later than its own and which kopf reads.
    """
    groups = objects_at(await client.get("/apis"), "groups")
    listed = {text_at(version, "groupVersion") for group in groups for version in objects_at(group, "versions")}
    found: set[Kind] = set()
    for api_version in sorted(listed & {api_version for api_version, _ in CUSTOM}):
        try:
            resources = objects_at(await client.get(f"/apis/{api_version}"), "resources")
        except NotFoundError:
            continue
        found |= {(api_version, text_at(resource, "kind")) for resource in resources}
    return CUSTOM & found
