"""Tests of the dashboard's document."""

from __future__ import annotations

import json

from realtime_operator.api.base import JsonObject
from realtime_operator.api.document import objects_at, text_at
from realtime_operator.metrics import Metrics
from realtime_operator.monitoring import ALL, Scope, build_dashboard
from realtime_operator.monitoring.panels import rows
from tests.kit.document import whole_at
from tests.unit.docs.test_reference import REFERENCE
from tests.unit.realtime_operator.monitoring.test_alert import ALERTS, MATCHERS, metrics_in

GRAFANA_UID = 40


def expressions(dashboard: JsonObject) -> list[str]:
    """Return all queries."""
    targets = [target for panel in objects_at(dashboard, "panels") for target in objects_at(panel, "targets")]
    return [text_at(target, "expr") for target in targets]


def test_every_metric_exists() -> None:
    """Those of servers are in the reference, which a test compares with the code."""
    documented = (REFERENCE / "server-metrics.md").read_text()
    of_operator = {
        f"{family.name}_total" if family.type == "counter" else family.name for family in Metrics().registry.collect()
    }
    queries = [*expressions(build_dashboard("x", "x", ALL)), *(alert.expression for alert in ALERTS)]
    used = {name.removesuffix("_bucket") for query in queries for name in metrics_in(query)}
    unknown = [name for name in sorted(used) if f"`{name}" not in documented and name not in of_operator]
    assert unknown == []
    assert len(used) > 30


def test_panels_do_not_overlap() -> None:
    """They are side by side in rows of 24 columns, each with its own id."""
    panels = objects_at(build_dashboard("x", "x"), "panels")
    cells = [
        (x, y)
        for panel in panels
        for x in range(
            whole_at(panel, "gridPos", "x"), whole_at(panel, "gridPos", "x") + whole_at(panel, "gridPos", "w")
        )
        for y in range(
            whole_at(panel, "gridPos", "y"), whole_at(panel, "gridPos", "y") + whole_at(panel, "gridPos", "h")
        )
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24
    assert len({whole_at(panel, "id") for panel in panels}) == len(panels)


def test_the_dashboard_of_a_cluster_shows_that_one_only() -> None:
    """Except the reconciles of the operator, which are not counted by cluster."""
    of_cluster = build_dashboard("x", "x", Scope.of_cluster("team", "chat"))
    unrestricted = [query for query in expressions(of_cluster) if MATCHERS not in query]
    assert [metrics_in(query) for query in unrestricted] == [["realtime_operator_reconcile_total"]]
    assert "$cluster" not in json.dumps(of_cluster)


def test_the_dashboard_of_all_clusters_has_a_choice() -> None:
    """Its queries use the variables that it defines."""
    document = build_dashboard("realtime-operator", "Realtime")
    names = [text_at(variable, "name") for variable in objects_at(document, "templating", "list")]
    assert names == ["datasource", "namespace", "cluster"]
    assert 'namespace=~"$namespace",realtime_cluster=~"$cluster"' in expressions(document)[0]


def test_panels_have_names_for_files() -> None:
    """Each name is used once."""
    names = [panel.name for row in rows(ALL) for panel in row.panels]
    assert len(names) == len(set(names)) > 15
