"""Tests of the PodMonitor."""

from __future__ import annotations

from realtime_operator.api.base import JsonObject
from realtime_operator.builders.monitoring.pod_monitor import build_pod_monitor, build_redis_pod_monitor
from tests.kit.document import dig, objects_at
from tests.kit.manifests import cluster_of


def test_series_get_the_name_of_the_cluster() -> None:
    """Alerts and dashboard select by it; the interval is whole seconds, which every release of Prometheus reads."""
    monitor = build_pod_monitor(cluster_of({"monitoring": {"podMonitor": {"interval": "1m30s"}}}))
    (endpoint,) = objects_at(monitor, "spec", "podMetricsEndpoints")
    assert (endpoint["port"], endpoint["interval"]) == ("admin", "90s")
    targets = {dig(rule, "targetLabel"): dig(rule, "sourceLabels") for rule in objects_at(endpoint, "relabelings")}
    assert targets["realtime_cluster"] == ["__meta_kubernetes_pod_label_realtime_dev_cluster"]


def test_a_monitoring_stack_finds_it_by_its_labels() -> None:
    """They are added to those of every child."""
    monitor = build_pod_monitor(cluster_of({"monitoring": {"podMonitor": {"labels": {"release": "prometheus"}}}}))
    assert dig(monitor, "metadata", "labels", "release") == "prometheus"
    assert dig(monitor, "metadata", "labels", "realtime.dev/cluster") == dig(monitor, "metadata", "name")


def test_redis_is_scraped_where_it_has_an_exporter() -> None:
    """Its series have the name of the cluster, and that of the pod."""
    spec: JsonObject = {"monitoring": {}, "backplane": {"redis": {"managed": {"exporter": {}}}}}
    monitor = build_redis_pod_monitor(cluster_of(spec))
    assert monitor is not None
    (endpoint,) = objects_at(monitor, "spec", "podMetricsEndpoints")
    assert endpoint["port"] == "metrics"
    assert dig(monitor, "spec", "selector", "matchLabels", "app.kubernetes.io/component") == "redis"
    targets = [dig(rule, "targetLabel") for rule in objects_at(endpoint, "relabelings")]
    assert targets == ["realtime_cluster", "instance"]
    assert build_redis_pod_monitor(cluster_of({"monitoring": {}})) is None
