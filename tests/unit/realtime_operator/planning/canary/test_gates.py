"""Gates: the new servers against those of the current revision in the same span."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_operator.planning.canary.gates import (
    GRACE,
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
from realtime_operator.planning.canary.span import Span, Tally
from realtime_operator.planning.model import totals
from realtime_operator.planning.model.totals import Counts, Totals
from realtime_operator.planning.model.world import ProbeReport, Server, ServerReport, ServerState
from tests.unit.realtime_operator.planning.simulation import START

NOW = START + timedelta(minutes=5)
POLICY = GatePolicy()
GOOD: Counts = {(totals.CONNECTS, ""): 100}
PASSED, FAILED, UNDECIDED = Outcome.PASSED, Outcome.FAILED, Outcome.UNDECIDED


def server(name: str, *, connections: int = 0, probe: ProbeReport | None = None, linked: bool = True) -> Server:
    """Return a ready server that answers."""
    report = ServerReport(ServerState.SERVING, connections, probe=probe, backplane_healthy=linked, totals=Totals())
    return Server(name, name, name, START, ready=True, was_ready=True, report=report)


def results(
    new: Counts, old: Counts, *, canary: Server | None = None, span: Span | None = None, policy: GatePolicy = POLICY
) -> dict[Gate, GateResult]:
    """Judge a new server against an old one that have counted these in the span."""
    sides = Sides((canary or server("new"),), (server("old"),), 1)
    tallies = {name: Tally(Totals(), Totals(1.0, counts)) for name, counts in (("new", new), ("old", old))}
    used = replace(span or Span("step", START), tallies=tallies)
    return {result.gate: result for result in judge(sides, used, policy, NOW)}


def outcome(gate: Gate, new: Counts, old: Counts) -> Outcome:
    """Return the outcome of one gate."""
    return results(new, old)[gate].outcome


def test_servers_that_do_as_well_as_the_others_pass() -> None:
    found = results(GOOD, GOOD)
    assert all_pass(tuple(found.values()))
    assert failed(found.values()) is None
    assert {gate for gate, result in found.items() if result.outcome is PASSED} >= REQUIRED


@pytest.mark.parametrize(
    ("bad", "everything", "expected"),
    [(0, 100, PASSED), (5, 100, PASSED), (6, 100, FAILED), (19, 19, UNDECIDED), (20, 20, FAILED)],
)
@pytest.mark.parametrize(
    ("gate", "name", "base"),
    [
        (Gate.RECOVERIES, (totals.RECOVERIES_FAILED, ""), (totals.RECOVERIES, "")),
        (Gate.DISCONNECTS, (totals.DISCONNECTS, "3012"), (totals.DISCONNECTS, "3000")),
    ],
)
def test_more_bad_events_than_are_tolerated_fail(
    gate: Gate, name: tuple[str, str], base: tuple[str, str], bad: int, everything: int, expected: Outcome
) -> None:
    """A part of few events says nothing."""
    assert outcome(gate, {name: bad, base: everything - bad}, {}) is expected


@pytest.mark.parametrize(
    ("gate", "name"), [(Gate.ERRORS, totals.COMMANDS_FAILED), (Gate.CONNECTS, totals.CONNECTS_FAILED)]
)
def test_what_goes_wrong_everywhere_is_not_held_against_the_new_servers(gate: Gate, name: str) -> None:
    """Only what goes beyond the others counts."""
    bad: Counts = {(name, "100"): 50, (totals.MESSAGES, ""): 100, (totals.CONNECTS, ""): 50}
    assert outcome(gate, bad, bad) is PASSED
    assert outcome(gate, bad, {(totals.MESSAGES, ""): 100, (totals.CONNECTS, ""): 100}) is FAILED


@pytest.mark.parametrize(("everything", "expected"), [(1, FAILED), (10, FAILED), (18, FAILED), (19, PASSED)])
def test_a_few_bad_events_at_the_others_excuse_nothing(everything: int, expected: Outcome) -> None:
    """All that the others did went wrong, by chance: that is not a part of all that the new servers may do wrong."""
    name = (totals.RECOVERIES_FAILED, "")
    assert outcome(Gate.RECOVERIES, {name: 100}, {name: everything}) is expected


def test_each_code_is_judged_by_itself() -> None:
    """A new code is not outweighed by another one that has become rarer."""
    old: Counts = {(totals.COMMANDS_FAILED, "103"): 30, (totals.MESSAGES, ""): 100}
    new: Counts = {(totals.COMMANDS_FAILED, "100"): 20, (totals.MESSAGES, ""): 100}
    result = results(new, old)[Gate.ERRORS]
    assert result.outcome is FAILED
    assert result.message == "20 of 100 commands ended with code 100, 0 of 100 at the others"


def test_connections_that_were_moved_or_closed_by_clients_are_not_counted_as_lost() -> None:
    counts: Counts = {(totals.DISCONNECTS, code): 100 for code in ("3000", "3001", "3011")}
    assert outcome(Gate.DISCONNECTS, counts, {}) is PASSED


@pytest.mark.parametrize(
    ("mine", "theirs", "expected"),
    [("1.0", "0.005", PASSED), ("2.5", "1.0", PASSED), ("2.5", "0.5", FAILED), ("+Inf", "10.0", FAILED)],
)
@pytest.mark.parametrize(
    ("gate", "name"), [(Gate.CONNECT_TIME, totals.CONNECT_SECONDS), (Gate.DELIVERY_TIME, totals.DELIVERY_SECONDS)]
)
def test_slow_is_what_is_slower_than_the_others_and_above_what_is_good(
    gate: Gate, name: str, mine: str, theirs: str, expected: Outcome
) -> None:
    assert outcome(gate, {(name, mine): 20}, {(name, theirs): 20}) is expected
    assert outcome(gate, {(name, mine): 19}, {(name, theirs): 20}) is UNDECIDED


def test_one_slow_event_at_the_others_excuses_nothing() -> None:
    """Where they did too little for a comparison, the limit alone counts."""
    name = totals.CONNECT_SECONDS
    assert outcome(Gate.CONNECT_TIME, {(name, "5.0"): 20}, {(name, "10.0"): 1}) is FAILED
    assert outcome(Gate.CONNECT_TIME, {(name, "5.0"): 20}, {(name, "10.0"): 20}) is PASSED


@pytest.mark.parametrize(
    ("probe", "expected"),
    [
        (ProbeReport("", has_token=True), PASSED),
        (ProbeReport("100"), FAILED),
        (ProbeReport("timeout"), FAILED),
        (ProbeReport("3500", has_token=True), FAILED),
        (ProbeReport("other"), PASSED),
        (ProbeReport("101"), PASSED),
        (ProbeReport("101", has_token=True), FAILED),
        (ProbeReport("", age_seconds=301), UNDECIDED),
        (None, UNDECIDED),
    ],
)
def test_a_probe_decides_where_few_clients_connect(probe: ProbeReport | None, expected: Outcome) -> None:
    """A refusal by the backend is an answer; a result from before the span is none."""
    assert results({}, GOOD, canary=server("new", probe=probe))[Gate.CONNECTS].outcome is expected


def test_clients_decide_where_there_are_enough() -> None:
    """Then no probe is needed."""
    found = results(GOOD, GOOD, canary=server("new", probe=ProbeReport("100")))
    assert found[Gate.CONNECTS].outcome is PASSED
    span = Span("step", START, {"new": Tally(Totals(), Totals(1.0, GOOD))})
    sides = Sides((server("new"),), (), 1)
    assert not needs_probe(sides, span, POLICY)
    assert needs_probe(sides, Span("step", START), POLICY)


def test_a_silent_server_is_undecided_and_then_fails() -> None:
    silent = replace(server("new"), report=None)
    for since, expected in ((NOW - GRACE / 2, UNDECIDED), (NOW - GRACE, FAILED)):
        found = results(GOOD, GOOD, canary=silent, span=Span("step", START, silent={"new": since}))
        assert found[Gate.OBSERVATION].outcome is expected
        assert not all_pass(tuple(found.values()))


def test_a_server_that_stops_being_ready_fails() -> None:
    for since, expected in ((NOW - GRACE / 2, UNDECIDED), (NOW - GRACE, FAILED)):
        unready = replace(server("new"), ready=False, unready_since=since)
        assert results(GOOD, GOOD, canary=unready)[Gate.READINESS].outcome is expected


@pytest.mark.parametrize("serving", [True, False])
def test_the_state_of_a_quiesced_server_is_not_judged(*, serving: bool) -> None:
    """The operator has caused it, and another one is to take its place: until then nothing passes."""
    state = replace(
        server("new", linked=False, probe=ProbeReport("timeout")),
        serving=serving, ready=False, unready_since=NOW - GRACE, waiting_reason="CrashLoopBackOff",
    )  # fmt: skip
    span = Span("step", START, silent={"new": NOW - GRACE}, unlinked={"new": NOW - GRACE})
    found = results({}, {}, canary=state, span=span)
    judged = {gate: found[gate].outcome for gate in REQUIRED}
    assert judged == dict.fromkeys(REQUIRED, FAILED if serving else UNDECIDED)


def test_a_server_that_crashes_fails_at_once() -> None:
    crashing = replace(server("new"), ready=False, was_ready=False, report=None, waiting_reason="CrashLoopBackOff")
    assert results(GOOD, GOOD, canary=crashing)[Gate.READINESS].outcome is FAILED


def test_a_lost_backplane_fails_where_the_others_have_it() -> None:
    """What all have lost is no fault of the new servers, but they do not pass."""
    cut = server("new", linked=False)
    late = Span("step", START, unlinked={"new": NOW - GRACE})
    assert results(GOOD, GOOD, canary=cut, span=late)[Gate.BACKPLANE].outcome is FAILED
    all_late = replace(late, unlinked={"new": NOW - GRACE, "old": NOW - GRACE})
    found = results(GOOD, GOOD, canary=cut, span=all_late)
    assert found[Gate.BACKPLANE].outcome is UNDECIDED
    assert not all_pass(tuple(found.values()))


NAMES = (
    totals.CONNECTS_FAILED, totals.COMMANDS_FAILED, totals.DISCONNECTS, totals.CONNECT_SECONDS, totals.DELIVERY_SECONDS,
)  # fmt: skip
counts = st.dictionaries(
    st.one_of(
        st.sampled_from([(name, "") for name in (totals.CONNECTS, totals.MESSAGES, totals.RECOVERIES_FAILED)]),
        st.tuples(st.sampled_from(NAMES[:3]), st.sampled_from(["100", "3000", "3012", "other"])),
        st.tuples(st.sampled_from(NAMES[3:]), st.sampled_from(["0.005", "1.0", "+Inf"])),
    ),
    st.integers(0, 500),
)


def test_what_is_undecided_says_what_it_lacks() -> None:
    """The numbers so far, and how many are needed."""
    found = results({(totals.MESSAGES, ""): 9}, {})
    assert found[Gate.ERRORS].message == "0 of 9 commands failed, 0 of 0 at the others; judged from 20 on"
    assert found[Gate.CONNECT_TIME].message == "none yet, at the others none yet; judged from 20 on"
    few = results({(totals.CONNECT_SECONDS, "0.005"): 3}, {(totals.CONNECT_SECONDS, "0.01"): 40})[Gate.CONNECT_TIME]
    assert few.message == "99% of 3 within 0.005 s, at the others 99% of 40 within 0.01 s; judged from 20 on"


@given(new=counts, old=counts, readable=st.booleans())
def test_whatever_was_counted_there_is_a_verdict_and_the_unreadable_never_passes(
    new: Counts, old: Counts, *, readable: bool
) -> None:
    """Every gate has a result with a message; equal counts never fail a gate that compares."""
    canary = server("new") if readable else replace(server("new"), report=None)
    found = results(new, old, canary=canary, span=Span("step", START, silent={} if readable else {"new": NOW}))
    assert set(found) == set(Gate)
    assert all(result.message for result in found.values())
    assert readable or not all_pass(tuple(found.values()))
    equal = results(new, new)
    compared = set(Gate) - REQUIRED - {Gate.CONNECT_TIME, Gate.DELIVERY_TIME}
    assert {result.outcome for gate, result in equal.items() if gate in compared} <= {PASSED, UNDECIDED}
