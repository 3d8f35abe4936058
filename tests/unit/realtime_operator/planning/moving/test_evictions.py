"""Answers to evictions of servers: a server with connections is held until they were moved, and never for ever."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime_operator.planning.model.reasons import Reason
from realtime_operator.planning.model.world import Server, ServerReport, ServerState
from realtime_operator.planning.moving import brakes
from realtime_operator.planning.moving.budget import DrainPolicy
from realtime_operator.planning.moving.evictions import (
    HIGHEST_RETRY_SECONDS,
    LOWEST_RETRY_SECONDS,
    Allow,
    Hold,
    decide,
    first_request,
)
from realtime_operator.planning.moving.rollout import RolloutPolicy
from tests.unit.realtime_operator.planning.simulation import START, Simulation, settled

NOW = START + timedelta(hours=1)
LIMIT = 600.0
HELD = Server("main-abc", "uid", "r", START, ready=True, was_ready=True, report=ServerReport(ServerState.SERVING, 812))
DRAINING = ServerReport(ServerState.DRAINING, 812, drain_rate=50.0)

servers = st.builds(
    Server,
    name=st.just("main-abc"),
    uid=st.just("uid"),
    revision=st.just("r"),
    created_at=st.just(START),
    serving=st.booleans(),
    ready=st.booleans(),
    was_ready=st.booleans(),
    terminating=st.booleans(),
    failed=st.booleans(),
    waiting_reason=st.none() | st.just("CrashLoopBackOff"),
    report=st.none()
    | st.builds(
        ServerReport,
        state=st.sampled_from(ServerState),
        connections=st.integers(0, 5000),
        drain_rate=st.none() | st.floats(0, 1000),
    ),
)
ages = st.floats(0, 10 * LIMIT)


def ago(seconds: float) -> datetime:
    """Return a time before NOW."""
    return NOW - timedelta(seconds=seconds)


def message(server: Server, stop: brakes.Hold | None = None) -> str:
    """Return the message with which a server is held, with what `.status.hold` says."""
    verdict = decide(server, NOW, LIMIT, None, NOW, stop)
    assert isinstance(verdict, Hold)
    return verdict.message


@given(servers, ages)
def test_nothing_is_held_longer_than_the_limit(server: Server, age: float) -> None:
    """Whatever the server says: a node drain ends."""
    if age >= LIMIT:
        assert isinstance(decide(server, ago(age), LIMIT, None, NOW), Allow)


@given(servers, ages)
def test_a_server_with_connections_stays_before_the_limit(server: Server, age: float) -> None:
    """Ready or not, known to the endpoint or not; unless its end is decided already."""
    running = replace(server, terminating=False, failed=False)
    if age < LIMIT and running.report is not None and running.report.connections > 0:
        assert isinstance(decide(running, ago(age), LIMIT, None, NOW), Hold)


@given(servers, ages)
def test_a_server_without_connections_goes_at_once(server: Server, age: float) -> None:
    """Its preStop hook takes it out of the endpoint."""
    if server.report is not None:
        empty = replace(server, serving=True, report=replace(server.report, connections=0))
        assert isinstance(decide(empty, ago(age), LIMIT, None, NOW), Allow)


def test_a_server_that_leaves_anyway_is_left_to_the_operator() -> None:
    """Its ReplicaSet is lowered by one; evicted, it would be replaced once more."""
    drained = replace(HELD, serving=False, quiesced_at=NOW, report=ServerReport(ServerState.DRAINED, 0))
    assert message(drained).startswith("main-abc has no connections left, and is removed by the operator.")


@given(servers, ages, st.text(min_size=1))
def test_nothing_is_held_for_an_operator_that_does_nothing(server: Server, age: float, obstacle: str) -> None:
    """Paused, or without a leader: the preStop hook moves the connections."""
    assert isinstance(decide(server, ago(age), LIMIT, obstacle, NOW), Allow)


@given(servers, ages)
def test_the_next_request_is_soon(server: Server, age: float) -> None:
    """Clients repeat the request ten times before they show the message."""
    verdict = decide(server, ago(age), LIMIT, None, NOW)
    if isinstance(verdict, Hold):
        assert LOWEST_RETRY_SECONDS <= verdict.retry_after_seconds <= HIGHEST_RETRY_SECONDS
        assert re.match(r"main-abc .*\. It is held for \d+ s more at most\.$", verdict.message)


@pytest.mark.parametrize(
    ("changes", "held"),
    [
        ({"ready": False, "unready_since": NOW}, True),
        ({"report": None}, True),
        ({"report": None, "ready": False, "unready_since": START}, True),
        ({"report": None, "ready": False, "was_ready": False}, False),
        ({"report": None, "ready": False, "waiting_reason": "CrashLoopBackOff"}, False),
        ({"terminating": True}, False),
        ({"failed": True}, False),
    ],
    ids=str,
)
def test_who_may_have_connections_is_held(changes: dict[str, object], held: bool) -> None:
    """A server that is not ready, or does not answer, may be full of them."""
    server = replace(HELD, **changes)  # type: ignore[arg-type] # names fields of Server
    assert isinstance(decide(server, NOW, LIMIT, None, NOW), Hold) is held


def test_the_message_tells_what_goes_on() -> None:
    """The number of connections, and what is awaited or how long it takes."""
    assert message(HELD).startswith("main-abc holds 812 connections, which are moved when its replacement is ready.")
    quiesced = replace(HELD, serving=False, quiesced_at=NOW)
    assert "when no new ones have arrived for the settle time" in message(quiesced)
    assert message(replace(quiesced, report=DRAINING)) == (
        "main-abc holds 812 connections, which are moved at 50 per second; about 17 s left. "
        "It is held for 600 s more at most."
    )
    assert "when other servers can accept them" in message(replace(quiesced, report=replace(DRAINING, drain_rate=0.0)))
    assert "holds 1 connection, " in message(replace(HELD, report=ServerReport(ServerState.SERVING, 1)))
    assert "does not answer the operator" in message(replace(HELD, report=None))


def test_the_message_tells_why_moves_are_stopped() -> None:
    """The brake's reason while it is in force; connections that are moved all the same are told as such."""
    stop = brakes.Hold(Reason.BACKPLANE_UNAVAILABLE, "Redis is away", ago(5), NOW + timedelta(seconds=5))
    quiesced = replace(HELD, serving=False, quiesced_at=NOW)
    for server in (HELD, quiesced, replace(quiesced, report=replace(DRAINING, drain_rate=0.0))):
        assert message(server, stop).startswith(
            "main-abc holds 812 connections, which are not moved now (BackplaneUnavailable: Redis is away). It is held"
        )
        assert message(server, replace(stop, until=NOW)) == message(server)
    assert message(replace(quiesced, report=DRAINING), stop) == message(replace(quiesced, report=DRAINING))


