"""Totals of workers, which are compared between two moments."""

from __future__ import annotations

from realtime_server import codes
from realtime_server.core.metrics.counters import Counters, LatencyHistogram
from realtime_server.core.metrics.totals import Durations, Totals

BOUNDS = (0.1, 1.0)


def counted(since: float = 5.0) -> Counters:
    """Return counters with one event of each kind."""
    counters = Counters(clock=lambda: 10.0)
    counters.since = since
    counters.count_connect(opened_at=9.5)
    counters.count_failed_connect(codes.INTERNAL.code)
    counters.command_errors[codes.PERMISSION_DENIED.code] += 2
    counters.command_errors[1234] += 1
    counters.disconnects[4000] += 3
    counters.messages_received = 7
    counters.recoveries[True] += 4
    counters.recoveries[False] += 1
    return counters


def test_a_worker_copies_its_counters() -> None:
    """Codes of the backend, which are arbitrary, are counted as one."""
    delivery = LatencyHistogram(BOUNDS)
    delivery.observe(0.5)
    totals = Totals.of(counted(), delivery)
    assert (totals.since, totals.connects, totals.messages) == (5.0, 1, 7)
    assert totals.connects_failed == {"100": 1}
    assert totals.commands_failed == {"103": 2, "other": 1}
    assert totals.disconnects == {"other": 3}
    assert (totals.recoveries, totals.recoveries_failed) == (4, 1)
    assert totals.delivery_seconds == Durations(BOUNDS, (0, 1, 0))
    assert sum(totals.connect_seconds.counts) == 1
    delivery.observe(0.5)
    assert totals.delivery_seconds.counts == (0, 1, 0), "a copy"


def test_a_server_adds_up_its_workers() -> None:
    """Counts are summed, and the youngest worker says since when."""
    first, second = (Totals.of(counted(since), LatencyHistogram(BOUNDS)) for since in (5.0, 8.0))
    both = Totals.combine([first, second])
    assert (both.since, both.connects, both.messages, both.recoveries_failed) == (8.0, 2, 14, 2)
    assert both.connects_failed == {"100": 2}
    assert sum(both.connect_seconds.counts) == 2
    assert Totals.combine([]) == Totals()
    assert Durations.combine([Durations(), Durations(BOUNDS, (1, 0, 0))]) == Durations(BOUNDS, (1, 0, 0))
