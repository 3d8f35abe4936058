"""A clock that is set by hand."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class HandClock:
    """Returns what `now` was set to."""

    now: float = 0.0

    def __call__(self) -> float:
        """Monotonic seconds."""
        return self.now
