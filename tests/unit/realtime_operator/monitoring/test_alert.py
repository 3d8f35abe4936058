"""Tests of alerts as text."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from realtime_operator.monitoring import ALL, Alert, Scope, cluster_alerts, operator_alerts, rule_group

ALERTS = (*cluster_alerts(ALL), *operator_alerts())
RUNBOOKS = Path(__file__).parents[4] / "docs" / "runbooks"
NOT_ABOUT_AN_ALERT = {
    "README.md",
    "eviction-held.md",
    "gate-failed.md",
    "moving-connections.md",
    "pause-the-operator.md",
    "rotate-credentials.md",
}
MATCHERS = 'namespace="team",realtime_cluster="chat"'


def metrics_in(expression: str) -> list[str]:
    """Return the names of the metrics in a query, with what follows each."""
    return re.findall(r"realtime_(?:server|operator)_\w+", expression)


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_each_alert_has_a_runbook_that_names_it(alert: Alert) -> None:
    """Whoever is called has a page that begins with the alert."""
    page = RUNBOOKS / f"{alert.runbook}.md"
    assert f"**Alert:** `{alert.name}`" in page.read_text()
    assert alert.rule()["annotations"]["runbook_url"].endswith(f"/docs/runbooks/{page.name}")  # type: ignore[index,call-overload,union-attr] # JSON
    assert f"| `{alert.name}` | [" in (RUNBOOKS / "README.md").read_text()


def test_each_runbook_is_about_an_alert() -> None:
    """A page that no alert leads to is found by nobody."""
    pages = {page.name for page in RUNBOOKS.glob("*.md")}
    assert pages - NOT_ABOUT_AN_ALERT == {f"{alert.runbook}.md" for alert in ALERTS}


def test_names_are_unique() -> None:
    """Prometheus tells alerts apart by their names and labels."""
    assert [name for name, count in Counter(alert.name for alert in ALERTS).items() if count > 1] == []


@pytest.mark.parametrize("alert", cluster_alerts(Scope.of_cluster("team", "chat")), ids=lambda alert: alert.name)
def test_each_selector_of_a_cluster_is_restricted_to_it(alert: Alert) -> None:
    """The rules of one cluster do not fire for another one."""
    assert alert.expression.count(MATCHERS) == len(metrics_in(alert.expression)) > 0


@pytest.mark.parametrize("alert", cluster_alerts(ALL), ids=lambda alert: alert.name)
def test_each_alert_about_clusters_names_the_cluster(alert: Alert) -> None:
    """Its series have the labels that the summary shows."""
    assert "$labels.realtime_cluster" in alert.summary
    assert "by (namespace, realtime_cluster" in alert.expression


def test_a_group_has_the_rules_in_order() -> None:
    """As Prometheus reads them."""
    group = rule_group("name", ALERTS[:2])
    assert group["name"] == "name"
    assert [rule["alert"] for rule in group["rules"]] == [alert.name for alert in ALERTS[:2]]  # type: ignore[index,call-overload,union-attr] # JSON
