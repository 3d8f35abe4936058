"""The Secret with the credentials that the spec does not refer to."""

from __future__ import annotations

from realtime_operator import naming
from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.builders.manifest import metadata, with_applied_hash
from realtime_operator.builders.settings import SecretTemplate


def rotated_keys(cluster: RealtimeCluster) -> tuple[str, ...]:
    """Return the keys in use: the admin token, and an API key and a token secret where the spec refers to none."""
    keys = [naming.KEY_ADMIN_TOKEN]
    if cluster.spec.api.key is None:
        keys.append(naming.KEY_API)
    if not cluster.spec.auth.tokens:
        keys.append(naming.KEY_TOKEN_SECRET)
    return tuple(keys)


def generated_keys(cluster: RealtimeCluster) -> tuple[str, ...]:
    """Return the keys to generate: those in use, and the alternate value of each."""
    keys = rotated_keys(cluster)
    return (*keys, *(naming.alternate(key) for key in keys))


def mounted_keys(cluster: RealtimeCluster) -> tuple[str, ...]:
    """Return the keys that servers read: a server has one admin token, and the operator tries both."""
    return tuple(key for key in generated_keys(cluster) if key != naming.alternate(naming.KEY_ADMIN_TOKEN))


def build_credentials_secret(cluster: RealtimeCluster) -> SecretTemplate:
    """Build the Secret without its values."""
    name = naming.credentials_secret(cluster.metadata.name)
    manifest = with_applied_hash(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": metadata(cluster, name, naming.COMPONENT_SERVER),
            "type": "Opaque",
        }
    )
    return SecretTemplate(manifest, generated_keys(cluster))
