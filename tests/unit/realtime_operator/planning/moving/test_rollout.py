"""Tests of rolling updates and scale-ins, step by step and as invariants over whole runs."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime_operator.planning.model.plan import Drain, Quiesce, Resume, ScaleRevision, SetDeletionCost
from realtime_operator.planning.model.world import AdminAccess, Server, ServerReport, ServerState
from realtime_operator.planning.moving.brakes import Brake
from realtime_operator.planning.moving.budget import DrainPolicy
from realtime_operator.planning.moving.fleet import Fleet, ReplicaSet
from realtime_operator.planning.moving.rollout import (
    RETIRED_DELETION_COST,
    RolloutPolicy,
    next_step,
    resolve_policy,
    resolve_share,
)
from tests.unit.realtime_operator.planning.simulation import START, Simulation, settled

DRAIN = DrainPolicy(connections_per_second=10, timeout_seconds=600, settle_seconds=5)
POLICY = RolloutPolicy(max_surge=1, max_unavailable=0, drain=DRAIN)
NOW = START + timedelta(hours=1)


def access(name: str) -> AdminAccess:
    """Return the access to a server's admin API."""
    return AdminAccess(f"10.0.0.{name}", "main-credentials")


def server(name: str, revision: str = "old", connections: int = 0, **changes: object) -> Server:
    """Return a ready, serving server that is an hour old."""
    report = ServerReport(ServerState.SERVING, connections, seconds_since_last_accept=1000)
    made = Server(name, name, revision, START, ready=True, was_ready=True, admin=access(name), report=report)
    return replace(made, **changes)  # type: ignore[arg-type] # names fields of Server


def quiesced(name: str, seconds: float, connections: int, **changes: object) -> Server:
    """Return a server that left the endpoints `seconds` ago."""
    since = NOW - timedelta(seconds=seconds)
    gone = replace(server(name, connections=connections), serving=False, quiesced_at=since)
    return replace(gone, **changes)  # type: ignore[arg-type] # each test names fields of Server


def fleet(*servers: Server, desired: int = 2, **replicas: int) -> Fleet:
    """Return a fleet with the target `new`; ReplicaSets have the name of their revision."""
    sets = {revision: ReplicaSet(revision, f"uid-{revision}", count) for revision, count in replicas.items()}
    return Fleet("new", desired, sets, servers)


def test_a_new_revision_first_gets_what_the_surge_allows() -> None:
    """No old server is touched before a new one serves."""
    step = next_step(fleet(server("a"), server("b"), old=2), POLICY, NOW)
    assert (step.target_replicas, step.actions) == (1, ())


def test_an_old_server_is_quiesced_when_a_new_one_is_available() -> None:
    """The server with the fewest connections is first."""
    step = next_step(fleet(server("a", "old", 9), server("b", "old", 3), server("c", "new"), old=2, new=1), POLICY, NOW)
    assert step.actions == (Quiesce("b", "b"),)


def test_a_quiesced_server_is_not_drained_before_it_has_settled() -> None:
    """The removal from the endpoints takes time."""
    servers = (server("a"), quiesced("b", 4, 3), server("c", "new"))
    assert next_step(fleet(*servers, old=2, new=1), POLICY, NOW).actions == ()


def test_a_quiesced_server_that_is_still_reached_is_not_drained() -> None:
    """Moved clients must not return to it."""
    report = ServerReport(ServerState.SERVING, 3, seconds_since_last_accept=1)
    servers = (server("a"), quiesced("b", 10, 3, report=report), server("c", "new"))
    assert next_step(fleet(*servers, old=2, new=1), POLICY, NOW).actions == ()


def test_a_server_that_is_reached_past_the_endpoint_is_drained_at_last() -> None:
    """A client with the server's own address must not delay a rollout for ever."""
    report = ServerReport(ServerState.SERVING, 3, seconds_since_last_accept=1)
    servers = (server("a"), quiesced("b", 30, 3, report=report), server("c", "new"))
    assert next_step(fleet(*servers, old=2, new=1), POLICY, NOW).actions == (Drain("b", access("b"), 10.0),)


def test_the_budget_is_shared_by_all_drains() -> None:
    """Two drains get half of the cluster's budget each."""
    servers = (quiesced("a", 9, 5), quiesced("b", 9, 5), server("c", "new"), server("d", "new"))
    assert next_step(fleet(*servers, old=2, new=2), POLICY, NOW).actions == (
        Drain("a", access("a"), 5.0),
        Drain("b", access("b"), 5.0),
    )


