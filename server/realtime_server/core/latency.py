"""How long something took, counted in buckets: plain integers, read by the metrics when they are asked for."""

from __future__ import annotations

import bisect


class LatencyHistogram:
    """Counts durations in seconds; `bounds` are the upper bounds of its buckets, in increasing order."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        """Durations per bucket, not cumulative; the last one has no bound."""
        self.total = 0.0

    def observe(self, seconds: float) -> None:
        """Count one."""
        self.counts[bisect.bisect_left(self.bounds, seconds)] += 1
        self.total += seconds

    def cumulative(self) -> list[tuple[str, float]]:
        """Buckets as Prometheus has them: bound, durations up to it."""
        buckets, sofar = [], 0
        for bound, count in zip((*map(str, self.bounds), "+Inf"), self.counts, strict=True):
            sofar += count
            buckets.append((bound, float(sofar)))
        return buckets