@given(servers, ages)
def test_a_brake_holds_nothing_longer(server: Server, age: float) -> None:
    """The verdict and the time of the next request are those without it."""
    stop = brakes.Hold(Reason.FLEET_UNREADY, "", NOW, NOW + timedelta(days=1))
    with_brake, without = (decide(server, ago(age), LIMIT, None, NOW, brake) for brake in (stop, None))
    assert type(with_brake) is type(without)
    if isinstance(with_brake, Hold) and isinstance(without, Hold):
        assert with_brake.retry_after_seconds == without.retry_after_seconds


def test_the_first_request_counts() -> None:
    """A time in the future, as of another clock, is not waited for."""
    assert first_request(None, NOW) == NOW
    assert first_request(ago(5), NOW) == ago(5)
    assert first_request(NOW + timedelta(days=1), NOW) == NOW


def evict_until_gone(world: Simulation, names: set[str]) -> None:
    """Request the evictions of these pods again each second, as callers do; only empty ones may be let go."""
    began = START + timedelta(seconds=world.now)
    for _ in range(int(LIMIT)):
        now = START + timedelta(seconds=world.now)
        for pod in [pod for pod in world.pods if pod.name in names]:
            if isinstance(decide(pod.observed(world.now), began, LIMIT, None, now), Hold):
                pod.drain_requested = True
            else:
                assert pod.connections == 0
                pod.terminating = world.now if pod.terminating is None else pod.terminating
        world.step()
        if not names & {pod.name for pod in world.pods}:
            break
    assert not names & {pod.name for pod in world.pods}
    world.settle()
    assert world.removed_with_connections == 0


def test_the_only_server_goes_without_a_replacement_before_when_none_is_allowed() -> None:
    """With one server and maxSurge 0 clients are moved at the budget, and find the replacement when it is ready."""
    world = settled(RolloutPolicy(0, 1, DrainPolicy(20, LIMIT, 5)), 1, connections=100)
    (only,) = world.pods
    evict_until_gone(world, {only.name})
    (replacement,) = world.pods
    assert (replacement.connections, world.moved, world.homeless) == (100, 100, 0)


@settings(max_examples=40, deadline=None)
@given(
    policy=st.sampled_from([(1, 0), (2, 0), (0, 1)]),
    count=st.integers(1, 5),
    connections=st.integers(0, 400),
    victims=st.sets(st.integers(0, 4), min_size=1),
)
def test_the_operator_moves_what_is_held(
    policy: tuple[int, int], count: int, connections: int, victims: set[int]
) -> None:
    """Whoever repeats the requests evicts empty servers alone, or finds that the operator has removed them."""
    world = settled(RolloutPolicy(*policy, DrainPolicy(20, LIMIT, 5)), count, connections=connections)
    evict_until_gone(world, {world.pods[index].name for index in victims if index < len(world.pods)})
