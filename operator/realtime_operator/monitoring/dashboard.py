"""Dashboard as Grafana reads it (JSON model, schema version 39: Grafana 11 and later)."""

from __future__ import annotations

from collections.abc import Iterable

from realtime_operator.api.base import JsonObject, JsonValue
from realtime_operator.monitoring.panels import Panel, rows
from realtime_operator.monitoring.scope import Scope

SCHEMA_VERSION = 39
COLUMNS, HEIGHT = 24, 8
SOURCE: JsonObject = {"type": "prometheus", "uid": "${datasource}"}
VARIABLES = Scope(('namespace=~"$namespace"', 'realtime_cluster=~"$cluster"'))


def build_dashboard(uid: str, title: str, of: Scope | None = None) -> JsonObject:
    """Build the dashboard for a scope; None: for the clusters that are chosen in it. `uid`: at most 40 characters."""
    return {
        "uid": uid,
        "title": title,
        "tags": ["realtime-operator"],
        "schemaVersion": SCHEMA_VERSION,
        "editable": False,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "",
        "templating": {"list": [_source(), *(_choices() if of is None else ())]},
        "panels": [*_laid_out(VARIABLES if of is None else of)],
    }


def _source() -> JsonObject:
    return {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus", "current": {}}


def _choices() -> tuple[JsonObject, ...]:
    connections = "realtime_server_connections"
    return (
        _choice("namespace", "Namespace", f"label_values({connections}, namespace)"),
        _choice("cluster", "Cluster", f'label_values({connections}{{namespace=~"$namespace"}}, realtime_cluster)'),
    )


def _choice(name: str, label: str, query: str) -> JsonObject:
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": SOURCE,
        "query": {"query": query, "refId": name},
        "refresh": 2,
        "includeAll": True,
        "multi": True,
        "current": {"text": ["All"], "value": ["$__all"]},
    }


def _laid_out(of: Scope) -> Iterable[JsonObject]:
    """Yield the panels of each row under its heading, side by side."""
    number, y = 0, 0
    for row in rows(of):
        number += 1
        place: JsonObject = {"h": 1, "w": COLUMNS, "x": 0, "y": y}
        yield {"id": number, "type": "row", "title": row.title, "collapsed": False, "gridPos": place, "panels": []}
        width = COLUMNS // len(row.panels)
        for index, panel in enumerate(row.panels):
            number += 1
            yield _panel(panel, number, {"h": HEIGHT, "w": width, "x": index * width, "y": y + 1})
        y += 1 + HEIGHT


def _panel(panel: Panel, number: int, place: JsonObject) -> JsonObject:
    targets: list[JsonValue] = [
        {"refId": chr(ord("A") + index), "datasource": SOURCE, "expr": query.expression, "legendFormat": query.legend}
        for index, query in enumerate(panel.queries)
    ]
    return {
        "id": number,
        "type": "timeseries",
        "title": panel.title,
        "description": panel.description,
        "datasource": SOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
        "targets": targets,
    }
