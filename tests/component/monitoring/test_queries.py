"""Tests of the dashboard's queries with a Prometheus that scrapes a running cluster and its operator."""

from __future__ import annotations

import time

import pytest

from realtime_operator.monitoring import Scope
from realtime_operator.monitoring.panels import rows
from tests.kit.deadline import eventually
from tests.kit.monitoring.answers import Span, empty_queries
from tests.kit.monitoring.busy_cluster import busy_cluster, update
from tests.kit.monitoring.prometheus import PrometheusProcess
from tests.kit.monitoring.targets import Targets

NAME = "shown"
CLIENTS = 40
ANSWERED_SECONDS = 90
RATE_SECONDS = 15


@pytest.mark.timeout(240)
async def test_every_query_returns_data() -> None:
    """In the dashboard that the resource makes, restricted to its cluster."""
    targets = Targets()
    panels = [panel for row in rows(Scope.of_cluster("local", NAME)) for panel in row.panels]
    async with targets.serving(), busy_cluster(targets, NAME, CLIENTS, every=0.5) as cluster:
        async with PrometheusProcess(targets.configuration(1)) as prometheus:
            start = time.time()
            await update(cluster)

            async def empty() -> list[str]:
                return await empty_queries(prometheus, panels, Span(start, time.time(), 1, RATE_SECONDS))

            await eventually(empty, lambda found: not found, what="data", within=ANSWERED_SECONDS, every=2)
        await cluster.wait_ready(within=60)
