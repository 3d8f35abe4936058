"""Pace of moving connections."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_server.core.limits.rates import IN_TIME, MAX_PAUSE_SECONDS, Pace, rate_in_time

STEPS = st.lists(st.tuples(st.floats(0, 3), st.integers(0, 500)), min_size=1, max_size=60)


@given(rate=st.floats(0.5, 1000), steps=STEPS)
def test_never_faster_than_the_rate(rate: float, steps: list[tuple[float, int]]) -> None:
    """Over any sequence of ticks the rate is not exceeded, and a busy event loop is not made up for long."""
    pace, now, moved = Pace(rate, 0.0), 0.0, 0
    for pause, available in steps:
        now += pause
        due = pace.due(now, available)
        assert 0 <= due <= available
        moved += due
    assert moved <= rate * now + 1
    assert moved <= sum(max(1, rate * min(pause, MAX_PAUSE_SECONDS)) for pause, _ in steps) + 1


@given(rate=st.floats(0.5, 300), pauses=st.lists(st.floats(0, 2), min_size=1, max_size=60))
def test_no_second_has_more_moves_than_the_rate(rate: float, pauses: list[float]) -> None:
    """After a pause of the event loop the moves that are due do not all come at once."""
    pace, now = Pace(rate, 0.0), 0.0
    moves: list[tuple[float, int]] = []
    for pause in pauses:
        now += pause
        moves.append((now, pace.due(now, 10_000)))
    for begin, _ in moves:
        assert sum(count for at, count in moves if begin <= at < begin + 1.0) <= math.ceil(rate)


@given(rate=st.floats(0.5, 200))
def test_no_slower_than_the_rate(rate: float) -> None:
    """With regular ticks rounding loses nothing."""
    pace = Pace(rate, 0.0)
    moved = sum(pace.due(tick * 0.05, 10_000) for tick in range(1, 401))
    assert moved >= int(rate * 20) - 1


def test_what_nobody_could_use_is_not_saved_up() -> None:
    """A server that was empty for a minute does not close the next sixty connections at once."""
    pace = Pace(10, 0.0)
    for second in range(1, 60):
        assert pace.due(second, 0) == 0
    assert pace.due(60, 100) <= 11


def test_a_limited_number_ends() -> None:
    pace = Pace(100, 0.0, left=5)
    assert (pace.due(0.03, 50), pace.finished) == (3, False)
    assert (pace.due(1.0, 50), pace.finished) == (2, True)


@pytest.mark.parametrize(
    ("connections", "seconds", "expected"),
    [(0, 600, 50), (10_000, 600, 50), (50_000, 600, 50_000 / (600 * IN_TIME)), (10, 0.5, 50), (100, 1, 100)],
)
def test_the_given_rate_or_what_it_takes(connections: int, seconds: float, expected: float) -> None:
    """The rate is at least 50 here, and the drain is over within nine tenths of the time."""
    assert rate_in_time(connections, 50, seconds) == expected