def test_a_running_drain_is_left_alone() -> None:
    """An unchanged rate is not sent again."""
    report = ServerReport(ServerState.DRAINING, 3, seconds_since_last_accept=100, drain_rate=10.0)
    servers = (server("a"), quiesced("b", 30, 3, report=report, ready=False), server("c", "new"))
    assert next_step(fleet(*servers, old=2, new=1), POLICY, NOW).actions == ()


def test_a_rate_is_lowered_before_what_it_frees_is_given_out() -> None:
    """The call that lowers it may fail, and the operator may end before it: both drains together keep the budget."""
    report = ServerReport(ServerState.DRAINING, 3, seconds_since_last_accept=100, drain_rate=10.0)
    settled_one = quiesced("b", 9, 5)
    servers = (quiesced("a", 30, 3, report=report), server("c", "new"), server("d", "new"))
    step = next_step(fleet(settled_one, *servers, old=2, new=2), POLICY, NOW)
    assert step.actions == (Drain("a", access("a"), 5.0),)
    lowered = quiesced("a", 30, 3, report=replace(report, drain_rate=5.0))
    step = next_step(fleet(settled_one, lowered, *servers[1:], old=2, new=2), POLICY, NOW)
    assert step.actions == (Drain("b", access("b"), 5.0),)


def test_a_drain_waits_for_the_first_server_that_can_receive() -> None:
    servers = (quiesced("a", 9, 5), server("c", "new", ready=False, report=None))
    assert next_step(fleet(*servers, desired=1, old=1, new=1), POLICY, NOW).actions == ()


DRAINED = ServerReport(ServerState.DRAINED, 0, seconds_since_last_accept=1000, drain_rate=10.0)


def test_an_empty_server_is_drained_too() -> None:
    """A drained server is not ready, so that its ReplicaSet is certain to delete it first."""
    servers = (server("a"), quiesced("b", 9, 0), server("c", "new"))
    assert next_step(fleet(*servers, old=2, new=1), POLICY, NOW).actions == (Drain("b", access("b"), 1.0),)


def test_a_drained_server_is_marked_before_its_revision_is_lowered() -> None:
    """The ReplicaSet controller must see the deletion cost first."""
    servers = (server("a"), quiesced("b", 9, 0, report=DRAINED, ready=False), server("c", "new"))
    step = next_step(fleet(*servers, old=2, new=1), POLICY, NOW)
    assert step.actions == (SetDeletionCost("b", "b", RETIRED_DELETION_COST),)


def test_a_marked_server_goes_with_its_replica() -> None:
    """The old revision is scaled down by one."""
    marked = quiesced("b", 9, 0, report=DRAINED, ready=False, deletion_cost=RETIRED_DELETION_COST)
    servers = (server("a"), marked, server("c", "new"))
    assert next_step(fleet(*servers, old=2, new=1), POLICY, NOW).actions == (ScaleRevision("old", "uid-old", 1),)


def test_a_marked_server_waits_while_its_replica_set_would_take_another() -> None:
    """While it counts as ready and another pod does not, the other one would be deleted, with all its connections."""
    marked = quiesced("b", 9, 0, report=DRAINED, deletion_cost=RETIRED_DELETION_COST)
    servers = (server("a", ready=False), marked, server("c", "new"), server("d", "new"))
    assert ScaleRevision("old", "uid-old", 1) not in next_step(fleet(*servers, old=2, new=2), POLICY, NOW).actions


@pytest.mark.parametrize(
    "report",
    [
        None,
        ServerReport(ServerState.DRAINING, 3, drain_rate=5.0),
        ServerReport(ServerState.SERVING, 3, backplane_healthy=False),
    ],
    ids=["silent", "draining", "cut off"],
)
def test_a_marked_server_that_counts_as_ready_waits_for_others_whose_probe_fails(report: ServerReport | None) -> None:
    """The kubelet has not told yet that the other one is not ready; its ReplicaSet may learn it any moment."""
    marked = quiesced("b", 9, 0, report=DRAINED, deletion_cost=RETIRED_DELETION_COST)
    servers = (server("a"), marked, server("c", "new"), server("d", "new"))
    assert ScaleRevision("old", "uid-old", 1) in next_step(fleet(*servers, old=2, new=2), POLICY, NOW).actions
    doubtful = (replace(servers[0], report=report), *servers[1:])
    assert ScaleRevision("old", "uid-old", 1) not in next_step(fleet(*doubtful, old=2, new=2), POLICY, NOW).actions


