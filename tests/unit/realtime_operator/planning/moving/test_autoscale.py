"""Tests of autoscaling: up at once, down after the window, never on missing measurements."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from realtime_operator.planning.model.world import Server, ServerReport, ServerState
from realtime_operator.planning.moving.autoscale import AutoscalePolicy, AutoscaleState, decide, measured_connections

NOW = datetime(2026, 1, 1, tzinfo=UTC)
POLICY = AutoscalePolicy(
    min_replicas=1, max_replicas=5, connections_per_replica=100, scale_down_stabilization_seconds=300
)


def servers(*connections: int | None) -> tuple[Server, ...]:
    """Return ready servers with these numbers of connections; None has no report."""
    return tuple(
        Server(str(i), str(i), "r", NOW, ready=True, report=None if n is None else ServerReport(ServerState.SERVING, n))
        for i, n in enumerate(connections)
    )


def test_a_new_cluster_starts_with_the_minimum() -> None:
    assert decide(POLICY, (), None, NOW).desired == 1


def test_more_connections_need_more_servers_at_once() -> None:
    assert decide(POLICY, servers(150, 101), AutoscaleState(2), NOW) == AutoscaleState(3)


def test_the_maximum_holds() -> None:
    assert decide(POLICY, servers(5000), AutoscaleState(2), NOW).desired == 5


def test_fewer_connections_first_open_the_window() -> None:
    """The number of servers is kept during the window."""
    assert decide(POLICY, servers(50, 20), AutoscaleState(2), NOW) == AutoscaleState(2, NOW, 1)


def test_after_the_window_the_highest_recommendation_counts() -> None:
    """A peak within the window keeps its servers."""
    state = AutoscaleState(4, NOW - timedelta(seconds=300), 2)
    assert decide(POLICY, servers(20, 0, 0, 0), state, NOW).desired == 2


def test_a_return_of_the_connections_closes_the_window() -> None:
    """The next low starts a new window."""
    state = AutoscaleState(2, NOW - timedelta(seconds=299), 1)
    assert decide(POLICY, servers(100, 100), state, NOW) == AutoscaleState(2)


def test_a_silent_server_prevents_scaling_down() -> None:
    """The server may have any number of connections."""
    state = AutoscaleState(2, NOW - timedelta(days=1), 1)
    assert decide(POLICY, servers(5, None), state, NOW).desired == 2


def test_a_silent_server_does_not_prevent_scaling_up() -> None:
    """The measured servers are enough to know that more are needed."""
    assert decide(POLICY, servers(250, None), AutoscaleState(2), NOW).desired == 3


def test_a_server_that_never_started_holds_nothing() -> None:
    broken = Server("x", "x", "r", NOW, waiting_reason="ImagePullBackOff")
    assert measured_connections((*servers(7), broken)) == 7


def test_a_changed_policy_clamps_last() -> None:
    """A lower maximum applies at once, without the window."""
    state = AutoscaleState(9, NOW, 2)
    assert decide(POLICY, servers(0), state, NOW).desired == 5


counts = st.lists(st.one_of(st.none(), st.integers(0, 2000)), max_size=6)


@given(counts, st.integers(0, 9), st.one_of(st.none(), st.integers(0, 1000)), st.integers(0, 9))
def test_the_bounds_hold_always(connections: list[int | None], desired: int, ago: int | None, highest: int) -> None:
    """A missing measurement never lowers the number within the bounds."""
    since = None if ago is None else NOW - timedelta(seconds=ago)
    after = decide(POLICY, servers(*connections), AutoscaleState(desired, since, highest), NOW).desired
    assert POLICY.min_replicas <= after <= POLICY.max_replicas
    if None in connections:
        assert after >= min(desired, POLICY.max_replicas)
