"""The PodDisruptionBudget: the number of servers that evictions (node drains) may take away at once."""

from __future__ import annotations

from realtime_operator import naming
from realtime_operator.api.base import JsonObject
from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.builders.manifest import metadata, serving_selector, with_applied_hash


def build_disruption_budget(cluster: RealtimeCluster) -> JsonObject:
    """Build it over the pods that serve, for any number of servers.

    It limits by `maxUnavailable`, at least 1, and so never blocks a node drain for good, not even with one server, as
    a `minAvailable` would. The wanted number is that of the ReplicaSets, so a server that the operator has quiesced
    counts as unavailable: evictions and the operator do not take servers away at the same time. Pods that are not
    ready may always be evicted, they serve nobody.
    """
    limit = cluster.spec.rollout.max_unavailable
    return with_applied_hash(
        {
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": metadata(cluster, naming.disruption_budget(cluster.metadata.name), naming.COMPONENT_SERVER),
            "spec": {
                "maxUnavailable": 1 if limit in {0, "0%"} else limit,
                "selector": {"matchLabels": serving_selector(cluster)},
                "unhealthyPodEvictionPolicy": "AlwaysAllow",
            },
        }
    )
