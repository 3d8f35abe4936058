"""Tests of the forecast of a change."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from realtime_operator.api.base import JsonObject, JsonValue
from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.builders import BuildSettings, build_revision
from realtime_operator.planning.decisions.policies import PlannerSettings
from realtime_operator.planning.forecast import Change, Forecast, forecast
from realtime_operator.planning.model.plan import Drain
from realtime_operator.planning.model.world import Server, ServerReport, ServerState
from realtime_operator.planning.moving.budget import DrainPolicy
from realtime_operator.planning.moving.rollout import resolve_policy
from tests.unit.realtime_operator.planning.simulation import settled

SETTINGS = PlannerSettings(BuildSettings(server_image="server:1", redis_image="redis:1"))
NOW = datetime(2026, 1, 1, tzinfo=UTC)
NEW_REVISION: JsonObject = {"server": {"workers": 2}}
NO_SURGE: JsonObject = {"maxSurge": 0, "maxUnavailable": 1}


def cluster(**spec: JsonValue) -> RealtimeCluster:
    """Return a cluster with a spec."""
    return RealtimeCluster.from_object({"metadata": {"name": "main"}, "spec": spec})


def revision_of(spec: JsonObject) -> str:
    """Return the name of the revision of a spec."""
    return build_revision(cluster(**spec), SETTINGS.build).name


def servers(*connections: int, cost: float | None = None) -> list[Server]:
    """Return servers of `cluster()`'s revision with these numbers of connections."""
    revision = revision_of({})
    reports = [ServerReport(ServerState.SERVING, count, accept_cost_seconds=cost) for count in connections]
    return [Server(str(n), "", revision, NOW, ready=True, report=report) for n, report in enumerate(reports)]


def expected(spec: JsonObject, running: list[Server]) -> Forecast:
    """Return the forecast of changing `cluster()` to this spec."""
    return forecast(cluster(), cluster(**spec), running, SETTINGS)


def test_nothing_changes() -> None:
    same = expected({}, servers(5, 5))
    assert (same.changes, same.connections, same.seconds, same.replaces_servers) == ((), 0, 0.0, False)


def test_a_canary_goes_in_steps_where_it_replaces_servers() -> None:
    """The holds are a part of the duration. A change that keeps the revision, and a new cluster, have no steps."""
    steps: list[JsonValue] = [{"share": "25%", "hold": "2m"}, {"share": "50%", "hold": "5m"}]
    rollout: JsonObject = {"canary": {"steps": steps}}
    running = servers(5, 5, 5)
    stored: JsonObject = {"metadata": {"name": "main"}, "status": {"currentRevision": running[0].revision}}
    old = RealtimeCluster.from_object(stored)
    with_steps = forecast(old, cluster(**NEW_REVISION, replicas=3, rollout=rollout), running, SETTINGS)
    assert [(step.servers, step.hold_seconds) for step in with_steps.steps] == [(1, 120), (2, 300)]
    without = forecast(old, cluster(**NEW_REVISION, replicas=3), running, SETTINGS)
    assert with_steps.seconds == without.seconds + 420
    assert forecast(old, cluster(rollout=rollout), running, SETTINGS).steps == ()
    assert forecast(None, cluster(rollout=rollout), (), SETTINGS).steps == ()


def test_the_steps_of_a_route_tell_the_servers_beside_the_new_ones() -> None:
    """Together they may be one more than wanted."""
    steps: list[JsonValue] = [{"share": "10%"}, {"share": "67%"}, {"share": "100%"}]
    running = servers(5, 5, 5)
    stored: JsonObject = {"metadata": {"name": "main"}, "status": {"currentRevision": running[0].revision}}
    spec: JsonObject = {**NEW_REVISION, "replicas": 3, "endpoint": {"gateway": {"parentRefs": [{"name": "public"}]}}}
    for traffic, expected in (("Service", [(1, None), (3, None), (3, None)]), ("Route", [(1, 3), (3, 1), (3, 1)])):
        new = cluster(**spec, rollout={"canary": {"steps": steps, "traffic": traffic}})
        found = forecast(RealtimeCluster.from_object(stored), new, running, SETTINGS).steps
        assert [(step.servers, step.beside) for step in found] == expected


def test_a_cluster_is_created() -> None:
    made = forecast(None, cluster(replicas=3), (), SETTINGS)
    assert (made.servers_before, made.servers_after, made.connections, made.is_new_revision) == (0, 3, 0, True)
    assert made.revision == build_revision(cluster(replicas=3), SETTINGS.build).name


def test_more_servers_move_nobody() -> None:
    grown = expected({"replicas": 4}, servers(5, 5))
    assert (grown.servers_before, grown.servers_after, grown.connections) == (2, 4, 0)
    assert not grown.replaces_servers


