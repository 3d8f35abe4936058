"""A circuit breaker: a backend that does not answer is left alone for a while. Pure.

A failure that a client's own input may have brought about counts once for each client, so that no client opens a
breaker that all share, and none keeps it open: see ADR 23.
"""

from __future__ import annotations

from enum import StrEnum

FAILURES = 5
"""Calls that must fail in a row before it opens; for failures that a client may cause, calls of different clients."""
QUIET_SECONDS = 1.0
"""The backend must have answered nothing for so long before it opens."""
OPEN_SECONDS = (1.0, 30.0)
"""How long it is open: the first time, and at most. Each trial that fails doubles it."""


class BreakerState(StrEnum):
    """Closed: calls pass. Open: none does. Half open: one passes, and decides."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


class CircuitBreaker:
    """All times are monotonic seconds. Each call that `allows` let pass ends with one of the other methods.

    `origin` names whom a call is made for; "" where it is made for nobody, or no client can have caused the failure.
    """

    __slots__ = ("_answered_at", "_failures", "_open_until", "_origins", "_pause", "_trial", "_tried")

    def __init__(self) -> None:
        self._failures = 0
        """In a row, that count whoever has asked."""
        self._origins: set[str] = set()
        """Of the other failures in a row."""
        self._answered_at: float | None = None
        self._open_until: float | None = None
        self._pause = OPEN_SECONDS[0]
        self._trial = False
        self._tried = ""
        """Whose trial was the last to fail."""

    def state(self, now: float) -> BreakerState:
        """Return the state at a time."""
        if self._open_until is None:
            return BreakerState.CLOSED
        return BreakerState.OPEN if now < self._open_until else BreakerState.HALF_OPEN

    def allows(self, now: float, origin: str = "") -> bool:
        """Return whether a call may be made now.

        After the pause the first one is a trial. Whoever has failed the last trial waits for twice the pause, so that
        a client that always fails leaves the next trial to the others.
        """
        if self._open_until is None:
            return True
        until = self._open_until + (self._pause if origin and origin == self._tried else 0.0)
        if now < until or self._trial:
            return False
        self._trial = True
        return True

    def succeeded(self, now: float) -> None:
        """Count a call that was answered: the breaker closes."""
        self._failures, self._open_until, self._trial, self._pause = 0, None, False, OPEN_SECONDS[0]
        self._origins.clear()
        self._tried = ""
        self._answered_at = now

    def abandoned(self) -> None:
        """End a call that says nothing about the backend, because nobody waits for it any more or it was never sent."""
        self._trial = False

    def failed(self, now: float, origin: str = "") -> None:
        """Count a call that was not answered."""
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
