"""Durations of the last seconds: percentiles, and the window."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from realtime_server.core.metrics.recent_durations import MOST_PER_SECOND, SECONDS, RecentDurations


def test_without_durations_there_is_no_percentile() -> None:
    assert RecentDurations().percentile(0.99, 5) is None


def test_a_second_keeps_its_first_durations() -> None:
    """What is kept is bounded, whatever the rate of connects."""
    durations = RecentDurations()
    for number in range(2 * MOST_PER_SECOND):
        durations.observe(float(number), 5)
    assert durations.percentile(1, 5) == MOST_PER_SECOND - 1


@given(st.lists(st.floats(0, 10), min_size=1, max_size=300), st.floats(0.01, 1))
def test_a_percentile_is_the_duration_that_so_many_do_not_exceed(found: list[float], part: float) -> None:
    """At least this part of the durations is not above it, and fewer are below it."""
    durations = RecentDurations()
    for seconds in found:
        durations.observe(seconds, 100)
    percentile = durations.percentile(part, 100)
    assert percentile in found
    assert percentile is not None
    assert sum(seconds <= percentile for seconds in found) >= part * len(found)
    assert sum(seconds < percentile for seconds in found) < part * len(found)


@given(st.lists(st.floats(0, 100), min_size=1, max_size=60).map(sorted), st.floats(0, 30))
def test_the_window_ends_after_its_seconds(times: list[float], later: float) -> None:
    """The window is the current second and those before it."""
    durations = RecentDurations()
    for number, at in enumerate(times):
        durations.observe(float(number), at)
    now = times[-1] + later
    kept = [number for number, at in enumerate(times) if int(now) - int(at) < SECONDS]
    assert durations.percentile(1, now) == (max(kept) if kept else None)
