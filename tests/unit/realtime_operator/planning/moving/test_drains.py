"""Division of the budget over all servers that move connections, for whatever reason."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from realtime_operator.planning.model.plan import Drain, SetShare
from realtime_operator.planning.model.world import AdminAccess, Server, ServerReport, ServerState
from realtime_operator.planning.moving.budget import Budget, DrainPolicy
from realtime_operator.planning.moving.drains import HURRIED_RATE, any_ends, divide, shares
from realtime_operator.planning.moving.fleet import Fleet
from tests.unit.realtime_operator.planning.simulation import START

NOW = START + timedelta(hours=1)
POLICY = DrainPolicy(10, 600, 5)


def admin(name: str) -> AdminAccess:
    """Return the access to a server's admin API."""
    return AdminAccess(f"10.0.0.{name}", "main-credentials")


def server(name: str, rate: float | None = None, connections: int = 9, **changes: object) -> Server:
    """Return a server with its report, that drains at `rate` if there is one."""
    state = ServerState.SERVING if rate is None else ServerState.DRAINING
    report = ServerReport(state, connections, seconds_since_last_accept=100, drain_rate=rate, share=0.0)
    made = Server(name, name, "r", START, ready=rate is None, admin=admin(name), report=report)
    return replace(made, **changes)  # type: ignore[arg-type] # names fields of Server


def retiring(name: str, rate: float | None = None, connections: int = 9) -> Server:
    """Return a server that has left the endpoints ten seconds ago."""
    return server(name, rate, connections, serving=False, quiesced_at=NOW - timedelta(seconds=10))


def ending(name: str, rate: float | None = None, state: ServerState = ServerState.DRAINING, since: float = 9) -> Server:
    """Return a server whose pod is being deleted, and whose last connection came `since` seconds ago."""
    made = server(name, rate, terminating=True)
    assert made.report is not None
    return replace(made, report=replace(made.report, state=state, seconds_since_last_accept=since))


def fleet(*servers: Server) -> Fleet:
    """Return a fleet of these servers."""
    return Fleet("r", len(servers), {}, servers)


def divided(budget: Budget, *servers: Server) -> list[object]:
    """Return the changes of rates; the operator retires those that have left the endpoints."""
    leaving = [found for found in servers if found.quiesced_at is not None]
    return list(divide(fleet(*servers), leaving, POLICY, budget, NOW))


def test_a_pod_that_is_deleted_gets_a_part_of_the_budget() -> None:
    """The server that the operator retires is slowed down before the other one is made faster."""
    assert divided(Budget(10), retiring("a", 10), ending("b", 1)) == [Drain("a", admin("a"), 5)]
    assert divided(Budget(10), retiring("a", 5), ending("b", 1)) == [Drain("b", admin("b"), 5)]


@pytest.mark.parametrize(
    ("state", "since"), [(ServerState.SERVING, 9), (ServerState.QUIESCED, 1)], ids=["not begun", "not settled"]
)
def test_the_part_of_a_pod_that_will_drain_soon_is_kept_for_it(state: ServerState, since: float) -> None:
    """It may begin by itself at any moment, at its share."""
    assert divided(Budget(10), retiring("a", 10), ending("b", None, state, since)) == [Drain("a", admin("a"), 5)]


def test_who_has_settled_gets_its_rate() -> None:
    assert divided(Budget(10), ending("b", None, ServerState.QUIESCED, 5)) == [Drain("b", admin("b"), 10)]


def test_what_is_owed_stops_who_can_wait() -> None:
    """A pod that is being deleted cannot wait, and gets the whole budget."""
    owing = Budget(10, owed=30)
    assert divided(owing, retiring("a", 5), ending("b", 5)) == [Drain("a", admin("a"), 0)]
    assert divided(owing, retiring("a", 0), ending("b", 5)) == [Drain("b", admin("b"), 10)]


def test_without_a_receiving_server_every_drain_waits() -> None:
    """A pod that is being deleted is told so; its command would take silence for a missing operator."""
    waits = ending("b", None, ServerState.QUIESCED)
    assert divided(Budget(0), retiring("a", 5), retiring("c"), waits) == [Drain("a", admin("a"), 0)]
    assert divided(Budget(0), retiring("a", 0), retiring("c"), waits) == [Drain("b", admin("b"), 0)]


