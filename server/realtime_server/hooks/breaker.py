"""A circuit breaker: a backend that does not answer is left alone for a while. Pure."""

from __future__ import annotations

from enum import StrEnum

FAILURES = 5
"""So many calls one after the other must fail before it opens."""
OPEN_SECONDS = (1.0, 30.0)
"""How long it is open: the first time, and at most. Each trial that fails doubles it."""


class BreakerState(StrEnum):
    """Closed: calls pass. Open: none does. Half open: one passes, and decides."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


class CircuitBreaker:
    """All times are monotonic seconds. Each call that `allows` let pass ends with `succeeded` or `failed`."""

    __slots__ = ("_failures", "_open_until", "_pause", "_trial")

    def __init__(self) -> None:
        self._failures = 0
        self._open_until: float | None = None
        self._pause = OPEN_SECONDS[0]
        self._trial = False

    def state(self, now: float) -> BreakerState:
        """Where it is."""
        if self._open_until is None:
            return BreakerState.CLOSED
        return BreakerState.OPEN if now < self._open_until else BreakerState.HALF_OPEN

    def allows(self, now: float) -> bool:
        """Whether a call may be made now; after the pause the first one is a trial."""
        state = self.state(now)
        if state is BreakerState.HALF_OPEN and not self._trial:
            self._trial = True
            return True
        return state is BreakerState.CLOSED

    def succeeded(self) -> None:
        """A call was answered."""
        self._failures, self._open_until, self._trial, self._pause = 0, None, False, OPEN_SECONDS[0]

    def abandoned(self) -> None:
        """Nobody waits for a call any more: it says nothing about the backend."""
        self._trial = False

    def failed(self, now: float) -> None:
        """A call was not answered."""
        self._failures += 1
        if self._trial:
            self._trial = False
            self._pause = min(2 * self._pause, OPEN_SECONDS[1])
            self._open_until = now + self._pause
        elif self._open_until is None and self._failures >= FAILURES:
            self._open_until = now + self._pause
