"""Whether the API server serves what the operator works on."""

from __future__ import annotations

from realtime_operator import naming
from realtime_operator.api.document import objects_at
from realtime_operator.errors import NotFoundError
from realtime_operator.platforms.kubernetes.client import KubernetesClient


async def not_served(client: KubernetesClient) -> str | None:
    """Why RealtimeClusters cannot be watched, None when they can; raises PlatformError when nobody can say.

    The group must be in the list of all groups too, which comes later and which kopf reads.
    """
    missing = f"the API server does not serve {naming.PLURAL}.{naming.GROUP}: install the CRD"
    try:
        served = objects_at(await client.get(f"/apis/{naming.API_VERSION}"), "resources")
    except NotFoundError:
        return missing
    groups = objects_at(await client.get("/apis"), "groups")
    versions = [v for group in groups if group.get("name") == naming.GROUP for v in objects_at(group, "versions")]
    listed = any(version.get("version") == naming.VERSION for version in versions)
    return None if listed and any(resource.get("name") == naming.PLURAL for resource in served) else missing