def test_a_silent_server_goes_beside_silent_ones_when_its_drain_has_timed_out() -> None:
    """The operator may be unable to reach any server: what the kubelet says must do."""
    marked = quiesced("b", 606, 0, report=None, deletion_cost=RETIRED_DELETION_COST)
    servers = (server("a", report=None), marked, server("c", "new"), server("d", "new"))
    assert ScaleRevision("old", "uid-old", 1) in next_step(fleet(*servers, old=2, new=2), POLICY, NOW).actions


def test_a_revision_is_scaled_before_servers_are_called() -> None:
    """A call may take seconds, in which another server may become unready."""
    marked = quiesced("b", 30, 0, report=DRAINED, ready=False, deletion_cost=RETIRED_DELETION_COST)
    servers = (quiesced("a", 30, 5), marked, server("c", "new"), server("d", "new"))
    assert next_step(fleet(*servers, old=2, new=2), POLICY, NOW).actions == (
        ScaleRevision("old", "uid-old", 1),
        Drain("a", access("a"), 10.0),
    )


def test_a_server_that_lingers_is_not_counted_twice() -> None:
    """The ReplicaSet is scaled down already; the pod is still terminating."""
    marked = quiesced("b", 9, 0, report=DRAINED, ready=False, deletion_cost=RETIRED_DELETION_COST)
    servers = (server("a"), marked, server("c", "new"))
    assert next_step(fleet(*servers, old=1, new=1), POLICY, NOW).actions == ()


def test_a_server_with_connections_goes_when_its_drain_has_timed_out() -> None:
    """The preStop hook drains on."""
    servers = (server("a"), quiesced("b", 606, 3), server("c", "new"))
    assert (
        SetDeletionCost("b", "b", RETIRED_DELETION_COST)
        in next_step(fleet(*servers, old=2, new=1), POLICY, NOW).actions
    )


def test_a_silent_server_is_kept_until_its_drain_has_timed_out() -> None:
    """A silent server may have connections."""
    servers = (server("a"), quiesced("b", 300, 3, report=None), server("c", "new"))
    assert next_step(fleet(*servers, old=2, new=1), POLICY, NOW).actions == ()


def test_a_server_that_never_started_goes_at_once() -> None:
    """Such a server has no connections, and does not count as available."""
    broken = server("a", ready=False, was_ready=False, report=None, waiting_reason="ImagePullBackOff")
    servers = (broken, server("b"), server("c", "new"))
    assert Quiesce("a", "a") in next_step(fleet(*servers, desired=3, old=2, new=1), POLICY, NOW).actions
    gone = replace(broken, serving=False, quiesced_at=NOW)
    step = next_step(fleet(gone, *servers[1:], desired=3, old=2, new=1), POLICY, NOW)
    assert SetDeletionCost("a", "a", RETIRED_DELETION_COST) in step.actions


def test_a_server_that_is_wanted_again_is_put_back() -> None:
    servers = (quiesced("a", 9, 5, revision="new"), server("b", "new"))
    assert next_step(fleet(*servers, new=2), POLICY, NOW).actions == (Resume("a", "a", access("a")),)


def test_a_server_that_is_put_back_is_no_longer_the_first_to_go() -> None:
    """A remaining deletion cost would make a later scale-in delete this server first."""
    servers = (server("a", "new", deletion_cost=RETIRED_DELETION_COST), server("b", "new"))
    assert next_step(fleet(*servers, new=2), POLICY, NOW).actions == (SetDeletionCost("a", "a", 0),)


def test_a_server_that_holds_itself_back_is_put_back() -> None:
    """The server was quiesced by hand, or by an operator that was killed."""
    report = ServerReport(ServerState.DRAINED, 0)
    servers = (server("a", "new", report=report, ready=False), server("b", "new"))
    assert next_step(fleet(*servers, new=2), POLICY, NOW).actions == (Resume("a", "a", access("a")),)


def test_scaling_in_drains_the_emptiest_server() -> None:
    servers = (server("a", "new", 5), server("b", "new", 2), server("c", "new", 9))
    step = next_step(fleet(*servers, new=3), POLICY, NOW)
    assert (step.target_replicas, step.actions) == (3, (Quiesce("b", "b"),))


def test_a_broken_revision_leaves_the_old_servers_alone() -> None:
    """With maxUnavailable 0 no old server leaves before a new one is ready."""
    simulation = settled(POLICY, 3, "a", 90)
    simulation.target, simulation.broken_revisions = "b", {"b"}
    for _ in range(300):
        simulation.step()
    assert (simulation.available(), simulation.replicas["a"]) == (3, 3)
    simulation.target = "c"
    simulation.settle()
    assert simulation.removed_with_connections == 0


