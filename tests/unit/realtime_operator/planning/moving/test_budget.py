"""Tests of the budget: the rate that the receiving servers can accept, by measurement, by observation and by limit."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_operator.planning.model.world import Recent, Server, ServerReport, ServerState
from realtime_operator.planning.moving.budget import (
    ADJUST_SECONDS,
    HIGHEST_FACTOR,
    LOWEST_FACTOR,
    Budget,
    DrainPolicy,
    accept_rate,
    connections_per_second,
    lost_connections,
    moving_rate,
    next_budget,
)
from realtime_operator.planning.moving.fleet import Fleet
from tests.unit.realtime_operator.planning.simulation import START

AUTO = DrainPolicy(None, 600, 5)


def server(cost: float | None = None, workers: int = 1, connections: int = 0, **changes: object) -> Server:
    """Return a receiving server with this measured cost of an accepted connection in CPU seconds."""
    report = ServerReport(
        ServerState.SERVING, connections, accept_cost_seconds=cost, workers=workers, recent=Recent(30, 0, 0, 0)
    )
    found = replace(report, **changes)  # type: ignore[arg-type] # names fields of ServerReport
    return Server("a", "a", "r", START, ready=True, was_ready=True, report=found)


def draining() -> Server:
    """Return a server that moves its connections."""
    leaving = server(connections=5, state=ServerState.DRAINING, drain_rate=1.0)
    return replace(leaving, name="b", serving=False, ready=False)


def fleet(*servers: Server) -> Fleet:
    """Return a fleet of these servers."""
    return Fleet("r", len(servers), {}, servers)


# by measurement


@pytest.mark.parametrize(
    ("cost", "workers", "expected"), [(0.001, 1, 250), (0.001, 4, 1000), (0.01, 1, 25), (None, 1, 50)]
)
def test_a_quarter_of_the_measured_capacity_may_be_used(cost: float | None, workers: int, expected: float) -> None:
    """An unmeasured server gets 50 connections per second."""
    assert accept_rate(server(cost, workers)) == expected


def test_auto_adds_up_the_receivers() -> None:
    assert connections_per_second(AUTO, [server(0.001), server(None)]) == 300


def test_a_given_rate_is_the_budget() -> None:
    assert connections_per_second(DrainPolicy(7, 600, 5), [server(0.001)]) == 7


def test_without_receivers_nothing_may_move() -> None:
    """A rate of the spec does not matter then."""
    assert connections_per_second(DrainPolicy(7, 600, 5), []) == 0


# by limit


@pytest.mark.parametrize(("limit", "expected"), [(None, 100), (1000, 100), (30, 20), (20, 0), (5, 0)])
def test_no_more_than_the_receivers_have_room_for(limit: int | None, expected: float) -> None:
    """A server that does not answer has room for as many as its limit."""
    policy = replace(AUTO, connections_per_server=limit)
    assert moving_rate(fleet(server(connections=20), server(connections=20)), policy) == expected


# by observation


def budgets(seen: Server, policy: DrainPolicy, seconds: int, *, before: Budget | None = None) -> list[Budget]:
    """Return the budget of every second while connections move to a server."""
    found, budget = [], before
    for second in range(seconds):
        now = START + timedelta(seconds=second)
        budget = next_budget(fleet(seen, draining()), policy, budget, 0, now, careful=False)
        found.append(budget)
    return found


def test_what_is_absorbed_well_becomes_more() -> None:
    """A tenth is added every ten seconds, up to twice the measured rate."""
    rates = [budget.rate for budget in budgets(server(), AUTO, 200)]
    assert rates[:11] == [50.0] * 10 + [55.0]
    assert rates[-1] == HIGHEST_FACTOR * 50


@pytest.mark.parametrize("report", [{"loop_lag_seconds": 0.5}, {"connect_seconds": 2.5}])
def test_what_is_absorbed_badly_is_halved(report: dict[str, float]) -> None:
    """The next change comes when the reports show the effect of this one."""
    usual = Budget(50, adjusted_at=START - timedelta(seconds=ADJUST_SECONDS), usual_connect_seconds=0.5)
    rates = [budget.rate for budget in budgets(server(**report), AUTO, 60, before=usual)]  # type: ignore[arg-type] # fields
    assert rates[:11] == [25.0] * 10 + [12.5]
    assert rates[-1] == LOWEST_FACTOR * 50


def test_clients_that_always_took_long_to_connect_are_no_reason() -> None:
    """A connect hook may need two seconds at any load."""
    slow = server(connect_seconds=2.5)
    assert budgets(slow, AUTO, 200)[-1].rate == 100


def test_a_given_rate_is_kept() -> None:
    fixed = DrainPolicy(7, 600, 5)
    found = budgets(server(loop_lag_seconds=0.5), fixed, 60)
    assert {(budget.rate, budget.factor) for budget in found} == {(7.0, 1.0)}


def test_while_nothing_moves_nothing_is_learned() -> None:
    """The status of a cluster that waits does not change all the time."""
    waits = fleet(server())
    first = next_budget(waits, AUTO, None, 0, START, careful=False)
    assert next_budget(waits, AUTO, first, 0, START + timedelta(hours=1), careful=False) == first


def test_a_trial_is_slow() -> None:
    assert next_budget(fleet(server(0.0001)), AUTO, None, 0, START, careful=True).rate == 5


# what was not asked for


def test_what_reconnects_by_itself_is_paid_at_the_rate() -> None:
    """Nothing that can wait is moved until then."""
    here = fleet(server())
    budget = next_budget(here, AUTO, None, 120, START, careful=False)
    seen = []
    for second in range(1, 4):
        seen.append((budget.owed, budget.free_rate))
        budget = next_budget(here, AUTO, budget, 0, START + timedelta(seconds=second), careful=False)
    assert seen == [(120, 0), (70, 0), (20, 0)]
    assert (budget.owed, budget.free_rate, budget.at) == (0, 50, None)


def test_without_a_receiver_nothing_is_paid() -> None:
    nobody = fleet(draining())
    owing = Budget(0, owed=40, at=START)
    assert next_budget(nobody, AUTO, owing, 0, START + timedelta(hours=1), careful=False).owed == 40


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ([], 100),
        ([replace(server(connections=90), failed=True)], 100),
        ([replace(server(), report=None, waiting_reason="CrashLoopBackOff")], 100),
        ([replace(server(), report=None)], 0),
        ([server(connections=0)], 100),
        ([server(connections=0, recent=Recent(30, 0, 0, 100))], 0),
        ([server(connections=0, recent=None)], 0),
        ([server(connections=85)], 0),
        ([server(connections=70)], 30),
    ],
    ids=["gone", "failed", "crashed", "silent", "restarted", "moved", "earlier release", "left", "lost"],
)
def test_a_crowd_that_ends_without_having_been_moved_is_lost(now: list[Server], expected: int) -> None:
    """Clients that leave one by one are not; of a server that does not answer nothing is known."""
    assert lost_connections({"a": 100}, now) == expected


@given(st.integers(0, 20))
def test_few_are_no_crowd(count: int) -> None:
    """The whole of a small server neither."""
    assert lost_connections({"a": count}, []) == 0