def test_the_platform_is_asked_about_a_server_only_when_one_starts() -> None:
    """That is not the case for a new cluster, which moves nobody."""
    assert expected({"replicas": 4}, servers(5, 5)).starts_servers
    assert expected(NEW_REVISION, servers(5, 5)).starts_servers
    assert not expected({"replicas": 1}, servers(5, 5)).starts_servers
    assert not forecast(None, cluster(replicas=3), (), SETTINGS).starts_servers


def test_room_is_what_the_servers_may_have_afterwards() -> None:
    limited = expected({"replicas": 3, "server": {"limits": {"connections": 50}}}, servers(70, 30))
    assert (limited.open_connections, limited.room) == (100, 150)


def test_fewer_servers_move_the_connections_of_those_that_have_the_fewest() -> None:
    assert expected({"replicas": 1}, servers(70, 10, 20)).connections == 30


def test_a_new_revision_moves_everybody_in_steps_of_the_surge() -> None:
    """Two servers, one at a time (25% is one): twice the start and the settle time, and the drain at 100 per second.

    Half of the first server's connections reach the second one, and are moved again.
    """
    rolled = expected(NEW_REVISION, servers(100, 100))
    assert rolled.replaces_servers
    assert (rolled.connections, rolled.connections_per_second) == (200, 100.0)
    assert rolled.seconds == pytest.approx(2 * (2 + 5) + 2.5)


def test_without_a_surge_one_server_less_receives() -> None:
    """Of three servers one may be missing: the two others accept the unmeasured rate."""
    rolled = expected({**NEW_REVISION, "replicas": 3, "rollout": NO_SURGE}, servers(100, 100, 100))
    assert (rolled.connections, rolled.connections_per_second) == (300, 100.0)
    assert rolled.seconds == pytest.approx(3 * (2 + 5) + 4.75, abs=0.1)


def test_a_rollout_that_is_under_way_moves_only_who_has_not_moved() -> None:
    """Servers of the new revision stay."""
    done = [replace(server, revision=revision_of(NEW_REVISION)) for server in servers(70)]
    rolled = expected(NEW_REVISION, [*servers(30), *done])
    assert (rolled.connections, rolled.servers_before, rolled.servers_after) == (30, 2, 2)
    assert rolled.servers_replaced == 1
    assert rolled.replaces_servers
    assert rolled.seconds == pytest.approx(1 * (2 + 5) + 0.3)


def test_a_change_back_moves_those_that_were_replaced_already() -> None:
    """Servers that were not replaced yet are enough."""
    done = [replace(server, revision=revision_of(NEW_REVISION)) for server in servers(70)]
    assert expected({}, [*servers(30, 5), *done]).connections == 70


@pytest.mark.parametrize("spec", [{"replicas": 0}, {"replicas": 0, **NEW_REVISION}])
def test_nobody_receives_when_no_server_is_wanted(spec: JsonObject) -> None:
    """All connections are moved at the unmeasured or fixed rate, as waiting would not help."""
    off = expected(spec, servers(100, 200, cost=0.001))
    assert (off.servers_after, off.connections, off.connections_per_second) == (0, 300, 50.0)
    fixed = expected({**spec, "rollout": {"drain": {"connectionsPerSecond": 10}}}, servers(100, 200))
    assert fixed.connections_per_second == 10.0


def test_who_is_on_its_way_out_is_not_counted() -> None:
    first, second, third = servers(100, 100, 100)
    running = [replace(first, terminating=True), replace(second, failed=True), third]
    rolled = expected({**NEW_REVISION, "replicas": 1}, running)
    assert (rolled.servers_before, rolled.connections) == (1, 100)


@pytest.mark.parametrize("drain", [{}, {"connectionsPerSecond": 10}])
@pytest.mark.parametrize(
    ("count", "surge", "unavailable"),
    [(1, 1, 0), (1, 0, 1), (2, "25%", 0), (2, 2, 0), (3, 0, 1), (4, 1, 1), (8, "25%", 0), (8, "25%", "25%"), (5, 0, 5)],
)
def test_the_rate_is_that_of_the_rollout(
    count: int, surge: int | str, unavailable: int | str, drain: JsonObject
) -> None:
    """The first drain of the rollout has the same rate."""
    share: JsonObject = {"maxSurge": surge, "maxUnavailable": unavailable, "drain": drain}
    spec: JsonObject = {"replicas": count, "rollout": share}
    spec_drain = cluster(**spec).spec.rollout.drain
    policy = DrainPolicy(spec_drain.fixed_rate, spec_drain.timeout_seconds, spec_drain.settle_seconds)
    old = revision_of(spec)
    simulation = settled(resolve_policy(surge, unavailable, count, policy), count, old, connections=100 * count)
    running = [pod.observed(simulation.now) for pod in simulation.pods]
    predicted = forecast(cluster(**spec), cluster(**spec, **NEW_REVISION), running, SETTINGS)
    simulation.target = predicted.revision
    steps = (simulation.step() for _ in range(1000))
    drains = next(found for step in steps if (found := [a for a in step.actions if isinstance(a, Drain)]))
    assert sum(drain.connections_per_second for drain in drains) == pytest.approx(
        predicted.connections_per_second, abs=1
    )


