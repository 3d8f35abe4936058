"""Totals that servers count since their start, and what was counted in a span of them. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

NO_BOUND = "+Inf"
CONNECTS, CONNECTS_FAILED = "connects", "connects_failed"
MESSAGES, COMMANDS_FAILED = "messages", "commands_failed"
DISCONNECTS = "disconnects"
RECOVERIES, RECOVERIES_FAILED = "recoveries", "recoveries_failed"
CONNECT_SECONDS, DELIVERY_SECONDS = "connect_seconds", "delivery_seconds"

Counts = Mapping[tuple[str, str], int]
"""Counts by name and label: a code, the upper bound of a bucket, or "" for what has no label."""


@dataclass(frozen=True, slots=True)
class Totals:
    """Counts of one or several servers.

    `since` identifies the processes that counted them: when it changes, one was restarted and its counts are lost.
    """

    since: float = 0.0
    counts: Counts = field(default_factory=dict)

    def sum(self, name: str) -> int:
        """Return the sum of the counts with a name, over all labels."""
        return sum(self.by_label(name).values())

    def by_label(self, name: str) -> dict[str, int]:
        """Return the counts with a name, by label."""
        return {label: count for (found, label), count in self.counts.items() if found == name}

    def percentile(self, name: str, part: float) -> float | None:
        """Return the upper bound of the bucket that `part` of the durations do not exceed; None without any.

        It is infinite for the bucket without a bound.
        """
        buckets = sorted((_bound(label), count) for label, count in self.by_label(name).items())
        wanted, sofar = part * sum(count for _, count in buckets), 0
        for bound, count in buckets:
            sofar += count
            if sofar and sofar >= wanted:
                return bound
        return None

    def since_then(self, before: Totals) -> Totals:
        """Return what was counted since an earlier moment.

        After a restart of one of the processes that is not known: nothing.
        """
        if before.since != self.since:
            return Totals(self.since)
        grown = {key: count - before.counts.get(key, 0) for key, count in self.counts.items()}
        return Totals(self.since, {key: count for key, count in grown.items() if count > 0})


def add(parts: Iterable[Totals]) -> Totals:
    """Add up counts."""
    total = Counter[tuple[str, str]]()
    since = 0.0
    for part in parts:
        total.update(part.counts)
        since = max(since, part.since)
    return Totals(since, dict(total))


def read_totals(document: object) -> Totals | None:
    """Read the totals in a server's report; None when it has none. Raises KeyError, TypeError or ValueError."""
    if not isinstance(document, dict):
        return None
    counts: dict[tuple[str, str], int] = {}
    for name in (CONNECTS, MESSAGES, RECOVERIES, RECOVERIES_FAILED):
        counts[name, ""] = _count(document[name])
    for name in (CONNECTS_FAILED, COMMANDS_FAILED, DISCONNECTS):
        counts |= {(name, str(code)): _count(count) for code, count in dict(document[name]).items()}
    for name in (CONNECT_SECONDS, DELIVERY_SECONDS):
        bounds, found = document[name]["bounds"], document[name]["counts"]
        labels = [*map(str, bounds), NO_BOUND][: len(found)]
        counts |= {(name, label): _count(count) for label, count in zip(labels, found, strict=True)}
    return Totals(float(document["since"]), counts)


def _count(value: object) -> int:
    count = int(str(value))
    if count < 0:
        raise ValueError(f"a count of {count}")
    return count


def _bound(label: str) -> float:
    return math.inf if label == NO_BOUND else float(label)
