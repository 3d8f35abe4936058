"""Rates: of connects, of the messages of one connection, and of connections that are moved away.

Pure; times are monotonic seconds.
"""

from __future__ import annotations

from dataclasses import dataclass

RESERVED = 0.25
"""This part of a second's connects is kept for clients that resume: their users notice when they are late."""
MAX_PAUSE_SECONDS = 1.0
"""What a busy event loop missed is not made up for in one burst larger than this much time's share."""


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


class Admission:
    """Holds one second's connects (at least one). `rate` is in connects per second, > 0."""

    def __init__(self, rate: float, now: float) -> None:
        self._bucket = TokenBucket(rate, max(1.0, rate), now)

    def admit(self, now: float, *, resumes: bool) -> bool:
        """Whether one more may come in at `now`, monotonic seconds. Who may not tries again later."""
        return self._bucket.take(now, kept=0.0 if resumes else RESERVED * (self._bucket.size - 1))


IN_TIME = 0.9
"""Part of the allowed time within which a drain is to be over."""


def rate_in_time(connections: int, connections_per_second: float, seconds: float) -> float:
    """Return the rate that moves `connections` within `seconds`: the given one, or a higher one if it is needed."""
    return max(connections_per_second, connections / max(1.0, IN_TIME * seconds))


@dataclass(slots=True)
class Pace:
    """A number of connections that becomes due over time. `left` None: until stopped. Times are monotonic seconds."""

    rate: float
    last: float
    left: int | None = None
    credit: float = 0.0

    def due(self, now: float, available: int) -> int:
        """How many connections to move now; at most `available`. What is not available is not saved up."""
        self.credit += self.rate * min(now - self.last, MAX_PAUSE_SECONDS)
        self.last = now
        wanted = int(self.credit) if self.left is None else min(int(self.credit), self.left)
        moved = min(wanted, available)
        self.credit = min(self.credit - moved, 1.0) if moved == available else self.credit - moved
        if self.left is not None:
            self.left -= moved
        return moved

    @property
    def finished(self) -> bool:
        """Whether a limited number has been moved."""
        return self.left == 0


class MessageRate:
    """How fast the messages of one connection are taken: `burst` at once, `rate` per second in the long run.

    A connection keeps one number, the time until which its messages have used up the rate (the theoretical arrival time
    of the generic cell rate algorithm, ITU-T I.371): it is ahead of the rate while that is later than now.
    """

    __slots__ = ("_burst_seconds", "_seconds")

    def __init__(self, rate: float, burst: float) -> None:
        self._seconds = 1 / rate
        self._burst_seconds = (burst - 0.5) / rate  # half a message, so that rounding takes none away

    def charge(self, used_until: float, now: float) -> float:
        """Return the new `used_until` after one more message; 0 stands for a connection that has sent none."""
        earliest = now - self._burst_seconds
        return (max(earliest, used_until)) + self._seconds
