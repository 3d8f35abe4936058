"""Tests of the scrape configuration; tests/e2e/test_monitoring.py finds the pods of a real cluster by it."""

from __future__ import annotations

import pytest

from realtime_operator.monitoring.scraping import meta_label, scrape_configs
from tests.kit.document import objects_at


@pytest.mark.parametrize(("source", "expected"), [
    ("pod_label_realtime.dev/cluster", "__meta_kubernetes_pod_label_realtime_dev_cluster"),
    ("pod_label_app.kubernetes.io/name", "__meta_kubernetes_pod_label_app_kubernetes_io_name"),
    ("pod_name", "__meta_kubernetes_pod_name"),
])  # fmt: skip
def test_labels_are_named_as_service_discovery_does(source: str, expected: str) -> None:
    """Prometheus replaces every character that a label of its own cannot have."""
    assert meta_label(source) == expected


def test_only_the_operator_keeps_its_own_labels() -> None:
    """Its series name a cluster and its namespace; those of servers get both from their pod."""
    servers, redis, operator = scrape_configs()
    assert redis.get("honor_labels") is None
    assert (servers.get("honor_labels"), operator.get("honor_labels")) == (None, True)
    added = {rule["target_label"] for rule in objects_at(servers, "relabel_configs") if "target_label" in rule}
    assert added == {"namespace", "realtime_cluster", "realtime_revision", "instance"}
