"""The PodDisruptionBudget: the number of servers that evictions (node drains) may take away at once."""

from __future__ import annotations

from realtime_operator import naming
from realtime_operator.api.base import JsonObject, JsonValue
from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.builders.manifest import metadata, serving_selector, with_applied_hash


def build_disruption_budget(cluster: RealtimeCluster) -> JsonObject | None:
    """Build it over the pods that serve, for any number of servers; None when it is disabled.

    By default it limits by `maxUnavailable`, at least 1, and so never blocks a node drain for good, not even with one
    server, as a `minAvailable` would. The wanted number is that of the ReplicaSets, so a server that the operator has
    quiesced counts as unavailable: evictions and the operator do not take servers away at the same time. Pods that are
    not ready may always be evicted, they serve nobody.
    """
    budget = cluster.spec.disruption_budget
    if budget.mode == "Disabled":
        return None
    return with_applied_hash(
        {
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": metadata(cluster, naming.disruption_budget(cluster.metadata.name), naming.COMPONENT_SERVER),
            "spec": {
                **_limit(cluster),
                "selector": {"matchLabels": serving_selector(cluster)},
                "unhealthyPodEvictionPolicy": budget.unhealthy_pod_eviction_policy,
            },
        }
    )


def _limit(cluster: RealtimeCluster) -> dict[str, JsonValue]:
    budget, of_rollout = cluster.spec.disruption_budget, cluster.spec.rollout.max_unavailable
    if budget.min_available is not None:
        return {"minAvailable": budget.min_available}
    if budget.max_unavailable is not None:
        return {"maxUnavailable": budget.max_unavailable}
    return {"maxUnavailable": 1 if of_rollout in {0, "0%"} else of_rollout}