def test_servers_of_earlier_releases_cannot_wait() -> None:
    old = retiring("a", 5)
    assert old.report is not None
    old = replace(old, report=replace(old.report, share=None))
    assert divided(Budget(10, owed=1), old) == [Drain("a", admin("a"), 1)]


def test_not_more_servers_drain_than_the_budget_has_connections_per_second() -> None:
    """Each moves at least one connection per second."""
    servers = [retiring(name) for name in "abc"]
    assert divided(Budget(2.9), *servers) == [Drain("a", admin("a"), 1.4), Drain("b", admin("b"), 1.4)]


def test_a_server_whose_time_is_over_is_not_slowed_down() -> None:
    late = ending("b", HURRIED_RATE)
    assert divided(Budget(10), retiring("a", 10), late) == []
    assert not any_ends(fleet(late))
    assert any_ends(fleet(ending("b", 5)))


def test_an_empty_server_is_drained_whatever_is_owed() -> None:
    assert divided(Budget(10, owed=5), retiring("a", None, 0)) == [Drain("a", admin("a"), 1)]


def test_shares_add_up_to_the_budget() -> None:
    """Each gets a little less than its part, so that it need not be told of every change of the budget.

    Servers of earlier releases take none.
    """
    old, right = server("a"), server("b")
    assert old.report is not None
    assert right.report is not None
    old = replace(old, report=replace(old.report, share=None))
    right = replace(right, report=replace(right.report, share=2.0))
    servers = (old, right, server("c"), server("d"))
    assert shares(fleet(*servers), Budget(10)) == [SetShare("c", admin("c"), 2), SetShare("d", admin("d"), 2)]
    assert shares(fleet(right, server("e")), Budget(3)) == [
        SetShare("b", admin("b"), 1.2),
        SetShare("e", admin("e"), 1.2),
    ]
    assert shares(fleet(right, right), Budget(4)) == []
    assert shares(fleet(*servers), Budget(0)) == []


def test_a_drain_keeps_its_part_when_a_connection_still_arrives() -> None:
    """Its server has not settled then, and drains on."""
    visited = retiring("a", 5)
    assert visited.report is not None
    visited = replace(visited, report=replace(visited.report, seconds_since_last_accept=1))
    assert divided(Budget(10), visited, retiring("b", 5)) == []


def silent(name: str, *, lost: bool = False) -> Server:
    """Return a server that left the endpoints ten seconds ago and does not answer."""
    unready_since = NOW - timedelta(minutes=2) if lost else NOW
    return replace(retiring(name), report=None, ready=False, unready_since=unready_since, was_ready=True)


def test_the_part_of_a_server_that_does_not_answer_is_kept() -> None:
    """It may drain on, at a rate that nobody knows; who is lost for good keeps no more than its part."""
    leaving = [silent("a"), retiring("b", 4), retiring("c")]
    known = {"a": 9, "b": 9}
    assert divide(fleet(*leaving), leaving, POLICY, Budget(9), NOW, known) == [Drain("b", admin("b"), 3)]
    leaving = [silent("a"), retiring("b", 3), retiring("c")]
    assert divide(fleet(*leaving), leaving, POLICY, Budget(9), NOW, known) == []
    leaving = [silent("a", lost=True), retiring("b", 3), retiring("c")]
    assert divide(fleet(*leaving), leaving, POLICY, Budget(9), NOW, known) == [Drain("c", admin("c"), 3)]


def test_a_server_that_had_no_connections_keeps_no_part() -> None:
    """A pod that has ended stays visible for a moment, and holds nobody up."""
    leaving = [silent("a"), retiring("b")]
    for known in ({"a": 0}, {}):
        assert divide(fleet(*leaving), leaving, POLICY, Budget(9), NOW, known) == [Drain("b", admin("b"), 9)]


@example(1.0, 5)
@given(st.floats(0.1, 5000), st.integers(1, 40))
def test_a_share_that_was_given_is_kept(rate: float, count: int) -> None:
    """A cluster whose servers have their shares is settled."""
    servers = [server(f"{number}") for number in range(count)]
    given_shares = {change.server: change.connections_per_second for change in shares(fleet(*servers), Budget(rate))}
    having = []
    for found in servers:
        assert found.report is not None
        having.append(replace(found, report=replace(found.report, share=given_shares[found.name])))
    assert shares(fleet(*having), Budget(rate)) == []
