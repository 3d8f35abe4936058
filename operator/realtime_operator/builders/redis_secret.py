"""The Secret with the password of the managed Redis."""

from __future__ import annotations

from realtime_operator import naming
from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.builders.manifest import metadata, with_applied_hash
from realtime_operator.builders.settings import SecretTemplate


def build_redis_secret(cluster: RealtimeCluster) -> SecretTemplate | None:
    """Build the Secret without its value; None when an external Redis is used."""
    if cluster.spec.backplane.managed is None:
        return None
    manifest = with_applied_hash(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": metadata(cluster, naming.redis(cluster.metadata.name), naming.COMPONENT_REDIS),
            "type": "Opaque",
        }
    )
    return SecretTemplate(manifest, (naming.KEY_REDIS_PASSWORD,))
