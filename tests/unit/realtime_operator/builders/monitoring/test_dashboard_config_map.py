"""Tests of the ConfigMap with the dashboard."""

from __future__ import annotations

import json

from realtime_operator.api.base import JsonObject
from realtime_operator.builders.monitoring.dashboard_config_map import build_dashboard_config_map
from tests.kit.document import dig, object_at
from tests.kit.manifests import cluster_of

GRAFANA_UID = 40
"""Maximum length of a dashboard's uid in Grafana."""


def dashboard_of(manifest: JsonObject) -> tuple[str, JsonObject]:
    """Return file name and document."""
    ((name, text),) = object_at(manifest, "data").items()
    document: JsonObject = json.loads(str(text))
    return name, document


def test_grafana_finds_it() -> None:
    """By the label that the sidecar of its chart looks for."""
    manifest = build_dashboard_config_map(cluster_of({"monitoring": {"dashboard": {"labels": {"team": "chat"}}}}))
    assert dig(manifest, "metadata", "labels", "grafana_dashboard") == "1"
    assert dig(manifest, "metadata", "labels", "team") == "chat"


def test_two_clusters_have_two_dashboards() -> None:
    """Grafana knows a dashboard by its uid, and the sidecar a file by its name."""
    one = dashboard_of(build_dashboard_config_map(cluster_of({"monitoring": {}}, name="one")))
    two = dashboard_of(build_dashboard_config_map(cluster_of({"monitoring": {}}, name="two")))
    assert one[0] != two[0]
    assert one[1]["uid"] != two[1]["uid"]
    assert len(str(one[1]["uid"])) <= GRAFANA_UID
