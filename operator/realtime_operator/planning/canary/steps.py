"""Canary steps of a rollout: how many servers of a new revision there may be until its gates have passed. Pure.

A step begins with servers of the new revision up to its share, in place of as many old ones (`Moving`). Its hold begins
when they serve (`Holding`), and anew when further ones join them, or one is replaced. Gates are judged from the begin
of the step on. A failed gate ends the step at once: the rollout stays where it is (`Paused`), or the current revision
becomes the target again (`RolledBack`), and the failed one is not tried again until the spec changes. At least one
server of the current revision stays until the last step has passed, so that there is always a way back.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from realtime_operator.planning.canary.gates import (
    REQUIRED,
    Gate,
    GatePolicy,
    GateResult,
    Outcome,
    Sides,
    all_pass,
    failed,
    judge,
    needs_probe,
)
from realtime_operator.planning.canary.span import Span, next_span
from realtime_operator.planning.model.timestamps import timestamp
from realtime_operator.planning.model.world import Server
from realtime_operator.planning.moving.fleet import CanaryLimits, Fleet

PROBE_AGAIN_SECONDS = 10.0
"""Age of a result after which a server is probed again, while too few clients connect."""


class Phase(StrEnum):
    """Phase of the canary: of its step, or its end."""

    MOVING = "Moving"
    HOLDING = "Holding"
    PAUSED = "Paused"
    ROLLED_BACK = "RolledBack"
    PASSED = "Passed"


UNDER_WAY = frozenset({Phase.MOVING, Phase.HOLDING})
"""Phases in which gates are judged."""


class OnFailure(StrEnum):
    """Effect of a failed gate."""

    PAUSE = "Pause"
    ROLLBACK = "Rollback"


@dataclass(frozen=True, slots=True)
class Step:
    """One step: its part of the servers, above 0 and up to 1, and the seconds for which it must do well."""

    share: float
    hold_seconds: float

    def servers(self, desired: int) -> int:
        """Return the number of new servers: the share of the wanted number, rounded up."""
        return min(desired, math.ceil(round(self.share * desired, 6)))

    def spare(self, desired: int) -> int:
        """Return 1 when the other part, rounded up as well, needs a server above the wanted number; 0 otherwise."""
        return self.servers(desired) + math.ceil(round((1 - self.share) * desired, 6)) - desired

    @property
    def percent(self) -> int:
        """The share as a whole percentage."""
        return round(self.share * 100)


@dataclass(frozen=True, slots=True)
class CanaryPolicy:
    """`spec.rollout.canary`. A change of `resumed_at` forgives a failure: what has failed is tried again.

    `deadline_seconds` is the time for a step to begin its hold, and for its gates to be decided after it. `by_route`: a
    route gives each revision its share of the new connections, so that each has the servers for it (see `traffic`).
    """

    steps: tuple[Step, ...]
    on_failure: OnFailure
    gates: GatePolicy
    deadline_seconds: float
    resumed_at: str = ""
    by_route: bool = False

    def wanted(self, step: int, desired: int) -> CanaryLimits:
        """Return the numbers of new and old servers in a step, counted from 1; `current` is left empty."""
        found = self.steps[step - 1]
        new, spare = found.servers(desired), found.spare(desired) if self.by_route else 0
        return CanaryLimits("", new, max(1, desired + spare - new), spare)


@dataclass(frozen=True, slots=True)
class CanaryState:
    """State of the canary, stored in `.status.canary`.

    `made_of` is the hash of the spec that made `revision`. `step` counts from 1 and began at `begun`, the phase at
    `since`. `failed` is the gate that ended it, and `resumed_at` the value of the policy at that time.
    """

    revision: str
    made_of: str
    step: int
    phase: Phase
    begun: datetime
    since: datetime
    results: tuple[GateResult, ...] = ()
    failed: Gate | None = None
    message: str = ""
    resumed_at: str = ""

    def rejects(self, made_of: str, policy: CanaryPolicy | None) -> bool:
        """Return True when a spec is not tried: its revision was rolled back, and that was not forgiven."""
        tried = self.phase is Phase.ROLLED_BACK and self.made_of == made_of
        return tried and policy is not None and policy.resumed_at == self.resumed_at


@dataclass(frozen=True, slots=True)
class View:
    """What a canary is judged by.

    `current` is the revision that served last as a whole. `failure` is one that was found elsewhere. `trusted`: the
    servers have been observed without interruption. `percent` is what the route gives to the tried revision, None while
    it does not divide new connections.
    """

    fleet: Fleet
    current: str | None
    made_of: str
    now: datetime
    failure: GateResult | None = None
    trusted: bool = True
    percent: int | None = None


@dataclass(frozen=True, slots=True)
class Canary:
    """Decision about a canary: its state, the limits of the rollout, and the servers to be probed now.

    `percent` is that of the View.
    """

    state: CanaryState
    limits: CanaryLimits | None = None
    span: Span | None = None
    probes: tuple[Server, ...] = ()
    percent: int | None = None


def next_canary(
    policy: CanaryPolicy | None, view: View, before: CanaryState | None, span: Span | None
) -> Canary | None:
    """Return the canary of now; None when no revision is tried, and none was rolled back.

    `span` is that of the reconcile before, None at the operator's first one.
    """
    if before is not None and before.rejects(view.made_of, policy) and view.fleet.target == view.current:
        return Canary(before, percent=view.percent)
    if policy is None or not _applies(view):
        return None
    state = _begun(policy, view, before)
    if not view.trusted or state.phase not in UNDER_WAY:
        return Canary(state, limits_of(policy, view, state), span, percent=view.percent)
    sides = _sides(policy, view, state)
    name = f"{state.revision}/{state.step}/{timestamp(state.begun)}"
    span = next_span(span, name, (*sides.canary, *sides.baseline), state.revision, view.now)
    state = _advanced(policy, view, state, sides, span)
    probes = _to_probe(policy, sides, span, view.now) if state.phase in UNDER_WAY else ()
    return Canary(state, limits_of(policy, view, state), span, probes, view.percent)


def limits_of(policy: CanaryPolicy, view: View, state: CanaryState) -> CanaryLimits | None:
    """Return the limits of the rollout in a state; None when it has none. An ended canary stays as it is."""
    fleet, current = view.fleet, view.current or ""
    if state.phase is Phase.PASSED:
        return None
    wanted = replace(policy.wanted(state.step, fleet.desired), current=current)
    if state.phase in UNDER_WAY:
        return wanted
    kept = len(fleet.live) - fleet.live_of(fleet.target)
    return replace(wanted, target=fleet.target_replicas, kept=kept)


def _applies(view: View) -> bool:
    """Return True while a revision is to replace another one that serves, and that can be gone back to."""
    fleet, current = view.fleet, view.current
    if current is None or current == fleet.target or fleet.desired == 0:
        return False
    return fleet.replicas.get(current, 0) > 0 or fleet.live_of(current) > 0


def _begun(policy: CanaryPolicy, view: View, before: CanaryState | None) -> CanaryState:
    """Return the state to go on from: a new one for another revision, the step anew when its failure was forgiven."""
    now, target = view.now, view.fleet.target
    if before is None or before.revision != target or before.phase is Phase.ROLLED_BACK:
        return CanaryState(target, view.made_of, 1, Phase.MOVING, now, now)
    if before.phase is Phase.PAUSED and before.resumed_at != policy.resumed_at:
        return CanaryState(target, view.made_of, min(before.step, len(policy.steps)), Phase.MOVING, now, now)
    return replace(before, step=min(before.step, len(policy.steps)))


def _sides(policy: CanaryPolicy, view: View, state: CanaryState) -> Sides:
    live = view.fleet.live
    return Sides(
        canary=tuple(server for server in live if server.revision == state.revision),
        baseline=tuple(server for server in live if server.revision == view.current),
        wanted=policy.steps[state.step - 1].servers(view.fleet.desired),
    )


def _advanced(policy: CanaryPolicy, view: View, state: CanaryState, sides: Sides, span: Span) -> CanaryState:
    """Return the next state of a step: it fails, begins its hold, goes on holding, or gives way to the next step."""
    now, step = view.now, policy.steps[state.step - 1]
    results = judge(sides, span, policy.gates, now)
    state = replace(state, results=results)
    is_divided = not policy.by_route or view.percent == step.percent
    if state.phase is Phase.HOLDING:
        state = replace(state, since=_held_since(state, sides, span, now) if is_divided else now)
    failure = failed(results) or view.failure or _late(policy, step, state, now)
    if failure is not None:
        phase = Phase.PAUSED if policy.on_failure is OnFailure.PAUSE else Phase.ROLLED_BACK
        return replace(
            state, phase=phase, since=now, failed=failure.gate, message=failure.message, resumed_at=policy.resumed_at
        )
    if state.phase is Phase.MOVING:
        moved = is_divided and _is_moved(view, policy.wanted(state.step, view.fleet.desired))
        return replace(state, phase=Phase.HOLDING, since=now) if moved else state
    if (now - state.since).total_seconds() < step.hold_seconds or not all_pass(results):
        return state
    if state.step == len(policy.steps):
        return replace(state, phase=Phase.PASSED, since=now)
    return CanaryState(state.revision, state.made_of, state.step + 1, Phase.MOVING, now, now, results)


def _is_moved(view: View, wanted: CanaryLimits) -> bool:
    """Return True when the new servers of the step serve, and no more old ones than shall stay."""
    fleet = view.fleet
    available = sum(1 for server in fleet.available if server.revision == fleet.target)
    old = len(fleet.live) - fleet.live_of(fleet.target)
    return available >= wanted.target and old <= wanted.kept


def _held_since(state: CanaryState, sides: Sides, span: Span, now: datetime) -> datetime:
    """Return since when the servers of the step hold: the last of them may have become ready in the hold.

    So it is after a scale-up, and after the drain of one of them. While that drains, and when nobody has watched the
    begin of the hold, it begins now.
    """
    ready = sorted(server.ready_since or state.since for server in sides.staying if server.ready)
    if span.since > state.since or (len(ready) < sides.wanted and len(sides.staying) < len(sides.canary)):
        return now
    latest = ready[sides.wanted - 1] if len(ready) >= sides.wanted else state.since
    return max(state.since, min(latest, now))


def _late(policy: CanaryPolicy, step: Step, state: CanaryState, now: datetime) -> GateResult | None:
    """Return the gate that is still undecided when the time for it is over."""
    if state.phase is not Phase.HOLDING:
        return None
    if (now - state.since).total_seconds() < step.hold_seconds + policy.deadline_seconds:
        return None
    undecided = next((r for r in state.results if r.gate in REQUIRED and r.outcome is Outcome.UNDECIDED), None)
    if undecided is None:
        return None
    message = f"undecided {policy.deadline_seconds:g} s after the hold: {undecided.message}"
    return replace(undecided, outcome=Outcome.FAILED, message=message)


def _to_probe(policy: CanaryPolicy, sides: Sides, span: Span, now: datetime) -> tuple[Server, ...]:
    """Return the new servers without a recent result of a probe, while too few clients connect."""
    if not needs_probe(sides, span, policy.gates):
        return ()
    oldest = min(PROBE_AGAIN_SECONDS, (now - span.since).total_seconds())
    return tuple(
        server
        for server in sides.staying
        if server.ready
        and server.report is not None
        and (server.report.probe is None or server.report.probe.age_seconds > oldest)
    )
