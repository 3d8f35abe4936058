"""Durations of the last seconds, counted in histograms of one second each; pure. Times are monotonic seconds."""

from __future__ import annotations

import bisect
from itertools import accumulate

BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds in seconds; what is longer counts as the last."""
SECONDS = 10
"""Seconds that are kept: enough for a percentile, and soon over after a change of the load."""


class RecentDurations:
    """Ring of one histogram per second. Recording costs one increment, and needs no periodic work."""

    __slots__ = ("_counts", "_seconds")

    def __init__(self) -> None:
        self._counts = [[0] * len(BOUNDS) for _ in range(SECONDS)]
        self._seconds = [-1] * SECONDS

    def observe(self, seconds: float, now: float) -> None:
        """Record a duration that ended at `now`."""
        second = int(now)
        index = second % SECONDS
        if self._seconds[index] != second:
            self._seconds[index] = second
            self._counts[index] = [0] * len(BOUNDS)
        self._counts[index][min(bisect.bisect_left(BOUNDS, seconds), len(BOUNDS) - 1)] += 1

    def percentile(self, part: float, now: float) -> float | None:
        """Return the bound below which `part` (0 to 1) of the durations are; None when there are none."""
        oldest = int(now) - SECONDS
        kept = [counts for second, counts in zip(self._seconds, self._counts, strict=True) if second > oldest]
        sums = list(accumulate(map(sum, zip(*kept, strict=True))))
        if not sums or not sums[-1]:
            return None
        return BOUNDS[bisect.bisect_left(sums, part * sums[-1])]
