"""Totals of a worker or a server since its start: what was counted before and after two moments can be compared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from realtime_server.core.metrics.counters import Counters, LatencyHistogram
from realtime_server.core.metrics.recent_events import CATALOGUE, OTHER


@dataclass(frozen=True, slots=True)
class Durations:
    """Histogram of durations: upper `bounds` in seconds, and `counts` by bucket, of which the last has no bound."""

    bounds: tuple[float, ...] = ()
    counts: tuple[int, ...] = ()

    @classmethod
    def of(cls, histogram: LatencyHistogram) -> Durations:
        """Copy a histogram."""
        return cls(histogram.bounds, tuple(histogram.counts))

    @classmethod
    def combine(cls, parts: Iterable[Durations]) -> Durations:
        """Add up histograms with the same bounds; empty ones have any."""
        known = [part for part in parts if part.counts]
        if not known:
            return cls()
        return cls(known[0].bounds, tuple(map(sum, zip(*(part.counts for part in known), strict=True))))


@dataclass(frozen=True, slots=True)
class Totals:
    """Counts since `since`, the Unix time in seconds at which the youngest worker started.

    `connects`, `connects_failed` and `connect_seconds` are about connect commands by their outcome, `commands_failed`
    and `disconnects` are by code, `messages` are those of clients. `recoveries` are those in which nothing was missing,
    `recoveries_failed` the others. `delivery_seconds` are the times of the test messages that each worker publishes and
    receives.
    """

    since: float = 0.0
    connects: int = 0
    connects_failed: Mapping[str, int] = field(default_factory=dict)
    messages: int = 0
    commands_failed: Mapping[str, int] = field(default_factory=dict)
    disconnects: Mapping[str, int] = field(default_factory=dict)
    recoveries: int = 0
    recoveries_failed: int = 0
    connect_seconds: Durations = Durations()
    delivery_seconds: Durations = Durations()

    @classmethod
    def of(cls, counters: Counters, delivery: LatencyHistogram) -> Totals:
        """Copy the counters of a worker."""
        return cls(
            since=counters.since,
            connects=counters.connects,
            connects_failed=dict(counters.connects_failed),
            messages=counters.messages_received,
            commands_failed=_by_name(counters.command_errors),
            disconnects=_by_name(counters.disconnects),
            recoveries=counters.recoveries[True],
            recoveries_failed=counters.recoveries[False],
            connect_seconds=Durations.of(counters.connect_times),
            delivery_seconds=Durations.of(delivery),
        )

    @classmethod
    def combine(cls, parts: Iterable[Totals]) -> Totals:
        """Add up the totals of several workers."""
        known = list(parts)
        return cls(
            since=max((part.since for part in known), default=0.0),
            connects=sum(part.connects for part in known),
            connects_failed=_sum(part.connects_failed for part in known),
            messages=sum(part.messages for part in known),
            commands_failed=_sum(part.commands_failed for part in known),
            disconnects=_sum(part.disconnects for part in known),
            recoveries=sum(part.recoveries for part in known),
            recoveries_failed=sum(part.recoveries_failed for part in known),
            connect_seconds=Durations.combine(part.connect_seconds for part in known),
            delivery_seconds=Durations.combine(part.delivery_seconds for part in known),
        )


def _by_name(counts: Mapping[int, int]) -> dict[str, int]:
    """Return the counts by code as text; all codes of the backend, which are arbitrary, are one."""
    named = Counter[str]()
    for code, count in counts.items():
        named[str(code) if code in CATALOGUE else OTHER] += count
    return dict(sorted(named.items()))


def _sum(parts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total = Counter[str]()
    for part in parts:
        total.update(part)
    return dict(sorted(total.items()))
