"""Histogram of durations."""

from __future__ import annotations

from realtime_server.core.metrics.counters import LatencyHistogram


def test_buckets_are_cumulative_and_end_with_infinity() -> None:
    """An upper bound belongs to its bucket."""
    histogram = LatencyHistogram((0.1, 1.0))
    for seconds in (0.05, 0.1, 0.5, 7.0):
        histogram.observe(seconds)
    assert histogram.cumulative() == [("0.1", 2.0), ("1.0", 3.0), ("+Inf", 4.0)]
    assert round(histogram.total, 2) == 7.65
