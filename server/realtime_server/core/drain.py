"""Moving connections away at a rate: decides how many are due, by the time that has passed."""

from __future__ import annotations

from dataclasses import dataclass

MAX_PAUSE_SECONDS = 1.0
"""What a busy event loop missed is not made up for in one burst larger than this much time's share."""


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
