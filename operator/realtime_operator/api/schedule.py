"""Schedules of maintenance windows: five fields as in crontab(5), in a time zone. Pure.

Daylight saving is treated as by Debian's cron: a time that is skipped counts right after the gap, and a time that is
repeated counts once, the first time. Schedules with a `*` at the begin of hour or minute follow elapsed time instead;
where clocks change by half an hour (Lord Howe Island), one of their times may be left out on that day.
"""

from __future__ import annotations

import functools
from datetime import UTC, datetime
from importlib import resources
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

PATTERN = "^[-0-9A-Za-z*,/#]+( [-0-9A-Za-z*,/#]+){4}$"
"""Form of schedules for CEL and Python; what it lets through is examined by `problem`."""
ZONE_PATTERN = "^[A-Za-z][-+_A-Za-z0-9]*(/[-+_A-Za-z0-9]+){0,2}$"
"""Form of names of time zones."""
FORM = "five fields like 0 2 * * SUN: minute, hour, day of the month, month, day of the week"


def next_opening(schedule: str, time_zone: str, after: datetime) -> datetime | None:
    """Return the first time (UTC) of a valid schedule that is later than `after`; None when there is none."""
    for found in CronSim(schedule, after.astimezone(ZoneInfo(time_zone))):
        opening = found.astimezone(UTC)
        # In a repeated hour the schedule begins anew: what it returns may have been in the first of the two.
        if opening > after:
            return opening
    return None


@functools.lru_cache(maxsize=1024)
def problem(schedule: str) -> str | None:
    """Return why a schedule is not valid, in a sentence that tells what would be; None when it is valid."""
    try:
        first = next(CronSim(schedule, datetime(2000, 1, 1, tzinfo=UTC)), None)
    except CronSimError as error:
        return f"{schedule!r} is not a schedule ({str(error).lower()}): write {FORM}"
    return None if first is not None else f"{schedule!r} never occurs: no month has such a day"


@functools.cache
def time_zones() -> frozenset[str]:
    """Return the names of all time zones."""
    return frozenset(resources.files("tzdata").joinpath("zones").read_text().split())
