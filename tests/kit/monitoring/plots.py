"""Plots of the dashboard's panels for the documentation: `python -m tests.kit.monitoring.plots FOLDER`.

They show a local cluster of two servers, which is busy and is then updated, as a real Prometheus has seen it.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

from bench.chart import Line, lines

from realtime_operator.monitoring import Scope
from realtime_operator.monitoring.panels import Panel, rows
from tests.kit.monitoring.answers import Span, answers, legend_of
from tests.kit.monitoring.busy_cluster import busy_cluster, update_later
from tests.kit.monitoring.prometheus import PrometheusProcess
from tests.kit.monitoring.targets import Targets

SHOWN = ("connections", "connects", "delivery", "recoveries", "cpu", "redis-memory", "moves", "reconciles")
"""Panels in the guide; the others are in the dashboard all the same."""
NAME, CLIENTS = "chat", 300
SECONDS, UPDATE_SECONDS = 240, 80
STEP_SECONDS, RATE_SECONDS = 5, 20
UNITS = {"short": ("number", 1), "reqps": ("per second", 1), "s": ("seconds", 1), "bytes": ("MiB", 1 << 20)}
"""Axis of each of Grafana's units, and what a value is divided by."""


async def plots() -> dict[str, str]:
    """Run the cluster, and return the SVG of each panel in SHOWN."""
    targets = Targets()
    panels = {panel.name: panel for row in rows(Scope.of_cluster("local", NAME)) for panel in row.panels}
    async with (
        targets.serving(),
        busy_cluster(targets, NAME, CLIENTS) as cluster,
        PrometheusProcess(targets.configuration(STEP_SECONDS)) as prometheus,
    ):
        await asyncio.sleep(RATE_SECONDS)
        start = time.time()
        updating = asyncio.create_task(update_later(cluster, UPDATE_SECONDS), name="update")
        await asyncio.sleep(SECONDS)
        await updating
        span = Span(start, start + SECONDS, STEP_SECONDS, RATE_SECONDS)
        return {name: await plot(prometheus, panels[name], span) for name in SHOWN}


async def plot(prometheus: PrometheusProcess, panel: Panel, span: Span) -> str:
    """Return the SVG of a panel."""
    axis, divisor = UNITS[panel.unit]
    drawn = [
        Line(legend_of(query, series), [(at - span.start, value / divisor) for at, value in series.samples])
        for query in panel.queries
        for series in await answers(prometheus, query, span)
    ]
    assert drawn, f"{panel.name}: no data"
    return lines(panel.title, "time in seconds", axis, drawn, from_zero=True)


if __name__ == "__main__":
    place = Path(sys.argv[1])
    place.mkdir(parents=True, exist_ok=True)
    for drawn_name, drawing in asyncio.run(plots()).items():
        (place / f"{drawn_name}.svg").write_text(drawing)
