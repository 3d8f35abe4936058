"""Tests of maintenance windows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_operator.api.v1alpha1_maintenance import MaintenanceWindow
from realtime_operator.planning.scheduling import maintenance

SUNDAY = MaintenanceWindow(schedule="0 2 * * SUN", time_zone="Europe/Berlin", duration="4h")
NIGHTLY = MaintenanceWindow(schedule="30 23 * * *", duration="1h30m")
NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        ("2026-11-29T00:59:59+00:00", False),
        ("2026-11-29T01:00:00+00:00", True),
        ("2026-11-29T04:59:59+00:00", True),
        ("2026-11-29T05:00:00+00:00", False),
    ],
)
def test_a_window_is_open_from_its_time_on_for_its_duration(at: str, expected: bool) -> None:
    """02:00 in Berlin is 01:00 in UTC in winter."""
    assert maintenance.is_open((SUNDAY,), datetime.fromisoformat(at)) is expected


def test_without_windows_it_is_always_open() -> None:
    """Nothing is to be waited for, and nothing is in the status."""
    assert maintenance.is_open((), NOON)
    assert maintenance.next_opening((), NOON) is None
    assert maintenance.describe((), NOON) is None


def test_the_status_has_the_next_window_while_none_is_open() -> None:
    """It is the earliest of all, and stays the same until then: the status is not written for nothing."""
    closed = {"state": "Closed", "nextWindow": "2026-11-25T23:30:00Z"}
    assert maintenance.describe((SUNDAY, NIGHTLY), NOON) == closed
    assert maintenance.describe((SUNDAY, NIGHTLY), NOON + timedelta(hours=11)) == closed
    assert maintenance.describe((SUNDAY, NIGHTLY), NOON + timedelta(hours=12)) == {"state": "Open"}


def test_an_opening_is_told_in_its_time_zone() -> None:
    """As the person has written it, and in UTC."""
    opening = maintenance.next_opening((SUNDAY,), NOON)
    assert str(opening) == "Sun 02:00 Europe/Berlin (2026-11-29T01:00:00Z)"


@given(st.integers(0, 14 * 24 * 60), st.lists(st.sampled_from((SUNDAY, NIGHTLY)), min_size=1, max_size=2))
def test_it_is_open_at_the_next_opening_and_closed_before(minutes: int, windows: list[MaintenanceWindow]) -> None:
    """The two questions agree: between a closed moment and the next opening there is no other."""
    now = NOON + timedelta(minutes=minutes)
    opening = maintenance.next_opening(windows, now)
    assert opening is not None
    assert maintenance.is_open(windows, opening.at)
    if not maintenance.is_open(windows, now):
        assert not maintenance.is_open(windows, opening.at - timedelta(seconds=1))
