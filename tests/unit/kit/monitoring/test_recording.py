"""Tests of the notation of recorded series."""

from __future__ import annotations

import math

import pytest

from tests.kit.monitoring.prometheus import Series
from tests.kit.monitoring.recording import Recording, name_of, values_of

START = 1_700_000_000.0


def series(*values: float | None, name: str = "m") -> Series:
    """Return a series with a sample every 15 s, except where there is None."""
    samples = [(START + 15 * index + 0.2, value) for index, value in enumerate(values) if value is not None]
    return Series({"__name__": name, "job": "realtime", "b": "2", "a": "1"}, samples)


@pytest.mark.parametrize(("values", "expected"), [
    ((1, 2, 3), "1 2 3"),
    ((7, 7, 7, 8), "7x2 8"),  # promtool reads 7x2 as 7, and 7 twice more
    ((None, None, 1), "_x2 1"),
    ((1, None, None, None, 2), "1 stale _x2 2"),
    ((math.nan, math.nan, math.nan), "NaN NaN NaN"),
    ((0.5, 1e9), "0.5 1e+09"),
])  # fmt: skip
def test_values_are_in_the_notation_of_promtool(values: tuple[float | None, ...], expected: str) -> None:
    """A series that ends is stale, as Prometheus marks it; one that never began has no mark."""
    assert values_of(series(*values), START, len(values)) == expected


@pytest.mark.parametrize(("values", "expected"), [
    ("1 2", "1x2 2x2"),
    ("7x2 8", "7x8 8x2"),
    ("_x2 1 stale _ 2", "_x6 1x2 stale _x5 2x2"),
    ("NaN", "NaN NaN NaN"),
    ("1e+09 0.5", "1e+09x2 0.5x2"),
])  # fmt: skip
def test_a_slower_world_has_each_sample_three_times(values: str, expected: str) -> None:
    """The mark of an end stays one."""
    assert Recording({"m": values}, "2026-11-28").slowed(3).series == {"m": expected}


def test_points_in_time_are_relative_to_the_start() -> None:
    """The time of promtool's tests begins at 0."""
    one = series(START - 30, START + 12.5, name="realtime_operator_last_reconcile_timestamp_seconds")
    assert values_of(one, START, 2) == "-30 12.5"


def test_labels_of_the_scrape_are_left_out() -> None:
    """They are Prometheus's own."""
    assert name_of(series(1)) == 'm{a="1", b="2"}'
