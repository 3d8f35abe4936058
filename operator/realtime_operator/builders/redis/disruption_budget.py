"""The PodDisruptionBudget of a managed Redis with failover: one pod at a time may be evicted."""

from __future__ import annotations

from realtime_operator import naming
from realtime_operator.api.base import JsonObject
from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.builders.manifest import component_selector, metadata, with_applied_hash


def build_redis_disruption_budget(cluster: RealtimeCluster) -> JsonObject | None:
    """Build it; None without failover, where it could only block node drains for ever."""
    if not cluster.spec.backplane.has_failover:
        return None
    return with_applied_hash(
        {
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": metadata(cluster, naming.redis(cluster.metadata.name), naming.COMPONENT_REDIS),
            "spec": {
                "maxUnavailable": 1,
                "unhealthyPodEvictionPolicy": "AlwaysAllow",  # a pod that is not ready holds up no node drain
                "selector": {"matchLabels": component_selector(cluster, naming.COMPONENT_REDIS)},
            },
        }
    )
