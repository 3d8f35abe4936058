"""The Secrets of the managed Redis: with its passwords, and with the certificate that the operator makes."""

from __future__ import annotations

from realtime_operator import naming
from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.api.v1alpha1_certificate import KEY_AUTHORITY, KEY_CERTIFICATE, KEY_PRIVATE_KEY
from realtime_operator.builders.manifest import metadata, with_applied_hash
from realtime_operator.builders.redis.tls_options import is_generated
from realtime_operator.builders.settings import SecretTemplate

KEY_AUTHORITY_KEY = "ca.key"
"""Key of the private key of the authority; pods do not mount it."""


def build_redis_secret(cluster: RealtimeCluster) -> SecretTemplate | None:
    """Build the Secret without its values; None when an external Redis is used."""
    managed = cluster.spec.backplane.managed
    if managed is None:
        return None
    manifest = with_applied_hash(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": metadata(cluster, naming.redis(cluster.metadata.name), naming.COMPONENT_REDIS),
            "type": "Opaque",
        }
    )
    exporter = () if managed.exporter is None else (naming.KEY_EXPORTER_PASSWORD,)
    return SecretTemplate(manifest, (naming.KEY_REDIS_PASSWORD, *exporter))


def build_redis_certificate_secret(cluster: RealtimeCluster) -> SecretTemplate | None:
    """Build the Secret with authority and certificate, without its values; None when the spec wants no such one."""
    if not is_generated(cluster):
        return None
    manifest = with_applied_hash(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": metadata(cluster, naming.redis_certificate(cluster.metadata.name), naming.COMPONENT_REDIS),
            "type": "kubernetes.io/tls",
        }
    )
    return SecretTemplate(manifest, (KEY_AUTHORITY, KEY_AUTHORITY_KEY, KEY_CERTIFICATE, KEY_PRIVATE_KEY))
