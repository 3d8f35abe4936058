"""The PrometheusRule: the alerts about one cluster."""

from __future__ import annotations

from realtime_operator import naming
from realtime_operator.api.base import JsonObject, JsonValue
from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.builders.manifest import metadata, with_applied_hash
from realtime_operator.monitoring import Scope, cluster_alerts, rule_group


def build_prometheus_rule(cluster: RealtimeCluster) -> JsonObject:
    """Build it with every alert on a cluster, restricted to this one; a cluster without the spec has none."""
    monitoring = cluster.spec.monitoring
    assert monitoring is not None
    name, namespace = cluster.metadata.name, cluster.metadata.namespace
    labels: dict[str, JsonValue] = {**monitoring.prometheus_rule.labels}
    group = rule_group(f"{namespace}.{name}", cluster_alerts(Scope.of_cluster(namespace, name)))
    return with_applied_hash(
        {
            "apiVersion": naming.MONITORING_API_VERSION,
            "kind": "PrometheusRule",
            "metadata": metadata(cluster, name, naming.COMPONENT_SERVER, labels=labels),
            "spec": {"groups": [group]},
        }
    )
