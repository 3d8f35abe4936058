"""Tests of the judgement of the link between the servers."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from realtime_operator.planning.model.reasons import Reason
from realtime_operator.planning.model.world import ObjectKey, Server, ServerReport, ServerState, World
from realtime_operator.planning.redis.backplane import Backplane, observe_backplane
from tests.kit.manifests import cluster_of
from tests.unit.realtime_operator.planning.simulation import START

REDIS = ObjectKey("apps/v1", "StatefulSet", "chat-redis")
NOW = START + timedelta(hours=1)


def server(name: str, *, healthy: bool, age: float = 3600, ready: bool = True) -> Server:
    """Return a server that was created `age` seconds ago."""
    report = ServerReport(ServerState.SERVING, connections=0, backplane_healthy=healthy)
    return Server(name, name, "new", NOW - timedelta(seconds=age), ready=ready, report=report)


def observed(*servers: Server, redis: int = 1) -> Backplane:
    """Return the judgement for these servers and `redis` ready pods of the managed Redis."""
    return observe_backplane(cluster_of(), World({REDIS: {"status": {"readyReplicas": redis}}}, servers), NOW)


def test_connected_when_every_server_is() -> None:
    assert observed(server("a", healthy=True), server("b", healthy=True)).reason == Reason.CONNECTED


def test_one_that_is_cut_is_named() -> None:
    found = observed(server("a", healthy=True), server("b", healthy=False), server("c", healthy=False))
    assert (found.ready, found.message) == (False, "server b (and 1 more) cannot reach Redis")


def test_a_server_that_is_just_starting_is_no_alarm() -> None:
    """In every rollout a new server reports for a moment that it is not connected yet."""
    assert observed(server("a", healthy=True), server("b", healthy=False, age=5, ready=False)).ready is True


def test_a_new_server_that_stays_cut_is_an_alarm() -> None:
    """A network policy may keep it from Redis."""
    found = observed(server("a", healthy=True), server("b", healthy=False, age=31, ready=False))
    assert found.reason == Reason.DISCONNECTED


def test_a_server_that_was_ready_and_is_cut_is_an_alarm_at_once() -> None:
    """The age does not matter, as the server has clients."""
    assert observed(server("a", healthy=False, age=5)).reason == Reason.DISCONNECTED


def test_a_redis_that_is_not_ready_is_starting() -> None:
    """Servers of a new cluster wait for Redis, which is not their fault."""
    assert observed(server("a", healthy=False, age=5, ready=False), redis=0).reason == Reason.STARTING


def test_nothing_is_claimed_before_a_server_has_reported() -> None:
    """The condition is Unknown."""
    silent = replace(server("a", healthy=True), report=None)
    assert (observed(silent).ready, observed(silent).reason) == (None, Reason.NOT_MEASURED)


def test_a_server_that_goes_does_not_count() -> None:
    """A terminating server closes its links."""
    going = replace(server("b", healthy=False), terminating=True)
    assert observed(server("a", healthy=True), going).reason == Reason.CONNECTED
