"""A clock that is set by hand."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class HandClock:
    """Returns the value of `now`."""

    now: float = 0.0

    def __call__(self) -> float:
        """Time in monotonic seconds."""
        return self.now
