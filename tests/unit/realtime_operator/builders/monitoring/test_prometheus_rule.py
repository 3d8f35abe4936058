"""Tests of the PrometheusRule."""

from __future__ import annotations

from realtime_operator.builders.monitoring.prometheus_rule import build_prometheus_rule
from realtime_operator.monitoring import ALL, cluster_alerts
from tests.kit.document import objects_at
from tests.kit.manifests import cluster_of


def test_it_has_every_alert_about_a_cluster() -> None:
    """In one group, named after the cluster: Prometheus evaluates the rules of a group in turn."""
    cluster = cluster_of({"monitoring": {}})
    (group,) = objects_at(build_prometheus_rule(cluster), "spec", "groups")
    assert group["name"] == f"{cluster.metadata.namespace}.{cluster.metadata.name}"
    assert [rule["alert"] for rule in objects_at(group, "rules")] == [alert.name for alert in cluster_alerts(ALL)]
    assert all(
        f'realtime_cluster="{cluster.metadata.name}"' in str(rule["expr"]) for rule in objects_at(group, "rules")
    )
