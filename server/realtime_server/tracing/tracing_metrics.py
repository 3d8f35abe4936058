"""Prometheus metrics of one worker's tracing, read from plain counters at each scrape."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from realtime_server.tracing.exporter import ExportUsage
from realtime_server.tracing.sampler import BoundedSampler

PREFIX = "realtime_server_tracing_"


class TracingCollector(Collector):
    """Collector of all metrics of a worker's tracing, with the label `worker`."""

    def __init__(self, usage: ExportUsage, sampler: BoundedSampler, worker: int) -> None:
        self._usage = usage
        self._sampler = sampler
        self._worker = str(worker)

    def collect(self) -> Iterator[Metric]:
        """Yield the current value of each metric."""
        spans = CounterMetricFamily(
            PREFIX + "spans",
            "Spans by outcome: exported, failed (the collector did not take them), dropped (too many waited).",
            labels=["worker", "outcome"],
        )
        usage = self._usage
        for outcome, count in (("exported", usage.exported), ("failed", usage.failed), ("dropped", usage.overflowed)):
            spans.add_metric([self._worker, outcome], count)
        limited = CounterMetricFamily(
            PREFIX + "traces_limited", "Traces that were not sampled because there were too many.", labels=["worker"]
        )
        limited.add_metric([self._worker], self._sampler.refused)
        yield from (spans, limited)
