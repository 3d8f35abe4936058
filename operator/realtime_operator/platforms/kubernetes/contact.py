"""Contact to the API server: since when a request has been waiting, or when the last one failed."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable

PATIENCE_SECONDS = 2.0
"""Time after which a request without an answer means that the API server may not answer."""


class Contact:
    """Record of pending and failed requests. `clock` returns monotonic seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._numbers = itertools.count()
        self._waiting: dict[int, float] = {}
        self._failed_since: float | None = None

    def began(self) -> tuple[int, float]:
        """Record the start of a request; return its handle for the other methods."""
        number, now = next(self._numbers), self._clock()
        self._waiting[number] = now
        return number, now

    def ended(self, request: tuple[int, float]) -> None:
        """Record the end of a request, whatever its result."""
        self._waiting.pop(request[0], None)

    def failed(self, request: tuple[int, float]) -> None:
        """Record that a request got no answer."""
        if self._failed_since is None:
            self._failed_since = request[1]

    def succeeded(self, request: tuple[int, float]) -> None:
        """Record that a request got an answer, also one with an error status."""
        if self._failed_since is not None and request[1] >= self._failed_since:
            self._failed_since = None

    def lost_since(self) -> float | None:
        """Return since when (monotonic seconds) the API server may not answer; None while it does."""
        now = self._clock()
        late = [began for began in self._waiting.values() if now - began > PATIENCE_SECONDS]
        since = [*late, *([] if self._failed_since is None else [self._failed_since])]
        return min(since, default=None)
