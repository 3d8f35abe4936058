"""Metrics of a worker's tracing."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, generate_latest

from realtime_server.tracing.exporter import ExportUsage
from realtime_server.tracing.sampler import BoundedSampler
from realtime_server.tracing.tracing_metrics import TracingCollector


def test_every_span_has_an_outcome() -> None:
    registry = CollectorRegistry()
    sampler = BoundedSampler(1)
    sampler.refused = 4
    registry.register(TracingCollector(ExportUsage(overflowed=1, failed=2, exported=3), sampler, 1))
    lines = generate_latest(registry).decode().splitlines()
    for outcome, count in (("dropped", 1), ("failed", 2), ("exported", 3)):
        assert f'realtime_server_tracing_spans_total{{outcome="{outcome}",worker="1"}} {count}.0' in lines
    assert 'realtime_server_tracing_traces_limited_total{worker="1"} 4.0' in lines
