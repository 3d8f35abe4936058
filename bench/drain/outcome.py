"""The outcome of a replacement for the clients: reconnects, gaps, lost and duplicated publications. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from tests.kit.clients import Connected, Connecting, Event, Subscribed
from tests.kit.ledger import largest_rate

SINGLE = "one connection at a time"
SLEEP = "plain Deployment, preStop sleep"
AT_ONCE = "all closed at once"
OURS = "this operator"

PEAK_PART, LONGER, SLOWER = 0.1, 1.2, 2.0
"""Goals: peak as part of that of AT_ONCE, duration as a multiple of connections / budget, p99 of gaps as a multiple of
that of SINGLE."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What clients saw. Times in seconds.

    `moves` are closed connections, `reconnects` the times at which clients were connected again, since the first close.
    `gaps` are the times without subscription, `whole` is the time from the change until the cluster had settled.
    """

    name: str
    moves: int
    reconnects: tuple[float, ...]
    gaps: tuple[float, ...]
    whole: float
    delivered: int
    lost: int
    duplicated: int
    unrecovered: int

    @property
    def peak(self) -> float:
        """Largest number of reconnects within a second."""
        return largest_rate(self.reconnects)

    @property
    def duration(self) -> float:
        """Seconds from the first close to the last reconnect."""
        return max(self.reconnects, default=0.0)

    def gap(self, part: float) -> float:
        """Return the gap that this part of all gaps does not exceed."""
        ordered = sorted(self.gaps)
        return ordered[max(0, math.ceil(part * len(ordered)) - 1)] if ordered else 0.0

    def per_second(self) -> list[tuple[float, float]]:
        """Return the number of reconnects in each second since the first close."""
        counts = Counter(int(at) for at in self.reconnects)
        return [(float(second), float(counts[second])) for second in range(int(self.duration) + 2)]


@dataclass(frozen=True, slots=True)
class Moved:
    """The reconnects in a record: times of closes, of new connections, and gaps, in seconds."""

    closes: tuple[float, ...]
    reconnects: tuple[float, ...]
    gaps: tuple[float, ...]
    unrecovered: int


def moved(events: Sequence[Event]) -> Moved:
    """Find the reconnects of clients that have one subscription."""
    closed: dict[int, float] = {}
    seen: set[int] = set()
    closes, reconnects, gaps = [], [], []
    unrecovered = 0
    for event in events:
        match event:
            case Connecting() if event.client in seen and event.code != 0:
                closes.append(event.at)
                closed.setdefault(event.client, event.at)
            case Connected():
                if event.client in closed:
                    reconnects.append(event.at)
                seen.add(event.client)
            case Subscribed() if event.client in closed:
                gaps.append(event.at - closed.pop(event.client))
                unrecovered += int(event.was_recovering and not event.recovered)
            case _:
                pass
    begin = min(closes, default=0.0)
    return Moved(tuple(closes), tuple(at - begin for at in reconnects), tuple(gaps), unrecovered)


@dataclass(frozen=True, slots=True)
class Verdict:
    """A goal and what was reached."""

    goal: str
    reached: str
    met: bool


def judge(outcomes: Sequence[Outcome], connections: int, budget: float) -> list[Verdict]:
    """Judge OURS beside the others."""
    by_name = {outcome.name: outcome for outcome in outcomes}
    single, at_once, ours = by_name[SINGLE], by_name[AT_ONCE], by_name[OURS]
    least = connections / budget
    slower = ours.gap(0.99) / max(single.gap(0.99), 0.001)
    return [
        Verdict(
            f"peak at most {PEAK_PART:.0%} of that of all at once",
            f"{ours.peak:.0f} of {at_once.peak:.0f} per second",
            ours.peak <= PEAK_PART * at_once.peak,
        ),
        Verdict(
            f"ends within {LONGER} times connections / budget",
            f"{ours.duration:.1f} s, {ours.duration / least:.2f} times {least:.1f} s",
            ours.duration <= LONGER * least,
        ),
        Verdict(
            f"p99 of gaps below {SLOWER:.0f} times that of a single reconnect",
            f"{ours.gap(0.99):.2f} s, {slower:.2f} times {single.gap(0.99):.2f} s",
            ours.gap(0.99) < SLOWER * single.gap(0.99),
        ),
        Verdict(
            "nothing lost, nothing twice",
            f"{ours.lost} lost, {ours.duplicated} duplicated of {ours.delivered:,} deliveries",
            (ours.lost, ours.duplicated, ours.unrecovered) == (0, 0, 0),
        ),
    ]
