"""Accounting of a demonstration: published messages, and deliveries to each subscriber. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class Tally:
    """Account of publications, which are identified by number; `reconnects` are monotonic seconds."""

    subscribers: int
    published: list[int] = field(default_factory=list)
    reconnects: list[float] = field(default_factory=list)
    unrecovered: int = 0
    _received: dict[int, Counter[int]] = field(default_factory=dict)

    def receive(self, subscriber: int, publication: int) -> None:
        """Count a delivery of a publication to a subscriber."""
        self._received.setdefault(subscriber, Counter())[publication] += 1

    @property
    def delivered(self) -> int:
        """Number of deliveries to all subscribers."""
        return sum(received.total() for received in self._received.values())

    @property
    def lost(self) -> int:
        """Number of missing deliveries."""
        wanted = set(self.published)
        return sum(len(wanted - self._received.get(number, Counter()).keys()) for number in range(self.subscribers))

    @property
    def duplicated(self) -> int:
        """Number of repeated deliveries of a publication to the same subscriber."""
        return sum(received.total() - len(received) for received in self._received.values())

    def largest_reconnect_rate(self, window: float = 1.0) -> int:
        """Return the largest number of reconnects within any `window` seconds."""
        times = sorted(self.reconnects)
        return max((index + 1 - bisect_left(times, at - window, hi=index) for index, at in enumerate(times)), default=0)