def test_a_fixed_rate_is_the_rate() -> None:
    rollout: JsonObject = {"drain": {"connectionsPerSecond": 10, "settle": "1s"}, "maxSurge": 2}
    slow = expected({**NEW_REVISION, "rollout": rollout}, servers(100, 100, cost=0.001))
    assert (slow.connections_per_second, slow.seconds) == (10.0, 23.0)


def test_measured_servers_allow_what_they_measured() -> None:
    """The rate is a quarter of the capacity of two servers."""
    assert expected(NEW_REVISION, servers(100, 100, cost=0.001)).connections_per_second == 500.0


def test_the_autoscaler_keeps_its_number_within_the_new_bounds() -> None:
    """`replicas` is ignored."""
    scaling: JsonObject = {"minReplicas": 3, "maxReplicas": 5, "connectionsPerReplica": 10}
    assert expected({"autoscaling": scaling, "replicas": 1}, servers(1)).servers_after == 3


@pytest.mark.parametrize(
    ("connections", "after"), [((5, 5), 2), ((15, 15), 3), ((25, 20), 5), ((90, 90), 5), ((), 2)], ids=str
)
def test_the_autoscaler_takes_as_many_as_the_connections_need(connections: tuple[int, ...], after: int) -> None:
    """More servers are added at once; fewer come after the window, and are not forecast."""
    scaling: JsonObject = {"minReplicas": 2, "maxReplicas": 5, "connectionsPerReplica": 10}
    assert expected({"autoscaling": scaling}, servers(*connections)).servers_after == after


def test_the_autoscaler_keeps_what_it_has_for_a_while() -> None:
    """The earlier decision is in the status."""
    scaling: JsonObject = {"minReplicas": 1, "maxReplicas": 5, "connectionsPerReplica": 10}
    status: JsonObject = {"autoscaling": {"desiredReplicas": 3, "belowSince": "2026-01-01T00:00:00Z"}}
    metadata: JsonObject = {"name": "main"}
    old = RealtimeCluster.from_object({"metadata": metadata, "spec": {"autoscaling": scaling}, "status": status})
    new = cluster(autoscaling={**scaling, "maxReplicas": 4})
    assert forecast(old, new, servers(1, 1, 1), SETTINGS).servers_after == 3


def test_a_list_in_another_order_is_a_change() -> None:
    """Another order makes a new revision, whose reason must be named."""
    names: list[JsonValue] = [{"name": "a"}, {"name": "b"}]
    changed = forecast(cluster(namespaces=names), cluster(namespaces=names[::-1]), (), SETTINGS)
    assert [change.path for change in changed.changes] == ["spec.namespaces"]


def test_lists_without_names_are_changed_as_a_whole() -> None:
    """Fields that were not set before are changed as a whole too."""
    old = cluster(server={"origins": ["https://a.example"]})
    new = cluster(server={"origins": ["https://b.example"]}, namespaces=[{"name": "chat", "history": {"size": 5}}])
    changes = {change.path: change for change in forecast(old, new, (), SETTINGS).changes}
    assert changes.keys() == {"spec.server.origins", "spec.namespaces[chat]"}
    origins, chat = changes["spec.server.origins"], changes["spec.namespaces[chat]"]
    assert (origins.before, origins.after) == (["https://a.example"], ["https://b.example"])
    assert chat.before is None
    assert isinstance(chat.after, dict)


def test_everything_is_new_when_a_cluster_is_created() -> None:
    changes = forecast(None, cluster(replicas=3), (), SETTINGS).changes
    assert Change("spec.replicas", None, 3) in changes
    assert all(change.before is None for change in changes)


def test_changes_are_named_by_their_path() -> None:
    """Fields have their name, items of lists theirs; added and removed values are None on one side."""
    old = cluster(replicas=2, namespaces=[{"name": "chat", "presence": True}, {"name": "old"}])
    new = cluster(replicas=3, namespaces=[{"name": "chat", "presence": False}])
    changes = forecast(old, new, (), SETTINGS).changes
    assert Change("spec.replicas", 2, 3) in changes
    assert Change("spec.namespaces[chat].presence", before=True, after=False) in changes
    assert [change.path for change in changes if change.after is None] == ["spec.namespaces[old]"]
