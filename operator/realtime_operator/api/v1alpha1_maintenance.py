"""Models of the part of the spec that says when the operator may begin what is not urgent."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import Field

from realtime_operator.api import duration, schedule
from realtime_operator.api.base import Check, Model
from realtime_operator.api.fields import Duration
from realtime_operator.api.lists import ATOMIC

Schedule = Annotated[
    str,
    Field(max_length=128),
    Check(
        f"self.matches('{schedule.PATTERN}')",
        f"must be {schedule.FORM}",
        lambda text: re.fullmatch(schedule.PATTERN, text) is not None,
    ),
]
TimeZone = Annotated[
    str,
    Field(max_length=64),
    Check(
        f"self.matches('{schedule.ZONE_PATTERN}')",
        "must be the name of a time zone like Europe/Berlin or Etc/UTC",
        lambda text: re.fullmatch(schedule.ZONE_PATTERN, text) is not None,
    ),
]


class MaintenanceWindow(Model):
    """Maintenance window: it opens at each time of a schedule, for a duration."""

    schedule: Schedule
    """Times at which the window opens: five fields as in a CronJob and crontab(5), like `0 2 * * SUN`. A time that is
    skipped by daylight saving counts right after the gap, one that is repeated counts once."""
    time_zone: TimeZone = "Etc/UTC"
    """Time zone of the schedule, by its name in the IANA database."""
    duration: Duration
    """Time for which the window stays open."""

    @property
    def duration_seconds(self) -> int:
        """`duration` in seconds."""
        return duration.seconds(self.duration)


class Maintenance(Model):
    """Settings of maintenance."""

    windows: Annotated[tuple[MaintenanceWindow, ...], Field(max_length=16), ATOMIC] = ()
    """Times at which the operator may begin rollouts of its own, which nobody asked for: those of
    `rollout.operatorDefaults: Follow`. One that has begun goes on after the window. At any time when empty. All else
    never waits: changes of the spec, repairs, evictions, autoscaling, renewed certificates."""
