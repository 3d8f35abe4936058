"""Gates: whether the servers of a new revision do as well as those of the current one in the same span. Pure.

What cannot be read is never good. Where clients do too little for a judgement, a probe of the new servers decides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from realtime_operator.planning.canary.span import Span
from realtime_operator.planning.model import totals
from realtime_operator.planning.model.totals import Totals
from realtime_operator.planning.model.world import ProbeReport, Server

GRACE = timedelta(seconds=30)
"""Time for which a new server may be unready, silent or without the backplane before its gate fails."""
SLOWER = 2.5
"""Factor by which times of the new servers may exceed those of the others: that of two buckets of the histograms."""
EXPECTED_ENDS = frozenset({"3000", "3001", "3011"})
"""Codes of connections that the client closed, and of those that a server closed because it is drained or stops."""
BACKEND = "other"
"""Code of all answers of the backend."""
NO_TOKEN = "101"  # noqa: S105 - a code
CRASHES = "CrashLoopBackOff"


class Gate(StrEnum):
    """Aspect of the new servers that is judged."""

    OBSERVATION = "Observation"
    READINESS = "Readiness"
    BACKPLANE = "Backplane"
    CONNECTS = "Connects"
    CONNECT_TIME = "ConnectTime"
    RECOVERIES = "Recoveries"
    ERRORS = "Errors"
    DISCONNECTS = "Disconnects"
    DELIVERY_TIME = "DeliveryTime"


REQUIRED = frozenset({Gate.OBSERVATION, Gate.READINESS, Gate.BACKPLANE, Gate.CONNECTS})
"""Gates that must pass; of the others it is enough that none fails, as too little may happen for a judgement."""


class Outcome(StrEnum):
    """Outcome of a gate so far."""

    PASSED = "Passed"
    FAILED = "Failed"
    UNDECIDED = "Undecided"


@dataclass(frozen=True, slots=True)
class GateResult:
    """Outcome of a gate, with the numbers that it follows from."""

    gate: Gate
    outcome: Outcome
    message: str


@dataclass(frozen=True, slots=True)
class GatePolicy:
    """Limits. `tolerance` is the part of events that may fail beyond the part at the baseline.

    Times up to `connect_seconds` and `delivery_seconds` are always good. With fewer than `minimum_events` a part is not
    judged.
    """

    minimum_events: int = 20
    tolerance: float = 0.05
    connect_seconds: float = 1.0
    delivery_seconds: float = 1.0


@dataclass(frozen=True, slots=True)
class Sides:
    """Servers that are compared: `canary` are to be the new ones, `baseline` those of the current revision.

    `wanted` is the number of new servers of the step.
    """

    canary: tuple[Server, ...]
    baseline: tuple[Server, ...]
    wanted: int

    @property
    def staying(self) -> tuple[Server, ...]:
        """The new servers but for those that the operator has quiesced, as for a drained node or a smaller number.

        They are not ready, are not probed, and may end. What they have counted is judged, their state is not.
        """
        return tuple(server for server in self.canary if server.serving)


def judge(sides: Sides, span: Span, policy: GatePolicy, now: datetime) -> tuple[GateResult, ...]:
    """Judge all gates by what happened in the span so far."""
    new, old = span.counted(sides.canary), span.counted(sides.baseline)
    held = _held(sides.canary, new), _held(sides.baseline, old)
    return (
        _observation(sides, span, now),
        _readiness(sides, now),
        _backplane(sides, span, now),
        _connects(sides, new, old, policy, _probes(sides, span, now)),
        _time(Gate.CONNECT_TIME, totals.CONNECT_SECONDS, new, old, policy.connect_seconds, policy),
        _recoveries(new, old, policy),
        _by_code(Gate.ERRORS, "commands", new, old, policy, _messages(new), _messages(old), totals.COMMANDS_FAILED),
        _by_code(Gate.DISCONNECTS, "connections", new, old, policy, *held, totals.DISCONNECTS),
        _time(Gate.DELIVERY_TIME, totals.DELIVERY_SECONDS, new, old, policy.delivery_seconds, policy),
    )


def failed(results: Iterable[GateResult]) -> GateResult | None:
    """Return the first failed gate; None when there is none."""
    return next((result for result in results if result.outcome is Outcome.FAILED), None)


def all_pass(results: Sequence[GateResult]) -> bool:
    """Return True when no gate has failed, and all required ones have passed."""
    passed = {result.gate for result in results if result.outcome is Outcome.PASSED}
    return failed(results) is None and passed >= REQUIRED


def needs_probe(sides: Sides, span: Span, policy: GatePolicy) -> bool:
    """Return True while too few clients have connected to the new servers for a judgement."""
    return _attempts(span.counted(sides.canary)) < policy.minimum_events


def _observation(sides: Sides, span: Span, now: datetime) -> GateResult:
    silent = [server for server in sides.staying if server.uid in span.silent]
    late = [server for server in silent if now - span.silent[server.uid] >= GRACE]
    if late:
        return _failed(Gate.OBSERVATION, f"server {late[0].name} has not reported its totals for {_seconds(GRACE)}")
    read = sum(1 for server in sides.staying if server.uid in span.tallies)
    if silent or read < sides.wanted:
        return _undecided(Gate.OBSERVATION, f"{read - len(silent)} of {sides.wanted} new servers report")
    return _passed(Gate.OBSERVATION, f"{read} of {sides.wanted} new servers report")


def _readiness(sides: Sides, now: datetime) -> GateResult:
    for server in sides.staying:
        if server.waiting_reason == CRASHES:
            return _failed(Gate.READINESS, f"server {server.name} cannot start: {server.waiting_message or CRASHES}")
        since = server.unready_since
        if not server.ready and server.was_ready and since is not None and now - since >= GRACE:
            return _failed(Gate.READINESS, f"server {server.name} is not ready any more, for {_seconds(now - since)}")
    ready = sum(1 for server in sides.staying if server.ready)
    text = f"{ready} of {sides.wanted} new servers are ready"
    return _passed(Gate.READINESS, text) if ready >= sides.wanted else _undecided(Gate.READINESS, text)


def _backplane(sides: Sides, span: Span, now: datetime) -> GateResult:
    cut = [server for server in sides.staying if server.uid in span.unlinked]
    late = [server for server in cut if now - span.unlinked[server.uid] >= GRACE]
    others = [server for server in sides.baseline if server.report is not None and server.uid not in span.unlinked]
    if late and others:
        return _failed(Gate.BACKPLANE, f"server {late[0].name} has lost the backplane, others have not")
    linked = sum(1 for server in sides.staying if server.report is not None) - len(cut)
    text = f"{linked} of {sides.wanted} new servers are linked"
    return _passed(Gate.BACKPLANE, text) if linked >= sides.wanted and not cut else _undecided(Gate.BACKPLANE, text)


def _probes(sides: Sides, span: Span, now: datetime) -> list[ProbeReport | None]:
    """Return the results of probes in the span, by server; None where there is none yet."""
    probes = [server.report.probe if server.report is not None else None for server in sides.staying]
    length = (now - span.since).total_seconds()
    return [probe if probe is not None and probe.age_seconds <= length else None for probe in probes]


def _connects(
    sides: Sides, new: Totals, old: Totals, policy: GatePolicy, probes: Sequence[ProbeReport | None]
) -> GateResult:
    """Judge failed connects; a probe decides while there are too few.

    A probe that fails says nothing else than the connects of clients would, and is not outvoted by a few of them.
    """
    if _attempts(new) >= policy.minimum_events:
        return _share(Gate.CONNECTS, _failures_text(new), _refused(new), _refused(old), policy)
    few = f"{_attempts(new)} connects, fewer than {policy.minimum_events}"
    for probe in probes:
        if probe is not None and (why := why_failed(probe)) is not None:
            return _failed(Gate.CONNECTS, f"{few}; a probe {why}")
    if not probes or None in probes or len(probes) < sides.wanted:
        return _undecided(Gate.CONNECTS, f"{few}; the new servers are being probed")
    told = sorted({_probe_text(probe) for probe in probes if probe is not None})
    return _passed(Gate.CONNECTS, f"{few}; a probe {' and '.join(told)}")


def why_failed(probe: ProbeReport) -> str | None:
    """Return how a probe has failed; None when the server has answered as it should.

    A refusal by the backend is its answer; so is one of a client without a token, where only others can sign one.
    """
    if probe.code in {"", BACKEND} or (probe.code == NO_TOKEN and not probe.has_token):
        return None
    return f"got no answer in {probe.seconds:g} s" if probe.code == "timeout" else f"was refused with {probe.code}"


def _probe_text(probe: ProbeReport) -> str:
    if probe.code == BACKEND:
        return "was refused by the backend, which is an answer"
    if probe.code == NO_TOKEN:
        return "was refused as it has no token, which is an answer"
    return "has connected"


def _recoveries(new: Totals, old: Totals, policy: GatePolicy) -> GateResult:
    return _share(Gate.RECOVERIES, "recoveries were incomplete", _incomplete(new), _incomplete(old), policy)


def _by_code(
    gate: Gate, of: str, new: Totals, old: Totals, policy: GatePolicy, new_all: int, old_all: int, name: str
) -> GateResult:
    """Judge the part of each code: the worst one is told."""
    mine, theirs = new.by_label(name), old.by_label(name)
    codes = sorted((code for code in mine if code not in EXPECTED_ENDS), key=lambda code: (-mine[code], code))
    results = [
        _share(gate, f"{of} ended with code {code}", (mine[code], new_all), (theirs.get(code, 0), old_all), policy)
        for code in codes
    ]
    return failed(results) or next(iter(results), None) or _share(gate, f"{of} failed", (0, new_all), (0, 0), policy)


def _share(gate: Gate, what: str, new: tuple[int, int], old: tuple[int, int], policy: GatePolicy) -> GateResult:
    """Judge the part of bad events, each (bad, all), against that of the baseline.

    Few events of the baseline count as that part of `minimum_events`: a single bad one of them excuses nothing.
    """
    text = f"{new[0]} of {new[1]} {what}, {old[0]} of {old[1]} at the others"
    if new[1] < policy.minimum_events:
        return _undecided(gate, _too_few(text, policy))
    bad = new[0] / new[1] > old[0] / max(policy.minimum_events, old[1]) + policy.tolerance
    return _failed(gate, text) if bad else _passed(gate, text)


def _time(gate: Gate, name: str, new: Totals, old: Totals, good: float, policy: GatePolicy) -> GateResult:
    mine, theirs = new.percentile(name, 0.99), old.percentile(name, 0.99)
    enough, known = (side.sum(name) >= policy.minimum_events for side in (new, old))
    text = f"{_within(new.sum(name), mine)}, at the others {_within(old.sum(name), theirs)}"
    if mine is None or not enough:
        return _undecided(gate, _too_few(text, policy))
    slow = mine > good and (theirs is None or not known or mine > SLOWER * theirs)
    return _failed(gate, text) if slow else _passed(gate, text)


def _within(count: int, seconds: float | None) -> str:
    if seconds is None:
        return "none yet"
    return f"99% of {count} {f'within {seconds:g} s' if seconds != float('inf') else 'in more than can be counted'}"


def _too_few(text: str, policy: GatePolicy) -> str:
    return f"{text}; judged from {policy.minimum_events} on"


def _refused(side: Totals) -> tuple[int, int]:
    return side.sum(totals.CONNECTS_FAILED), _attempts(side)


def _incomplete(side: Totals) -> tuple[int, int]:
    lost = side.sum(totals.RECOVERIES_FAILED)
    return lost, lost + side.sum(totals.RECOVERIES)


def _attempts(side: Totals) -> int:
    return side.sum(totals.CONNECTS) + side.sum(totals.CONNECTS_FAILED)


def _failures_text(side: Totals) -> str:
    codes = sorted(side.by_label(totals.CONNECTS_FAILED).items(), key=lambda item: (-item[1], item[0]))
    why = f" ({', '.join(f'code {code}: {count}' for code, count in codes[:3])})" if codes else ""
    return f"connects failed{why}"


def _messages(side: Totals) -> int:
    return side.sum(totals.MESSAGES)


def _held(servers: Iterable[Server], side: Totals) -> int:
    """Return the number of connections that could have ended in the span: those that are there, or have ended."""
    there = sum(server.report.connections for server in servers if server.report is not None)
    return there + side.sum(totals.DISCONNECTS)


def _seconds(time: timedelta) -> str:
    return f"{time.total_seconds():.0f} s"


def _of(outcome: Outcome) -> Callable[[Gate, str], GateResult]:
    return lambda gate, message: GateResult(gate, outcome, message)


_passed, _failed, _undecided = _of(Outcome.PASSED), _of(Outcome.FAILED), _of(Outcome.UNDECIDED)
