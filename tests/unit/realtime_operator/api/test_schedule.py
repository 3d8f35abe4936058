"""Tests of schedules in time zones, against the times themselves."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_operator.api import schedule

ZONES = (
    "Etc/UTC", "Europe/Berlin", "America/New_York", "America/St_Johns", "Asia/Kolkata", "Australia/Lord_Howe",
    "Africa/Casablanca", "Antarctica/Troll", "America/Havana",
)  # fmt: skip
"""Zones with gaps of an hour, of half an hour, of two hours, at midnight, and none."""
MINUTE = timedelta(minutes=1)


def transitions(zone: str) -> list[datetime]:
    """Return the hours of 2026 (UTC) in which the offset of a zone changes."""
    hours = [datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=hour) for hour in range(365 * 24)]
    offsets = [hour.astimezone(ZoneInfo(zone)).utcoffset() for hour in hours]
    return [hours[i] for i in range(len(hours) - 1) if offsets[i] != offsets[i + 1]]


CHANGES = {zone: transitions(zone) for zone in ZONES}


@st.composite
def times(draw: st.DrawFn, zones: tuple[str, ...] = ZONES) -> tuple[str, datetime]:
    """A zone and a time in it, mostly close to a change of the offset."""
    zone = draw(st.sampled_from(zones))
    around = draw(st.sampled_from([*CHANGES[zone], datetime(2026, 7, 3, 12, tzinfo=UTC)]))
    return zone, around + timedelta(minutes=draw(st.integers(-36 * 60, 12 * 60)), seconds=draw(st.integers(0, 59)))


def real(local: datetime, zone: str) -> datetime:
    """Return the time (UTC) of a local time: the first of two, and the end of the gap for one that is skipped."""
    aware = local.replace(tzinfo=ZoneInfo(zone))
    while aware.astimezone(UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=None) != aware.replace(tzinfo=None):
        aware += MINUTE
    return aware.astimezone(UTC)


def daily(hours: set[int], minutes: set[int], after: datetime, zone: str) -> datetime:
    """Return the first time later than `after`, found by trying every local minute of three days."""
    start = after.astimezone(ZoneInfo(zone)).replace(tzinfo=None, hour=0, minute=0, second=0) - timedelta(days=1)
    tried = (start + timedelta(days=day, hours=hour, minutes=m) for day in range(4) for hour in hours for m in minutes)
    return min(found for local in tried if (found := real(local, zone)) > after)


@given(
    times(), st.sets(st.integers(0, 23), min_size=1, max_size=3), st.sets(st.integers(0, 59), min_size=1, max_size=3)
)
def test_a_time_of_day_is_found_through_gaps_and_repeats(
    when: tuple[str, datetime], hours: set[int], minutes: set[int]
) -> None:
    """A skipped time counts after the gap, and a repeated one once, also for who asks in the second of two hours."""
    zone, after = when
    text = f"{','.join(map(str, sorted(minutes)))} {','.join(map(str, sorted(hours)))} * * *"
    assert schedule.next_opening(text, zone, after) == daily(hours, minutes, after, zone)


def minutes_after(after: datetime) -> Iterator[datetime]:
    """Yield the full minutes after a time."""
    first = after.replace(second=0) + MINUTE
    return (first + index * MINUTE for index in range(3 * 24 * 60))


@given(times(tuple(zone for zone in ZONES if zone != "Australia/Lord_Howe")), st.integers(0, 59))
def test_every_hour_is_every_elapsed_hour(when: tuple[str, datetime], minute: int) -> None:
    """With a star for the hour, both of two equal hours count, and none is invented in a gap.

    Only where clocks change by half an hour, cronsim leaves out one of the times on that day.
    """
    zone, after = when
    expected = next(m for m in minutes_after(after) if m.astimezone(ZoneInfo(zone)).minute == minute)
    assert schedule.next_opening(f"{minute} * * * *", zone, after) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0 2 * * SUN", "2026-03-29T01:00:00+00:00"),  # 02:00 does not exist on that day: 03:00 in summer time
        ("30 2 25 10 *", "2026-10-25T00:30:00+00:00"),  # exists twice: the first
        ("0 4 1 * *", "2026-04-01T02:00:00+00:00"),
        ("0 4 * * MON#2", "2026-04-13T02:00:00+00:00"),
        ("0 0 29 2 *", "2028-02-28T23:00:00+00:00"),
    ],
)
def test_days_and_months(text: str, expected: str) -> None:
    """Names of days, the second Monday of a month, and a day that most years do not have."""
    found = schedule.next_opening(text, "Europe/Berlin", datetime(2026, 3, 25, tzinfo=UTC))
    assert found is not None
    assert found.isoformat() == expected


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("61 2 * * *", "bad minute"),
        ("0 24 * * *", "bad hour"),
        ("0 2 * * FUNDAY", "bad day-of-week"),
        ("0 2 * 13 *", "bad month"),
        ("*/0 2 * * *", "bad minute"),
        ("0 0 31 2 *", "bad day-of-month"),
        ("0 0 30 2 *", "day"),
    ],
)
def test_what_is_wrong_is_said(text: str, part: str) -> None:
    """The message names the field, or that the schedule never occurs."""
    assert part in str(schedule.problem(text))


def test_a_valid_schedule_has_no_problem() -> None:
    """Also with names, ranges, lists and steps."""
    assert schedule.problem("*/15 1-3,5 1,15 JAN-MAR MON") is None


def test_every_zone_can_be_used() -> None:
    """The list and the zones are of the same package."""
    assert {"Etc/UTC", "Europe/Berlin", *ZONES} <= schedule.time_zones()
    assert [zone for zone in schedule.time_zones() if not ZoneInfo(zone).key] == []
