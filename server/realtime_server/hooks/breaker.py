"""Circuit breaker for calls to a backend that does not answer; pure, without I/O.

A failure that a client's own input may have caused counts once per client, so that one client can neither open a
breaker that all share nor keep it open: see ADR 23.
"""

from __future__ import annotations

from enum import StrEnum

FAILURES = 5
"""Consecutive failures that open the breaker; of failures that a client may have caused, one per client counts."""
QUIET_SECONDS = 1.0
"""Minimum time without any answer from the backend before the breaker opens."""
OPEN_SECONDS = (1.0, 30.0)
"""First and longest open period in seconds; each failed trial doubles the period."""


class BreakerState(StrEnum):
    """State of a breaker: calls pass (closed), none passes (open), or one trial passes and decides (half open)."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


class CircuitBreaker:
    """Circuit breaker for one endpoint. All times are monotonic seconds.

    Each call that `allows` permitted must end with exactly one of `succeeded`, `failed` or `abandoned`. `origin` names
    the client (its user or network) that a call is made for; "" when no client can have caused a failure.
    """

    __slots__ = ("_answered_at", "_failures", "_open_until", "_origins", "_pause", "_trial", "_tried")

    def __init__(self) -> None:
        self._failures = 0
        """Consecutive failures without an origin."""
        self._origins: set[str] = set()
        """Distinct origins of the other consecutive failures."""
        self._answered_at: float | None = None
        self._open_until: float | None = None
        self._pause = OPEN_SECONDS[0]
        self._trial = False
        self._tried = ""
        """Origin of the last failed trial."""

    def state(self, now: float) -> BreakerState:
        """Return the state at a time."""
        if self._open_until is None:
            return BreakerState.CLOSED
        return BreakerState.OPEN if now < self._open_until else BreakerState.HALF_OPEN

    def allows(self, now: float, origin: str = "") -> bool:
        """Return True when a call may be made now.

        The first call after the open period is the trial; others are refused until it ends. The origin of the last
        failed trial waits for a second period, so that a client that always fails leaves the next trial to others.
        """
        if self._open_until is None:
            return True
        until = self._open_until + (self._pause if origin and origin == self._tried else 0.0)
        if now < until or self._trial:
            return False
        self._trial = True
        return True

    def succeeded(self, now: float) -> None:
        """Record an answered call and close the breaker."""
        self._failures, self._open_until, self._trial, self._pause = 0, None, False, OPEN_SECONDS[0]
        self._origins.clear()
        self._tried = ""
        self._answered_at = now

    def abandoned(self) -> None:
        """Release a call that tells nothing about the backend: it was cancelled, or never sent."""
        self._trial = False

    def failed(self, now: float, origin: str = "") -> None:
        """Record a call without an answer: a failed trial opens the breaker again, for a longer time."""
        if self._trial:
            self._trial = False
            if not origin or origin != self._tried:
                self._pause = min(2 * self._pause, OPEN_SECONDS[1])
            self._tried = origin
            self._open_until = now + self._pause
        elif self._open_until is None:
            self._count(origin)
            quiet = self._answered_at is None or now - self._answered_at >= QUIET_SECONDS
            if quiet and self._failures + len(self._origins) >= FAILURES:
                self._open_until = now + self._pause

    def _count(self, origin: str) -> None:
        if not origin:
            self._failures += 1
        elif len(self._origins) < FAILURES:
            self._origins.add(origin)