def test_a_broken_revision_takes_no_old_server_that_is_replaced() -> None:
    """Nodes are drained while a new revision does not start: the old one gets its servers back, each time."""
    simulation = settled(POLICY, 3, "a", 0)
    simulation.target, simulation.broken_revisions = "b", {"b"}
    for _ in range(5):
        simulation.pods.remove(next(pod for pod in simulation.pods if pod.revision == "a"))
        for _ in range(20):
            simulation.step()
        assert (simulation.available(), simulation.replicas["a"]) == (3, 3)


def test_a_server_that_restarts_is_not_taken_out_before_others_can_serve_for_it() -> None:
    """Its container has ended; while it is away, and no new server is ready, it is not missed for good."""
    crashed = server("a", ready=False, report=None, waiting_reason="CrashLoopBackOff")
    starting = server("c", "new", ready=False, was_ready=False, report=None, waiting_reason="ContainerCreating")
    assert next_step(fleet(crashed, server("b"), starting, old=2, new=1), POLICY, NOW).actions == ()
    step = next_step(fleet(crashed, server("b"), server("c", "new"), old=2, new=1), POLICY, NOW)
    assert step.actions == (Quiesce("a", "a"),)


@pytest.mark.parametrize(
    ("value", "desired", "up", "expected"),
    [(2, 10, True, 2), ("25%", 2, True, 1), ("25%", 2, False, 0), ("100%", 3, False, 3), (0, 5, True, 0)],
)
def test_shares_are_rounded_as_in_a_deployment(value: int | str, desired: int, up: bool, expected: int) -> None:
    """Surge is rounded up, unavailable is rounded down."""
    assert resolve_share(value, desired, round_up=up) == expected


def test_a_policy_that_would_never_move_may_take_one_server_away() -> None:
    """0% of surge and 10% of two servers are both 0."""
    assert resolve_policy(0, "10%", 2, DRAIN).max_unavailable == 1


policies = st.builds(
    lambda surge, unavailable, rate: RolloutPolicy(
        surge, max(unavailable, 0 if surge else 1), DrainPolicy(rate, 600, 5)
    ),
    st.integers(0, 3),
    st.integers(0, 2),
    st.sampled_from([5.0, 20.0, 100.0]),
)


def run_checked(simulation: Simulation, limit: int = 3000) -> None:
    """Run until settled, and check the invariants at every step."""
    floor = min(simulation.available(), simulation.desired - simulation.policy.max_unavailable)
    ceiling = max(len(simulation.staying()), simulation.desired + simulation.policy.max_surge)
    for _ in range(limit):
        done, moved = simulation.done(), simulation.moved
        before = dict(simulation.replicas)
        step = simulation.step()
        assert simulation.available() >= floor, "more servers unavailable than allowed"
        floor = max(floor, min(simulation.available(), simulation.desired - simulation.policy.max_unavailable))
        assert len(simulation.staying()) <= ceiling, "more servers than the surge allows"
        assert simulation.removed_with_connections == 0, "a server was deleted before its drain"
        rate = simulation.policy.drain.connections_per_second or 0
        drains = sum(1 for pod in simulation.pods if pod.drain_rate)
        assert simulation.moved - moved <= max(rate * 1.1, drains) + 1e-6, "faster than the budget"
        if done and not step.actions and before == simulation.replicas:
            return
    raise AssertionError("never settled")


@settings(max_examples=40)
@given(policies, st.integers(1, 6), st.integers(1, 6), st.integers(0, 100))
def test_every_change_keeps_the_promises(policy: RolloutPolicy, before: int, after: int, connections: int) -> None:
    """After a change of revision and number of servers: enough serve, none is cut, the budget holds, and it ends."""
    simulation = settled(policy, before, "a", connections)
    simulation.target, simulation.desired = "b", after
    run_checked(simulation)
    assert {pod.revision for pod in simulation.pods} == {"b"}


@settings(max_examples=20)
@given(policies, st.integers(1, 5), st.lists(st.sampled_from("abc"), min_size=1, max_size=4), st.integers(1, 40))
def test_changes_of_mind_keep_the_promises(policy: RolloutPolicy, desired: int, targets: list[str], pause: int) -> None:
    """The target changes back and forth during a rollout."""
    simulation = settled(policy, desired, "a", 100)
    for target in targets:
        simulation.target = target
        for _ in range(pause):
            simulation.step()
            assert simulation.removed_with_connections == 0
            assert simulation.available() >= desired - policy.max_unavailable
    simulation.settle()


