"""Span over which servers are compared: what each of them has counted in it, and since when it cannot be judged. Pure.

It is kept in the operator's memory from one reconcile to the next. An operator that starts anew begins a new span.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from realtime_operator.planning.model.totals import Totals, add
from realtime_operator.planning.model.world import Server

ROUNDED = timedelta(seconds=1)
"""Precision of the time at which a pod was created."""


@dataclass(frozen=True, slots=True)
class Tally:
    """Totals of a server as they were seen last, and what it has counted in the span."""

    last: Totals
    counted: Totals

    def next(self, totals: Totals) -> Tally:
        """Return the tally with newer totals. What a restarted process has counted before is kept."""
        return Tally(totals, add((self.counted, totals.since_then(self.last))))


@dataclass(frozen=True, slots=True)
class Span:
    """Span named `name` that began at `since`.

    `tallies` are by the uid of the server. `silent` and `unlinked` say since when a server does not report its totals,
    and since when it has lost the backplane.
    """

    name: str
    since: datetime
    tallies: Mapping[str, Tally] = field(default_factory=dict)
    silent: Mapping[str, datetime] = field(default_factory=dict)
    unlinked: Mapping[str, datetime] = field(default_factory=dict)

    def counted(self, servers: Iterable[Server]) -> Totals:
        """Add up what these servers have counted in the span."""
        return add(self.tallies[server.uid].counted for server in servers if server.uid in self.tallies)


def next_span(before: Span | None, name: str, servers: Sequence[Server], fresh: str, now: datetime) -> Span:
    """Return the span with what these servers report now; a new one when `before` is None or has another name.

    A server is counted from when it was seen first. One of the revision `fresh` that started in the span is counted
    from its start: nothing that a new server does at its begin is missed.
    """
    if before is None or before.name != name:
        before = Span(name, now)
    tallies = dict(before.tallies)
    for server in servers:
        totals = server.report.totals if server.report is not None else None
        if totals is None:
            continue
        if server.uid in tallies:
            tallies[server.uid] = tallies[server.uid].next(totals)
        else:
            is_new = server.revision == fresh and server.created_at + ROUNDED > before.since
            tallies[server.uid] = Tally(totals, totals if is_new else Totals(totals.since))
    running = [server for server in servers if server.was_ready]
    return Span(
        name,
        before.since,
        tallies,
        _since(before.silent, (s for s in running if s.report is None or s.report.totals is None), now),
        _since(before.unlinked, (s for s in running if s.report is not None and not s.report.backplane_healthy), now),
    )


def _since(before: Mapping[str, datetime], servers: Iterable[Server], now: datetime) -> dict[str, datetime]:
    return {server.uid: before.get(server.uid, now) for server in servers}
