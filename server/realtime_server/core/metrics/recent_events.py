"""Events of the last seconds, counted in buckets of one second; pure. Times are monotonic seconds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from realtime_server import codes
from realtime_server.codes import DisconnectCode, ErrorCode

WINDOW_SECONDS = 30
CONNECTED, MOVED = "connected", "moved"
OTHER = "other"
"""Label of all codes of the backend, which are arbitrary: the set of labels is bounded."""

NOT_FAILED = frozenset(
    {
        codes.TOKEN_EXPIRED.code,  # the SDK fetches a new token and connects again
        codes.CONNECTION_EXPIRED.code,  # the same for a unidirectional client
        codes.CONNECTION_CLOSED.code,  # the client closed the connection
        codes.SHUTDOWN.code,  # this server stops
        codes.FORCE_RECONNECT.code,  # this server moves its clients away
    }
)
"""Codes that end a connect before its reply and say nothing about the server's ability to admit clients."""
HANDSHAKE_STATUS = {"origin": "403", "connection_limit": "503", "socket_limit": "503"}
"""HTTP status of a refused handshake by its reason, for the reasons that affect well-meaning clients."""
CATALOGUE = frozenset(value.code for value in vars(codes).values() if isinstance(value, ErrorCode | DisconnectCode))
"""Codes that are reported as such; none is among those that a backend may choose (400 to 1999, 4000 to 4999)."""


@dataclass(frozen=True, slots=True)
class RecentEvents:
    """Events of the last WINDOW_SECONDS.

    `connects_succeeded`: connect commands answered with a result. `failures`: connects refused or ended before their
    reply, by code. `moved`: connections that this server told to connect again.
    """

    connects_succeeded: int = 0
    moved: int = 0
    failures: Mapping[str, int] = field(default_factory=dict)

    @property
    def connects_failed(self) -> int:
        """Sum of all failures."""
        return sum(self.failures.values())

    @classmethod
    def combine(cls, parts: Iterable[RecentEvents]) -> RecentEvents:
        """Add up the events of several workers."""
        succeeded, moved, failures = 0, 0, Counter[str]()
        for part in parts:
            succeeded += part.connects_succeeded
            moved += part.moved
            failures.update(part.failures)
        return cls(succeeded, moved, dict(sorted(failures.items())))


class RecentCounter:
    """Ring of one bucket per second. Counting costs one increment, and needs no periodic work."""

    __slots__ = ("_buckets", "_seconds")

    def __init__(self) -> None:
        self._buckets = [Counter[str]() for _ in range(WINDOW_SECONDS)]
        self._seconds = [-1] * WINDOW_SECONDS

    def count(self, event: str, now: float) -> None:
        """Count one event: CONNECTED, MOVED, or the name of a failure's code (see `failure_name`)."""
        second = int(now)
        index = second % WINDOW_SECONDS
        if self._seconds[index] != second:
            self._seconds[index] = second
            self._buckets[index].clear()
        self._buckets[index][event] += 1

    def report(self, now: float) -> RecentEvents:
        """Add up the current second and the WINDOW_SECONDS - 1 before it."""
        oldest = int(now) - WINDOW_SECONDS
        total = Counter[str]()
        for second, bucket in zip(self._seconds, self._buckets, strict=True):
            if second > oldest:
                total.update(bucket)
        succeeded, moved = total.pop(CONNECTED, 0), total.pop(MOVED, 0)
        return RecentEvents(succeeded, moved, dict(sorted(total.items())))


def failure_name(code: int) -> str | None:
    """Return the name under which a connect that ended with this code is counted; None when that is no failure."""
    if code in NOT_FAILED:
        return None
    return str(code) if code in CATALOGUE else OTHER
