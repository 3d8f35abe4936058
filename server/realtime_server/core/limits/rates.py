"""Rates of connects, of one connection's messages, and of moving connections away.

Pure; times are monotonic seconds.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass, field

RESERVED = 0.25
"""Fraction of a second's connects that is reserved for resuming clients, whose users notice a delay."""
MAX_PAUSE_SECONDS = 1.0
"""Maximum time whose share of connections is made up for after a busy event loop."""
PACE_SECONDS = 0.05
"""Minimum delay of a client that exceeds its rate, so that several of its messages are processed at once."""


class TokenBucket:
    """Token bucket that fills at `rate` per second up to `size`, and is full at the beginning."""

    __slots__ = ("_at", "_level", "_rate", "size")

    def __init__(self, rate: float, size: float, now: float) -> None:
        self._rate = rate
        self.size = size
        self._level = size
        self._at = now

    def take(self, now: float, count: float = 1.0, *, kept: float = 0.0) -> bool:
        """Take `count` tokens if they are there and `kept` remain; return True on success.

        A count above the size can be taken from a full bucket, which is then in debt.
        """
        self._level = min(self.size, self._level + (now - self._at) * self._rate)
        self._at = now
        if self._level < min(count, self.size) + kept:
            return False
        self._level -= count
        return True

    def seconds_until(self, count: float = 1.0) -> float:
        """Return the seconds after the last `take` until `count` tokens are there."""
        return max(0.0, (min(count, self.size) - self._level) / self._rate)


class KeyedRates:
    """Token buckets by key, each with the same rate per second and size, and full at its first use.

    Keys come from a small fixed set: none is ever forgotten.
    """

    __slots__ = ("_buckets", "_rate", "_size")

    def __init__(self, rate: float, size: float) -> None:
        self._rate = rate
        self._size = size
        self._buckets: dict[Hashable, TokenBucket] = {}

    def take(self, key: Hashable, now: float) -> bool:
        """Take a token of this key; return True on success."""
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = TokenBucket(self._rate, self._size, now)
        return bucket.take(now)


class Admission:
    """Admission of clients at `rate` connects per second (> 0), with a burst of one second's share, at least one."""

    def __init__(self, rate: float, now: float) -> None:
        self._bucket = TokenBucket(rate, max(1.0, rate), now)

    def admit(self, now: float, *, resumes: bool) -> bool:
        """Return True when one more client may be admitted at `now`; others try again later."""
        return self._bucket.take(now, kept=0.0 if resumes else RESERVED * (self._bucket.size - 1))


IN_TIME = 0.9
"""Fraction of the allowed time within which a drain should finish."""


def rate_in_time(connections: int, connections_per_second: float, seconds: float) -> float:
    """Return the rate that moves `connections` within `seconds`: the given one, or a higher one if needed."""
    return max(connections_per_second, connections / max(1.0, IN_TIME * seconds))


@dataclass(slots=True)
class Pace:
    """Pace of moving connections; `left` is the number still to move, None for an unlimited number.

    No second, wherever it begins, has more moves than `rate`, rounded up.
    """

    rate: float
    last: float
    left: int | None = None
    credit: float = 0.0
    _moved: deque[tuple[float, int]] = field(default_factory=deque)
    """Moves of the last second: times and numbers."""
    _in_second: int = 0

    def due(self, now: float, available: int) -> int:
        """Return the number of connections to move now, at most `available`; unused capacity is not saved up."""
        self.credit = min(self.credit + self.rate * (now - self.last), max(1.0, self.rate * MAX_PAUSE_SECONDS))
        self.last = now
        while self._moved and self._moved[0][0] <= now - 1.0:
            self._in_second -= self._moved.popleft()[1]
        wanted = min(int(self.credit), max(0, math.ceil(self.rate) - self._in_second))
        moved = min(wanted if self.left is None else min(wanted, self.left), available)
        if moved:
            self._moved.append((now, moved))
            self._in_second += moved
        self.credit = min(self.credit - moved, 1.0) if moved == available else self.credit - moved
        if self.left is not None:
            self.left -= moved
        return moved

    @property
    def finished(self) -> bool:
        """True when a limited number has been moved."""
        return self.left == 0


class MessageRate:
    """Rate limit of one connection's messages: `burst` at once, `rate` per second in the long run.

    A connection stores one number, the time until which its messages have used up the rate (the theoretical arrival
    time of the generic cell rate algorithm, ITU-T I.371): it exceeds the rate while that time is later than now.
    """

    __slots__ = ("_burst_seconds", "_seconds")

    def __init__(self, rate: float, burst: float) -> None:
        self._seconds = 1 / rate
        self._burst_seconds = (burst - 0.5) / rate  # half a message, so that rounding takes none away

    def charge(self, used_until: float, now: float) -> float:
        """Return the new `used_until` after one more message; 0 stands for a connection that has sent none."""
        earliest = now - self._burst_seconds
        return (max(earliest, used_until)) + self._seconds
