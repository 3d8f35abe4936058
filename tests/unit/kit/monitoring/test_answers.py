"""Tests of the names of lines."""

from __future__ import annotations

from realtime_operator.monitoring.panels import Query
from tests.kit.monitoring.answers import legend_of
from tests.kit.monitoring.prometheus import Series


def test_a_line_is_named_as_in_grafana() -> None:
    """Names of labels in two braces are replaced; a label that a series lacks is empty."""
    line = Series({"code": "3500"}, [])
    assert legend_of(Query("failed: {{code}}{{none}}", "up"), line) == "failed: 3500"
