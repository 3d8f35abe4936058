"""What the dashboard's queries return."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from realtime_operator.monitoring.panels import RATE, Panel, Query
from tests.kit.monitoring.prometheus import PrometheusProcess, Series


@dataclass(frozen=True, slots=True)
class Span:
    """Time of a query, as Unix times, with the step and the range of rates in seconds."""

    start: float
    end: float
    step: float
    rate_seconds: int


async def answers(prometheus: PrometheusProcess, query: Query, span: Span) -> list[Series]:
    """Return the series with a number in them that Grafana would draw."""
    expression = query.expression.replace(RATE, f"[{span.rate_seconds}s]")
    found = await prometheus.query_range(expression, span.start, span.end, span.step)
    numbers = [Series(one.labels, [(at, v) for at, v in one.samples if not math.isnan(v)]) for one in found]
    return [one for one in numbers if one.samples]


async def empty_queries(prometheus: PrometheusProcess, panels: list[Panel], span: Span) -> list[str]:
    """Return the queries without an answer, with the names of their panels."""
    return [
        f"{panel.name}: {query.expression}"
        for panel in panels
        for query in panel.queries
        if not await answers(prometheus, query, span)
    ]


def legend_of(query: Query, series: Series) -> str:
    """Return the name of a line as Grafana writes it."""
    return re.sub(r"{{(\w+)}}", lambda found: series.labels.get(found[1], ""), query.legend)
