"""Messages of a worker to itself: what one link sends has to come back by the other."""

from __future__ import annotations

from collections import deque

MAX_WAITING = 64
"""So many may be on their way; the oldest stays, for it tells since when nothing comes."""


class Canary:
    """Which of them are on their way. Times are monotonic seconds."""

    def __init__(self, overdue_seconds: float) -> None:
        self._overdue_seconds = overdue_seconds
        self.proven = False
        """Whether one has come back since the link is there."""
        self._number = 0
        self._waiting: deque[tuple[int, float]] = deque()

    def send(self, now: float) -> bytes:
        """The next message."""
        self._number += 1
        if len(self._waiting) < MAX_WAITING:
            self._waiting.append((self._number, now))
        return b"%d" % self._number

    def arrive(self, message: bytes, now: float) -> float | None:
        """A message came back: how long it took; None when it was not waited for.

        Those before it are not waited for any more: the order is kept, so they are lost.
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
        """Whether one was sent so long ago and is still on its way."""
        return bool(self._waiting) and now - self._waiting[0][1] > self._overdue_seconds

    def forget(self) -> None:
        """A new link: what is on its way does not come by it."""
        self._waiting.clear()
        self.proven = False
