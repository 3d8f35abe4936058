"""Division of the budget over all servers that move connections, for whatever reason."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from realtime_operator.planning.budget import Budget, DrainPolicy
from realtime_operator.planning.drains import HURRIED_RATE, any_ends, divide, shares
from realtime_operator.planning.fleet import Fleet
from realtime_operator.planning.plan import Drain, SetShare
from realtime_operator.planning.rollout import RolloutPolicy
from realtime_operator.planning.world import AdminAccess, Server, ServerReport, ServerState
from tests.unit.realtime_operator.planning.moving_world import MovingWorld
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


# whole moves


EVENTS = st.lists(
    st.tuples(st.integers(0, 80), st.sampled_from(["evict", "evict all", "crash", "away", "slow"]), st.integers(0, 9)),
    max_size=6,
)


def happen(world: MovingWorld, event: str, number: int) -> None:
    """Let something happen to a server, or to the operator."""
    match event:
        case "evict":
            world.evict(number)
        case "evict all":
            for _ in range(2 * number):
                world.evict(number)
        case "crash":
            world.crash(number)
        case "away":
            world.away_until = world.now + 3 * number
        case _:
            for host in world.hosts:
                host.lag = 0.5 if number % 2 else 0.0


@settings(max_examples=60, deadline=None)
@given(
    servers=st.integers(1, 6),
    connections=st.integers(0, 400),
    rate=st.one_of(st.none(), st.integers(1, 200).map(float)),
    surge=st.integers(1, 3),
    events=EVENTS,
    rolls=st.booleans(),
)
def test_the_budget_is_never_exceeded_and_every_move_ends(
    servers: int, connections: int, rate: float | None, surge: int, events: list[tuple[int, str, int]], *, rolls: bool
) -> None:
    """In no second more connections are asked to move than the budget of this second or the one before.

    Servers that are evicted while the operator is away add their shares. The rate of a server may have a fraction,
    which makes up one connection more in some seconds. Nobody is cut, and in the end all clients are on the wanted
    servers.
    """
    world = MovingWorld(RolloutPolicy(surge, 0, DrainPolicy(rate, 100_000, 5)), servers)
    world.add("old" if rolls else "new", servers, connections)
    for _ in range(30):
        world.second()  # shares are given
    everybody = world.connections
    pending = sorted(events, key=lambda event: event[0])
    for second in range(40_000):
        while pending and pending[0][0] <= second:
            _, event, number = pending.pop(0)
            happen(world, event, number)
        leaving = sum(1 for host in world.hosts if host.drain_rate is not None)
        is_away = world.now < world.away_until
        world.second()
        allowed = max(budget.rate for budget in world.budgets[-2:]) + (world.shares_in_use if is_away else 0.0)
        assert world.asked[-1] <= math.ceil(allowed) + leaving, (second, world.asked[-3:], world.budgets[-3:])
        if not pending and world.is_settled():
            break
    assert world.is_settled()
    assert world.connections == everybody
    assert world.cut == 0
