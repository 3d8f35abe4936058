"""Brakes: reasons to stop moving connections in a rollout or scale-in, and their release. Pure.

A brake keeps connections where they are. It stops neither the start of servers nor the removal of empty ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from realtime_operator.planning.model.reasons import Reason
from realtime_operator.planning.model.world import Server, World
from realtime_operator.planning.moving.fleet import Fleet, just_lost
from realtime_operator.planning.redis.backplane import Backplane

CONTACT_SECONDS = 5.0
"""Seconds of uninterrupted observation before connections are moved, after a start or a gap."""

RELEASE_SECONDS = 10.0
"""Seconds that a stop outlives its reason, so that a flapping condition moves no connections in between."""

ARRIVAL_RELEASE_SECONDS = 30.0
"""Seconds that a stop outlives its reason when moved connections did not arrive; doubled at each repetition."""

LONGEST_RELEASE_SECONDS = 600.0

FREEZING_REASONS = frozenset({Reason.OBSERVATION_STALE, Reason.JUST_CONNECTED, Reason.STATUS_REFUSED})
"""Reasons to take no action on servers at all: observations may be wrong, or the status cannot be written."""

MOVED_ENOUGH = 20
"""Number of moved connections from which on fewer than half as arrivals are a reason to stop (MOVED_FEW: none)."""
MOVED_FEW = 5


@dataclass(frozen=True, slots=True)
class Brake:
    """Limits of a step.

    `freeze`: no action on servers, as observations may be wrong. `stop`: move no connections, and resume servers that
    were to leave. `unconfirmed`: moved connections have not been seen to arrive yet. `careful`: move few connections at
    a time.
    """

    freeze: bool = False
    stop: bool = False
    unconfirmed: bool = False
    careful: bool = False


NO_BRAKE = Brake()


@dataclass(frozen=True, slots=True)
class Hold:
    """A stop with its reason, stored in `.status.hold`.

    It is in force until `until`, and kept while servers are to leave. `count` is how often moved connections did not
    arrive.
    """

    reason: Reason
    message: str
    since: datetime
    until: datetime
    count: int = 0

    def in_force(self, now: datetime) -> bool:
        """Return True while connections must not be moved."""
        return now < self.until


@dataclass(frozen=True, slots=True)
class Arrivals:
    """Recently moved connections, and the connects at the receivers: `arrived` and `failed`."""

    moved: int
    arrived: int
    failed: int

    @property
    def confirmed(self) -> bool:
        """True when enough connects succeeded for the moved connections to have arrived."""
        return self.moved < MOVED_FEW or 2 * self.arrived >= self.moved

    @property
    def refused(self) -> bool:
        """True when moved connections are refused; clients that have left for good do not fail, and do not count."""
        enough = self.moved >= MOVED_ENOUGH or (self.moved >= MOVED_FEW and self.arrived == 0)
        return enough and not self.confirmed and 2 * self.failed >= self.moved - self.arrived


def arrivals(fleet: Fleet, retiring: Sequence[Server]) -> Arrivals:
    """Sum the reports of all servers; servers of earlier releases do not count connects."""
    leaving = {server.name for server in retiring}
    recent = [(server, server.report.recent) for server in fleet.servers if server.report is not None]
    counted = [(server, found) for server, found in recent if found is not None]
    received = [found for server, found in counted if server.name not in leaving and not server.terminating]
    return Arrivals(
        moved=sum(found.moved for _, found in counted),
        arrived=sum(found.connects_succeeded for found in received),
        failed=sum(found.connects_failed for found in received),
    )


def next_hold(
    world: World,
    fleet: Fleet,
    retiring: Sequence[Server],
    backplane: Backplane,
    before: Hold | None,
    now: datetime,
    impossible: str | None = None,
) -> Hold | None:
    """Return the hold that is in force or kept; None when no server is to leave, or there was no reason to stop.

    An old ReplicaSet that wants pods counts as servers that are to leave: they may not have been seen yet.
    `impossible` says why the plan cannot work; None when it can.
    """
    if not retiring and not any(count for revision, count in fleet.replicas.items() if revision != fleet.target):
        return None
    evidence = _evidence(world, fleet, retiring, backplane, before, now)
    if evidence is None and impossible is not None:
        evidence = Reason.PLAN_REJECTED, impossible, RELEASE_SECONDS
    if evidence is None:
        return before
    reason, message, seconds = evidence
    again = reason is Reason.MOVED_NOT_ARRIVING and (before is None or not before.in_force(now))
    count = (before.count if before is not None else 0) + int(again)
    if reason is Reason.MOVED_NOT_ARRIVING:
        seconds = min(LONGEST_RELEASE_SECONDS, seconds * 2.0 ** min(count - 1, 16))
    until = now + timedelta(seconds=seconds)
    if before is None or not before.in_force(now) or before.reason is not reason:
        return Hold(reason, message, now, until, count)
    if before.until - now > timedelta(seconds=seconds / 2):
        return before
    return Hold(reason, before.message, before.since, until, count)


def brake(hold: Hold | None, found: Arrivals, now: datetime) -> Brake:
    """Return the limits of the step."""
    held = hold is not None and hold.in_force(now)
    return Brake(
        freeze=held and hold is not None and hold.reason in FREEZING_REASONS,
        stop=held,
        unconfirmed=not found.confirmed,
        careful=hold is not None and hold.count > 0,
    )


def contact_rest(world: World, now: datetime) -> float:
    """Return the seconds for which the operator has still to watch the servers before it trusts what it sees."""
    if world.contact_since is None:
        return 0.0
    return max(0.0, CONTACT_SECONDS - (now - world.contact_since).total_seconds())


def is_watched(world: World, now: datetime) -> bool:
    """Return True while the operator sees what the servers do, and has for long enough to trust it."""
    return world.stale_since is None and contact_rest(world, now) == 0


def _evidence(
    world: World,
    fleet: Fleet,
    retiring: Sequence[Server],
    backplane: Backplane,
    before: Hold | None,
    now: datetime,
) -> tuple[Reason, str, float] | None:
    """Return the first reason to stop, its message, and its duration from now in seconds."""
    if world.status_refused is not None:
        return Reason.STATUS_REFUSED, f"the status cannot be written: {world.status_refused}", RELEASE_SECONDS
    if world.stale_since is not None:
        age = max(0, round((now - world.stale_since).total_seconds()))
        return Reason.OBSERVATION_STALE, f"the last observation of the servers is {age} s old", CONTACT_SECONDS
    rest = contact_rest(world, now)
    if rest > 0:
        return Reason.JUST_CONNECTED, "the operator has just started to watch the servers", rest
    if backplane.ready is False and not _repairs(fleet):
        return Reason.BACKPLANE_UNAVAILABLE, backplane.message, RELEASE_SECONDS
    lost = [server for server in fleet.live if server.serving and just_lost(server, now)]
    serving = [server for server in fleet.live if server.serving and (server.ready or just_lost(server, now))]
    if len(lost) >= 2 and 2 * len(lost) >= len(serving):
        message = f"{len(lost)} of {len(serving)} servers have stopped being ready within a minute"
        return Reason.FLEET_UNREADY, message, RELEASE_SECONDS
    return _not_arriving(fleet, retiring, before, now)


def _repairs(fleet: Fleet) -> bool:
    """Return True when the target's servers are linked and only old ones are cut off: then moving connections helps."""
    linked = [s for s in fleet.available if s.report is not None and s.report.backplane_healthy]
    cut = [s for s in fleet.live if s.report is not None and not s.report.backplane_healthy]
    return any(s.revision == fleet.target for s in linked) and all(s.revision != fleet.target for s in cut)


def _not_arriving(
    fleet: Fleet, retiring: Sequence[Server], before: Hold | None, now: datetime
) -> tuple[Reason, str, float] | None:
    found = arrivals(fleet, retiring)
    goes_on = (
        before is not None
        and before.reason is Reason.MOVED_NOT_ARRIVING
        and before.in_force(now)
        and found.failed >= MOVED_FEW
        and found.failed > found.arrived
    )
    if not found.refused and not goes_on:
        return None
    message = (
        f"of {found.moved} connections moved in the last 30 s, {found.arrived} arrived,"
        f" and {found.failed} connects failed{failures_text(fleet.available)}"
    )
    return Reason.MOVED_NOT_ARRIVING, message, ARRIVAL_RELEASE_SECONDS


def failures_text(servers: Sequence[Server]) -> str:
    """Return the codes of failed connects, most frequent first; empty when none is known."""
    counts: dict[str, int] = {}
    for server in servers:
        recent = server.report.recent if server.report is not None else None
        for code, count in (recent.failures if recent is not None else {}).items():
            counts[code] = counts.get(code, 0) + count
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return f" ({', '.join(f'code {code}: {count}' for code, count in ordered[:3])})" if ordered else ""
