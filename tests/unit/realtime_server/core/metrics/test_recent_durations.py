"""Durations of the last seconds: percentiles, and the window."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from realtime_server.core.metrics.recent_durations import BOUNDS, SECONDS, RecentDurations


def test_without_durations_there_is_no_percentile() -> None:
    assert RecentDurations().percentile(0.99, 5) is None


def test_what_is_longer_than_the_last_bound_counts_as_it() -> None:
    durations = RecentDurations()
    durations.observe(60, 5)
    assert durations.percentile(0.99, 5) == BOUNDS[-1]


@given(st.lists(st.floats(0, 10), min_size=1, max_size=300), st.floats(0.01, 1))
def test_a_percentile_is_the_bound_above_it(found: list[float], part: float) -> None:
    """At least this part of the durations is not above the bound, and less is not above the bound before."""
    durations = RecentDurations()
    for seconds in found:
        durations.observe(seconds, 100)
    bound = durations.percentile(part, 100)
    assert bound is not None
    below = BOUNDS[BOUNDS.index(bound) - 1] if bound != BOUNDS[0] else -1.0
    assert sum(seconds <= bound for seconds in found) >= part * len(found)
    assert sum(seconds <= below for seconds in found) < part * len(found)


@given(st.floats(0, 100), st.floats(0, 30))
def test_the_window_ends_after_its_seconds(at: float, later: float) -> None:
    """The window is the current second and those before it."""
    durations = RecentDurations()
    durations.observe(0.001, at)
    is_kept = int(at + later) - int(at) < SECONDS
    assert durations.percentile(1, at + later) == (BOUNDS[0] if is_kept else None)
