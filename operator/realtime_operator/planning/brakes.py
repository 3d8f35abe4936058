"""When nobody may be moved: why a rollout or a scale-in stops, and that it goes on by itself. Pure.

A brake keeps connections where they are. It does not stop what brings servers up, or what removes a server that
nobody is on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from realtime_operator.planning.backplane import Backplane
from realtime_operator.planning.fleet import Fleet, just_lost
from realtime_operator.planning.reasons import Reason
from realtime_operator.planning.world import Server, World

CONTACT_SECONDS = 5.0
"""After a start, or after a while without an answer, the platform is watched for so long before anybody is moved."""

RELEASE_SECONDS = 10.0
"""A stop outlives its reason by so long: what flaps does not move anybody in between."""

ARRIVAL_RELEASE_SECONDS = 30.0
"""The same for moved connections that did not arrive; it doubles each time that they do not."""

LONGEST_RELEASE_SECONDS = 600.0

FREEZING_REASONS = frozenset({Reason.OBSERVATION_STALE, Reason.JUST_CONNECTED, Reason.STATUS_REFUSED})
"""Reasons with which nothing is done with servers: the operator looks again first, or could not remember it."""

MOVED_ENOUGH = 20
"""Of so many that were moved, fewer than half arrived: stop. Fewer do when none arrived at all."""
MOVED_FEW = 5


@dataclass(frozen=True, slots=True)
class Brake:
    """Limits of a step.

    `freeze`: nothing on servers at all, what is known of them may be wrong. `stop`: move nobody, and put back who was
    to go. `unconfirmed`: connections were moved and are not seen to have arrived yet. `careful`: move few at a time.
    """

    freeze: bool = False
    stop: bool = False
    unconfirmed: bool = False
    careful: bool = False


NO_BRAKE = Brake()


@dataclass(frozen=True, slots=True)
class Hold:
    """A stop with its reason; it lives in `.status.hold`.

    It is in force until `until`, and remembered while servers are still to go. `count`: how often moved connections
    did not arrive.
    """

    reason: Reason
    message: str
    since: datetime
    until: datetime
    count: int = 0

    def in_force(self, now: datetime) -> bool:
        """True when nobody may be moved now."""
        return now < self.until


@dataclass(frozen=True, slots=True)
class Arrivals:
    """Fate of connections that were moved lately: `arrived` and `failed` are connects at the receivers."""

    moved: int
    arrived: int
    failed: int

    @property
    def confirmed(self) -> bool:
        """True when as many came as must have, if those that were moved did."""
        return self.moved < MOVED_FEW or 2 * self.arrived >= self.moved

    @property
    def refused(self) -> bool:
        """True when those that were moved are refused; clients that left for good fail nowhere and stop nothing."""
        enough = self.moved >= MOVED_ENOUGH or (self.moved >= MOVED_FEW and self.arrived == 0)
        return enough and not self.confirmed and 2 * self.failed >= self.moved - self.arrived


def arrivals(fleet: Fleet, retiring: Sequence[Server]) -> Arrivals:
    """Count over all servers; those of earlier releases count nothing."""
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
    world: World, fleet: Fleet, retiring: Sequence[Server], backplane: Backplane, before: Hold | None, now: datetime
) -> Hold | None:
    """The hold that is in force or remembered; None when no server is to go, or nothing has ever stopped this."""
    if not retiring:
        return None
    evidence = _evidence(world, fleet, retiring, backplane, before, now)
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


def _evidence(
    world: World,
    fleet: Fleet,
    retiring: Sequence[Server],
    backplane: Backplane,
    before: Hold | None,
    now: datetime,
) -> tuple[Reason, str, float] | None:
    """The first reason to stop, its message, and for how many seconds it lasts from now."""
    if world.status_refused is not None:
        return Reason.STATUS_REFUSED, f"the status cannot be written: {world.status_refused}", RELEASE_SECONDS
    if world.stale_since is not None:
        age = max(0, round((now - world.stale_since).total_seconds()))
        return Reason.OBSERVATION_STALE, f"what is known of the servers is {age} s old", CONTACT_SECONDS
    if world.contact_since is not None and now - world.contact_since < timedelta(seconds=CONTACT_SECONDS):
        rest = CONTACT_SECONDS - (now - world.contact_since).total_seconds()
        return Reason.JUST_CONNECTED, "the operator has just begun to watch the servers", rest
    if backplane.ready is False and not _repairs(fleet):
        return Reason.BACKPLANE_UNAVAILABLE, backplane.message, RELEASE_SECONDS
    lost = [server for server in fleet.live if server.serving and just_lost(server, now)]
    serving = [server for server in fleet.live if server.serving and (server.ready or just_lost(server, now))]
    if len(lost) >= 2 and 2 * len(lost) >= len(serving):
        message = f"{len(lost)} of {len(serving)} servers have stopped being ready within a minute"
        return Reason.FLEET_UNREADY, message, RELEASE_SECONDS
    return _not_arriving(fleet, retiring, before, now)


def _repairs(fleet: Fleet) -> bool:
    """True when a new server has what the old ones lack: then moving is what helps."""
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
        f"of {found.moved} connections that were moved in the last 30 s, {found.arrived} arrived,"
        f" and {found.failed} connects failed{failures_text(fleet.available)}"
    )
    return Reason.MOVED_NOT_ARRIVING, message, ARRIVAL_RELEASE_SECONDS


def failures_text(servers: Sequence[Server]) -> str:
    """The codes with which connects failed at servers, most frequent first; empty when none is known."""
    counts: dict[str, int] = {}
    for server in servers:
        recent = server.report.recent if server.report is not None else None
        for code, count in (recent.failures if recent is not None else {}).items():
            counts[code] = counts.get(code, 0) + count
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return f" ({', '.join(f'code {code}: {count}' for code, count in ordered[:3])})" if ordered else ""
