"""What a change would do, said before it is made."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from realtime_operator.api.base import JsonObject, JsonValue
from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.builders import BuildSettings, build_revision
from realtime_operator.planning.forecast import Change, Forecast, forecast
from realtime_operator.planning.settings import PlanSettings
from realtime_operator.planning.world import Server, ServerReport, ServerState

SETTINGS = PlanSettings(BuildSettings(server_image="server:1", redis_image="redis:1"))
NOW = datetime(2026, 1, 1, tzinfo=UTC)
NEW_REVISION: JsonObject = {"server": {"workers": 2}}


def cluster(**spec: JsonValue) -> RealtimeCluster:
    """A cluster with a spec."""
    return RealtimeCluster.from_object({"metadata": {"name": "main"}, "spec": spec})


def servers(*connections: int, cost: float | None = None) -> list[Server]:
    """Servers of `cluster()`'s revision, one for each number of connections."""
    revision = build_revision(cluster(), SETTINGS.build).name
    reports = [ServerReport(ServerState.SERVING, count, accept_cost_seconds=cost) for count in connections]
    return [Server(str(n), "", revision, NOW, ready=True, report=report) for n, report in enumerate(reports)]


def expected(spec: JsonObject, running: list[Server]) -> Forecast:
    """What changing `cluster()` into this spec would do."""
    return forecast(cluster(), cluster(**spec), running, SETTINGS)


def test_nothing_changes() -> None:
    """The same spec moves nobody and takes no time."""
    same = expected({}, servers(5, 5))
    assert (same.changes, same.connections, same.seconds, same.replaces_servers) == ((), 0, 0.0, False)


def test_a_cluster_is_created() -> None:
    """From nothing: the wanted servers, nobody to move."""
    made = forecast(None, cluster(replicas=3), (), SETTINGS)
    assert (made.servers_before, made.servers_after, made.connections, made.is_new_revision) == (0, 3, 0, True)
    assert made.revision == build_revision(cluster(replicas=3), SETTINGS.build).name


def test_more_servers_move_nobody() -> None:
    """The others go on."""
    grown = expected({"replicas": 4}, servers(5, 5))
    assert (grown.servers_before, grown.servers_after, grown.connections) == (2, 4, 0)
    assert not grown.replaces_servers


def test_fewer_servers_move_the_connections_of_those_that_have_the_fewest() -> None:
    """As the rollout would choose."""
    assert expected({"replicas": 1}, servers(70, 10, 20)).connections == 30


def test_a_new_revision_moves_everybody_in_steps_of_the_surge() -> None:
    """Two servers, one at a time (25% is one): twice the start and the settle time, and the drain at 50 a second."""
    rolled = expected(NEW_REVISION, servers(100, 100))
    assert rolled.replaces_servers
    assert (rolled.connections, rolled.connections_per_second) == (200, 100.0)
    assert rolled.seconds == pytest.approx(2 * (2 + 5) + 2)


def test_a_fixed_rate_is_the_rate() -> None:
    """Whatever was measured."""
    rollout: JsonObject = {"drain": {"connectionsPerSecond": 10, "settle": "1s"}, "maxSurge": 2}
    slow = expected({**NEW_REVISION, "rollout": rollout}, servers(100, 100, cost=0.001))
    assert (slow.connections_per_second, slow.seconds) == (10.0, 23.0)


def test_measured_servers_allow_what_they_measured() -> None:
    """A quarter of a server's capacity, two servers."""
    assert expected(NEW_REVISION, servers(100, 100, cost=0.001)).connections_per_second == 500.0


def test_the_autoscaler_keeps_its_number_within_the_new_bounds() -> None:
    """Not `replicas`."""
    scaling: JsonObject = {"minReplicas": 3, "maxReplicas": 5, "connectionsPerReplica": 10}
    assert expected({"autoscaling": scaling, "replicas": 1}, servers(1)).servers_after == 3


def test_changes_are_named_by_their_path() -> None:
    """Fields by their name, items of lists by theirs, what is new or gone as nothing."""
    old = cluster(replicas=2, namespaces=[{"name": "chat", "presence": True}, {"name": "old"}])
    new = cluster(replicas=3, namespaces=[{"name": "chat", "presence": False}])
    changes = forecast(old, new, (), SETTINGS).changes
    assert Change("spec.replicas", 2, 3) in changes
    assert Change("spec.namespaces[chat].presence", before=True, after=False) in changes
    assert [change.path for change in changes if change.after is None] == ["spec.namespaces[old]"]
