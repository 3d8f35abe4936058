"""Maintenance windows: whether one is open, and when the next one opens. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from realtime_operator.api import schedule
from realtime_operator.api.base import JsonObject
from realtime_operator.api.v1alpha1_maintenance import MaintenanceWindow
from realtime_operator.planning.model.timestamps import timestamp


@dataclass(frozen=True, slots=True)
class Opening:
    """Time (UTC) at which a window opens next, and the time zone of its schedule."""

    at: datetime
    time_zone: str

    def __str__(self) -> str:
        """Return the time as the schedule means it, like `Sun 02:00 Europe/Berlin`, with the date in UTC."""
        return f"{self.local} ({timestamp(self.at)})"

    @property
    def local(self) -> str:
        """The day of the week and the time in the time zone, which is named."""
        return f"{self.at.astimezone(ZoneInfo(self.time_zone)):%a %H:%M} {self.time_zone}"


def is_open(windows: Sequence[MaintenanceWindow], now: datetime) -> bool:
    """Return True while one of the windows is open, or when there are none."""
    return not windows or any(_is_open(window, now) for window in windows)


def _is_open(window: MaintenanceWindow, now: datetime) -> bool:
    """Return True from an opening on, until the duration has passed."""
    begin = now - timedelta(seconds=window.duration_seconds)
    opening = schedule.next_opening(window.schedule, window.time_zone, begin)
    return opening is not None and opening <= now


def next_opening(windows: Sequence[MaintenanceWindow], now: datetime) -> Opening | None:
    """Return the next time at which one of the windows opens; None when there are none."""
    found = ((schedule.next_opening(w.schedule, w.time_zone, now), w.time_zone) for w in windows)
    return min((Opening(at, zone) for at, zone in found if at is not None), key=lambda one: one.at, default=None)


def describe(windows: Sequence[MaintenanceWindow], now: datetime) -> JsonObject | None:
    """Return the part of the status about the windows; None when there are none."""
    if not windows:
        return None
    if is_open(windows, now):
        return {"state": "Open"}
    opening = next_opening(windows, now)
    return {"state": "Closed", **({} if opening is None else {"nextWindow": timestamp(opening.at)})}
