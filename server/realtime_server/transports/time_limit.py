"""Time limit that many connections share: one timer of the event loop instead of one per connection."""

from __future__ import annotations

import asyncio
from typing import Protocol

RESOLUTION_SECONDS = 0.001
"""Resolution of the loop's clock: its timers may run this early."""


class Timed(Protocol):
    """Object that a time limit applies to."""

    def on_timeout(self) -> None:
        """Handle the end of the time."""


class TimeLimit:
    """Limit of `seconds` for each object from `start` on, unless `stop` comes first.

    A timer of the loop costs more than the handshake that it bounds, and all connections have the same limit: they run
    out in the order in which they started.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float) -> None:
        self._loop = loop
        self._seconds = seconds
        self._ends: dict[Timed, float] = {}
        """Time of the loop at which each limit ends, in increasing order."""
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        """Return the number of objects whose time is running."""
        return len(self._ends)

    def start(self, timed: Timed) -> None:
        """Start the time of an object, again if it is running."""
        ends_at = self._loop.time() + self._seconds
        self._ends.pop(timed, None)  # the last one to start is the last one to end
        self._ends[timed] = ends_at
        if self._timer is None:
            self._timer = self._loop.call_at(ends_at, self._expire)

    def stop(self, timed: Timed) -> None:
        """Stop the time of an object. Idempotent."""
        self._ends.pop(timed, None)

    def _expire(self) -> None:
        """Call `on_timeout` for the objects whose time is over, and wait for the next one."""
        self._timer = None
        now = self._loop.time() + RESOLUTION_SECONDS
        over = []
        for timed, ends_at in self._ends.items():
            if ends_at > now:
                self._timer = self._loop.call_at(ends_at, self._expire)
                break
            over.append(timed)
        for timed in over:
            self.stop(timed)
            self._loop.call_soon(timed.on_timeout)  # an error of one is none of the others
