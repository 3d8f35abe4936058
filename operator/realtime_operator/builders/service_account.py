"""The ServiceAccount of the pods of a cluster. It has no permissions, and pods get no token."""

from __future__ import annotations

from realtime_operator import naming
from realtime_operator.api.base import JsonObject
from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.builders.manifest import metadata, with_applied_hash


def build_service_account(cluster: RealtimeCluster) -> JsonObject:
    """Build the ServiceAccount of the server and Redis pods."""
    return with_applied_hash(
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": metadata(cluster, naming.service_account(cluster.metadata.name), naming.COMPONENT_SERVER),
            "automountServiceAccountToken": False,
        }
    )
