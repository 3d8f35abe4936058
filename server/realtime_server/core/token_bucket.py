"""How much may be done at a rate: what was not used is saved up to a bound. Pure; times are monotonic seconds."""

from __future__ import annotations


class TokenBucket:
    """Fills at `rate` per second up to `size`, and is full at the beginning."""

    __slots__ = ("_at", "_level", "_rate", "size")

    def __init__(self, rate: float, size: float, now: float) -> None:
        self._rate = rate
        self.size = size
        self._level = size
        self._at = now

    def take(self, now: float, count: float = 1.0, *, kept: float = 0.0) -> bool:
        """Take so many if they are there and `kept` remain; whether they were.

        More than the bucket holds can be taken when it is full: it is in debt then.
        """
        self._level = min(self.size, self._level + (now - self._at) * self._rate)
        self._at = now
        if self._level < min(count, self.size) + kept:
            return False
        self._level -= count
        return True

    def seconds_until(self, count: float = 1.0) -> float:
        """How long after the last `take` so many will be there."""
        return max(0.0, (min(count, self.size) - self._level) / self._rate)
