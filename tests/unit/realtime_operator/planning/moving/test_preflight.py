"""Preflight of a plan: room and time for the connections of the servers that go."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from realtime_operator.planning.model.world import Server, ServerReport, ServerState
from realtime_operator.planning.moving.budget import DrainPolicy
from realtime_operator.planning.moving.fleet import Fleet, ReplicaSet
from realtime_operator.planning.moving.preflight import why_impossible
from realtime_operator.planning.moving.rollout import RolloutPolicy, retiring_servers
from tests.unit.realtime_operator.planning.simulation import START


def server(name: str, connections: int, revision: str = "old", cost: float | None = None) -> Server:
    """Return a ready server."""
    report = ServerReport(ServerState.SERVING, connections, accept_cost_seconds=cost)
    return Server(name, name, revision, START, ready=True, was_ready=True, report=report)


def judged(
    *servers: Server, desired: int = 2, limit: int | None = 1000, rate: float | None = None, timeout: float = 600
) -> str | None:
    """Return why the servers that are to go cannot be emptied."""
    sets = {name: ReplicaSet(name, name, 2) for name in ("old", "new")}
    fleet = Fleet("new", desired, sets, servers)
    policy = RolloutPolicy(1, 0, DrainPolicy(rate, timeout, 5, limit))
    return why_impossible(fleet, policy, retiring_servers(fleet))


def test_all_connections_must_have_room() -> None:
    """Those of servers that stay count too."""
    full = judged(server("a", 500), server("b", 501), server("c", 200, "new"), limit=600)
    assert full == (
        "1201 connections are open, and 2 servers with server.limits.connections 600 have room for 1200:"
        " raise the limit or the number of servers"
    )
    assert judged(server("a", 500), server("b", 500), server("c", 200, "new"), limit=600) is None


def test_a_limit_that_is_not_known_is_no_reason() -> None:
    assert judged(server("a", 10**6), limit=None, timeout=10**6) is None


def test_a_scale_in_needs_room_too() -> None:
    assert judged(server("a", 900, "new"), server("b", 900, "new"), desired=1) is not None
    assert judged(server("a", 900, "new"), server("b", 100, "new"), desired=1) is None


def test_who_wants_no_server_wants_no_connection() -> None:
    assert judged(server("a", 900), desired=0) is None


def test_a_cluster_where_nobody_goes_is_not_judged() -> None:
    """A limit that was lowered closes no connection."""
    assert judged(server("a", 900, "new"), server("b", 900, "new"), limit=5) is None


def test_a_drain_must_end_in_time() -> None:
    """The servers with the most connections count, as many as are replaced at a time."""
    slow = judged(server("a", 500), server("b", 900), rate=10, timeout=60)
    assert slow == (
        "a server has up to 900 connections, which takes 90 s at 10 connections per second, longer than"
        " rollout.drain.timeout (60 s): raise the timeout or the rate, or use more servers"
    )
    assert judged(server("a", 500), server("b", 900), rate=10, timeout=90) is None


@pytest.mark.parametrize(("cost", "is_possible"), [(0.001, True), (0.1, False)])
def test_the_time_follows_from_what_was_measured(cost: float, *, is_possible: bool) -> None:
    """A server that spends a tenth of a second on each connection accepts 2.5 a second."""
    found = judged(server("a", 900, cost=cost), server("b", 900, cost=cost), timeout=60)
    assert (found is None) is is_possible


def test_the_time_of_a_drain_under_way_is_not_judged_again() -> None:
    """The rate may have fallen since; who has moved so far does not come back for that."""
    leaving = replace(server("a", 900), serving=False, quiesced_at=START + timedelta(hours=1))
    assert judged(leaving, server("b", 900), rate=1, timeout=60) is None
