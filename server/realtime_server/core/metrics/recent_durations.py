"""Durations of the last seconds; pure. Times are monotonic seconds."""

from __future__ import annotations

import math
from collections import deque

SECONDS = 10
"""Seconds that are kept: enough for a percentile, and soon over after a change of the load."""
MOST_PER_SECOND = 1000
"""Number of durations of one second that are kept, the first ones."""


class RecentDurations:
    """The durations of each of the last seconds. Recording appends to a list, and needs no periodic work."""

    __slots__ = ("_current", "_kept", "_second")

    def __init__(self) -> None:
        self._second = -1
        self._current: list[float] = []
        self._kept: deque[tuple[int, list[float]]] = deque(maxlen=SECONDS)

    def observe(self, seconds: float, now: float) -> None:
        """Record a duration that ended at `now`."""
        if int(now) != self._second:
            self._second, self._current = int(now), []
            self._kept.append((self._second, self._current))
        if len(self._current) < MOST_PER_SECOND:
            self._current.append(seconds)

    def percentile(self, part: float, now: float) -> float | None:
        """Return the duration that `part` (above 0, up to 1) of the durations do not exceed; None without any."""
        oldest = int(now) - SECONDS
        found = sorted(duration for second, durations in self._kept if second > oldest for duration in durations)
        return found[math.ceil(part * len(found)) - 1] if found else None