@settings(max_examples=40)
@given(policies, st.integers(1, 5), st.sets(st.integers(0, 4), min_size=1), st.integers(0, 100))
def test_servers_that_a_person_wants_replaced_are_replaced(
    policy: RolloutPolicy, desired: int, requested: set[int], connections: int
) -> None:
    """For any servers: enough serve, none is cut, the budget holds, others are kept, and it ends."""
    simulation = settled(policy, desired, "a", connections)
    pods = list(simulation.pods)
    leaving = {pods[index].name for index in requested if index < len(pods)}
    for pod in pods:
        pod.drain_requested = pod.name in leaving
    run_checked(simulation)
    names = {pod.name for pod in simulation.pods}
    assert leaving.isdisjoint(names)
    assert {pod.name for pod in pods} - leaving <= names
    assert len(names) == desired


@settings(max_examples=60)
@given(
    before=st.integers(2, 6),
    removed=st.integers(1, 4),
    connections=st.integers(1, 60),
    flaps=st.lists(st.tuples(st.integers(0, 5), st.integers(1, 60), st.integers(1, 30)), min_size=1, max_size=8),
)
def test_scaling_in_takes_no_server_that_is_briefly_unready(
    before: int, removed: int, connections: int, flaps: list[tuple[int, int, int]]
) -> None:
    """Its ReplicaSet would take it first, whatever its deletion cost, with all its connections."""
    simulation = settled(POLICY, before, "a", connections)
    simulation.desired = max(1, before - removed)
    began, pods = simulation.now, list(simulation.pods)
    for pod in pods:
        pod.probe_lag = 20
    for _ in range(120):
        elapsed = simulation.now - began
        for index, pod in enumerate(pods):
            failing = [start for which, start, length in flaps if which == index and start <= elapsed < start + length]
            pod.unready = began + failing[0] if failing else None
        simulation.step()
        assert simulation.removed_with_connections == 0
    simulation.settle()
    assert simulation.removed_with_connections == 0


@settings(max_examples=40)
@given(policies, st.integers(1, 5), st.integers(1, 5), st.sets(st.integers(0, 4), min_size=1))
def test_old_servers_that_never_come_back_do_not_stop_a_rollout(
    policy: RolloutPolicy, before: int, after: int, lost: set[int]
) -> None:
    """Those that may come back are kept only until others serve: a fleet that is down altogether is replaced."""
    simulation = settled(policy, before, "a")
    for index, pod in enumerate(simulation.pods):
        pod.unready = simulation.now - 100 if index in lost else None
    simulation.target, simulation.desired = "b", after
    simulation.settle()
    assert {pod.revision for pod in simulation.pods} == {"b"}


def test_a_marked_server_that_has_connections_again_is_not_removed() -> None:
    """Its container was not running when it was marked; until the mark is gone, it could go in place of another one."""
    filled = quiesced("b", 9, 3, deletion_cost=RETIRED_DELETION_COST)
    marked = quiesced("c", 9, 0, report=DRAINED, ready=False, deletion_cost=RETIRED_DELETION_COST)
    new = [server(name, "new") for name in "xyz"]
    step = next_step(fleet(filled, marked, *new, desired=3, old=2, new=3), POLICY, NOW)
    assert SetDeletionCost("b", "b", 0) in step.actions
    assert not any(isinstance(action, ScaleRevision) for action in step.actions)
    before = next_step(fleet(filled, marked, *new, desired=3, old=1, new=3), POLICY, NOW)
    assert SetDeletionCost("b", "b", 0) not in before.actions, "the ReplicaSet has still to remove one"


def test_while_moves_are_held_pods_that_others_delete_share_the_budget() -> None:
    """They cannot be resumed, and would drain at the sum of their rates."""
    ends = server("a", connections=9, terminating=True)
    assert ends.report is not None
    reports = [replace(ends.report, state=ServerState.DRAINING, drain_rate=rate) for rate in (10.0, 1.0)]
    both = [replace(ends, name=name, report=report) for name, report in zip("ab", reports, strict=True)]
    step = next_step(fleet(*both, server("x", "new"), new=2), POLICY, NOW, Brake(stop=True))
    assert [action for action in step.actions if isinstance(action, Drain)] == [Drain("a", access("a"), 5)]
