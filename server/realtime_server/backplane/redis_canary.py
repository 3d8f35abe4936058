"""Messages that a worker publishes to itself, to prove that its two links end at the same Redis."""

from __future__ import annotations

from collections import deque

MAX_WAITING = 64
"""Maximum number of tracked messages; the oldest is kept, since its age tells since when nothing arrives."""


class Canary:
    """Messages under way from this worker to itself. Times are monotonic seconds."""

    def __init__(self, overdue_seconds: float) -> None:
        self._overdue_seconds = overdue_seconds
        self.proven = False
        """True once a message has come back over the current link."""
        self._number = 0
        self._waiting: deque[tuple[int, float]] = deque()

    def send(self, now: float) -> bytes:
        """Return the next message and track it as sent at `now`."""
        self._number += 1
        if len(self._waiting) < MAX_WAITING:
            self._waiting.append((self._number, now))
        return b"%d" % self._number

    def arrive(self, message: bytes, now: float) -> float | None:
        """Record a message that came back; return its round-trip time in seconds, or None when it was not tracked.

        Earlier messages are dropped as lost, because Redis keeps the order.
        """
        took = None
        number = int(message)
        self.proven = True
        while self._waiting and self._waiting[0][0] <= number:
            sent, at = self._waiting.popleft()
            if sent == number:
                took = now - at
        return took

    def overdue(self, now: float) -> bool:
        """Return True when the oldest tracked message has exceeded the time limit."""
        return bool(self._waiting) and now - self._waiting[0][1] > self._overdue_seconds

    def forget(self) -> None:
        """Drop the tracked messages, which cannot arrive over a new link."""
        self._waiting.clear()
        self.proven = False
