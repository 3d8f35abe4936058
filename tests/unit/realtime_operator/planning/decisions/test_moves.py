"""Whole moves: schedules of changes, evictions, crashes and faults, in which the budget is never exceeded."""

from __future__ import annotations

import os
from dataclasses import dataclass

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from realtime_operator.api.base import JsonObject
from realtime_operator.planning.canary.steps import UNDER_WAY, Phase
from realtime_operator.planning.decisions.policies import canary_policy
from realtime_operator.planning.model.world import Server
from realtime_operator.planning.moving.budget import DrainPolicy
from realtime_operator.planning.moving.rollout import RolloutPolicy
from realtime_operator.planning.status.prior_status import PriorStatus
from tests.unit.realtime_operator.planning.canary_world import CanaryWorld
from tests.unit.realtime_operator.planning.moving_world import MovingWorld

SETTLE = 5
PATIENT_SECONDS = 100_000.0
LIMIT_SECONDS = 4000
"""Seconds after which a move that nothing disturbs any more must have ended: the longest takes half of that."""
EXAMPLES = 2000 if os.environ.get("HYPOTHESIS_PROFILE") == "explore" else 25
RATES = st.one_of(st.none(), st.integers(5, 200).map(float))
NUMBERS = st.integers(0, 9)
SHORT = st.integers(1, 30)
"""Durations of faults in seconds."""
STEPS = st.lists(st.integers(1, 100), min_size=1, max_size=3).map(sorted)
CANARIES = st.builds(
    lambda shares, hold, effect, traffic: {
        "steps": [{"share": f"{share}%", "hold": f"{hold}s"} for share in shares],
        "onFailure": effect,
        "traffic": traffic,
    },
    STEPS,
    st.integers(1, 60),
    st.sampled_from(["Pause", "Rollback"]),
    st.sampled_from(["Service", "Route"]),
)
"""`spec.rollout.canary`."""


class Schedule(RuleBasedStateMachine):
    """Something happens, some seconds pass, and so on; at the end the faults are over, and all moves end."""

    world: MovingWorld
    everybody: int = 0
    revisions: int = 0

    @initialize(
        servers=st.integers(1, 6),
        connections=st.integers(0, 60),
        rate=RATES,
        surge=st.integers(0, 3),
        unavailable=st.integers(0, 1),
        proxy_delay=st.integers(0, 8),
    )
    def begin(
        self, servers: int, connections: int, rate: float | None, surge: int, unavailable: int, proxy_delay: int
    ) -> None:
        """Make a cluster that has been running for long enough to have its shares."""
        drain = DrainPolicy(rate, PATIENT_SECONDS, SETTLE)
        policy = RolloutPolicy(surge, unavailable if surge else 1, drain)
        self.world = MovingWorld(policy, servers, target="r0", proxy_delay=proxy_delay)
        self.world.add("r0", servers, connections)
        self.everybody = self.world.connections
        self.pass_seconds(10)

    @rule(seconds=st.integers(1, 25))
    def pass_seconds(self, seconds: int) -> None:
        """Let time pass; in every second the promises hold."""
        for _ in range(seconds):
            self.world.second()
            self.check()
            assert self.world.asked[-1] <= self.world.allowed, (self.world.now, self.world.asked[-1])
            assert self.world.lowered == 0
            assert self.world.cut == 0
            assert self.world.connections == self.everybody

    def check(self) -> None:
        """Check what else must hold after a second."""

    @rule(broken=st.booleans())
    def change_the_spec(self, *, broken: bool) -> None:
        """Want another revision, which may be one that does not start."""
        self.revisions += 1
        revision = f"r{self.revisions}"
        if broken:
            self.world.broken.add(revision)
        self.world.change(revision)

    @precondition(lambda self: self.revisions > 0)
    @rule()
    def undo_the_change(self) -> None:
        """Want the revision before."""
        self.revisions -= 1
        self.world.change(f"r{self.revisions}")

    @rule(servers=st.integers(1, 6))
    def scale(self, servers: int) -> None:
        """Want another number of servers."""
        self.world.desired = servers

    @rule(rate=RATES)
    def change_the_rate(self, rate: float | None) -> None:
        """Want connections to be moved at another rate."""
        policy = self.world.policy
        self.world.policy = RolloutPolicy(
            policy.max_surge, policy.max_unavailable, DrainPolicy(rate, PATIENT_SECONDS, SETTLE)
        )

    @rule(number=NUMBERS, count=st.integers(1, 6))
    def evict(self, number: int, count: int) -> None:
        """Delete pods from outside."""
        for index in range(count):
            self.world.evict(number + index)

    @rule(number=NUMBERS)
    def crash(self, number: int) -> None:
        """Kill a server."""
        self.world.crash(number)

    @rule(seconds=SHORT)
    def stop_the_operator(self, seconds: int) -> None:
        """Let no operator run for some seconds."""
        self.world.away_until = self.world.now + seconds

    @rule(actions=st.integers(0, 4))
    def kill_the_operator(self, actions: int) -> None:
        """Kill it after some actions of its next reconcile that has so many."""
        self.world.dies_after = actions

    @rule(seconds=SHORT)
    def stop_the_watches(self, seconds: int) -> None:
        """Show the operator nothing new."""
        self.world.stale_until = self.world.now + seconds

    @rule(seconds=SHORT)
    def refuse_the_status(self, seconds: int) -> None:
        """Refuse writes of the status."""
        self.world.refuses_status_until = self.world.now + seconds

    @rule(seconds=SHORT)
    def cut_redis_off(self, seconds: int) -> None:
        """Let no server reach Redis."""
        self.world.cut_off_until = self.world.now + seconds

    @rule(number=NUMBERS, seconds=SHORT, fault=st.sampled_from(["silent", "deaf", "refuses"]))
    def disturb(self, number: int, seconds: int, fault: str) -> None:
        """Let a server give no report, take no calls, or refuse new connections."""
        if self.world.hosts:
            host = self.world.hosts[number % len(self.world.hosts)]
            setattr(host, f"{fault}_until", self.world.now + seconds)

    @rule(number=NUMBERS, slow=st.booleans())
    def slow_down(self, number: int, *, slow: bool) -> None:
        """Let the event loop of a server be late, or on time again."""
        if self.world.hosts:
            self.world.hosts[number % len(self.world.hosts)].lag = 0.5 if slow else 0.0

    def teardown(self) -> None:
        """End all faults, and a change that does not start; then the move ends with everybody on the wanted servers."""
        if not hasattr(self, "world"):
            return
        self.world.heal()
        if self.world.target in self.world.broken:
            self.pass_seconds(60)
            self.world.change("r0")
        for _ in range(LIMIT_SECONDS):
            self.pass_seconds(1)
            if self.world.is_settled():
                return
        raise AssertionError(f"not settled: {self.world}")


TestSchedule = Schedule.TestCase
TestSchedule.settings = settings(stateful_step_count=30, max_examples=EXAMPLES)


def test_a_pod_that_was_never_seen_is_not_removed_when_a_change_is_undone() -> None:
    """Its ReplicaSet has clients there by then; the operator's watches stopped before the pod was made."""
    world = MovingWorld(RolloutPolicy(1, 0, DrainPolicy(5.0, PATIENT_SECONDS, SETTLE)), 1, target="r0")
    world.add("r0", 1, 20)
    world.second()
    world.change("r1")
    world.crash(0)
    world.stale_until = world.now + 5
    for _ in range(4):
        world.second()
    world.change("r0")
    for _ in range(100):
        world.second()
        assert world.cut == 0
    assert world.is_settled()


class CanarySchedule(Schedule):
    """The same with revisions that are tried in steps: some do not start, some refuse all clients."""

    world: CanaryWorld
    specs: list[str]

    @initialize(
        servers=st.integers(1, 6),
        connections=st.integers(0, 60),
        rate=RATES,
        surge=st.integers(0, 3),
        unavailable=st.integers(0, 1),
        proxy_delay=st.integers(0, 8),
        canary=CANARIES,
    )
    def begin(
        self,
        servers: int,
        connections: int,
        rate: float | None,
        surge: int,
        unavailable: int,
        proxy_delay: int,
        canary: JsonObject,
    ) -> None:
        """Make a cluster that has been running for long enough to have its shares."""
        surge = max(surge, canary["traffic"] == "Route")  # the API server refuses 0
        policy = RolloutPolicy(surge, unavailable if surge else 1, DrainPolicy(rate, PATIENT_SECONDS, SETTLE))
        self.world = CanaryWorld(policy, servers, target="r0", proxy_delay=proxy_delay, canary_spec=canary)
        self.world.status = PriorStatus(current_revision="r0")
        self.world.add("r0", servers, connections)
        self.everybody, self.specs = self.world.connections, ["r0"]
        self.pass_seconds(10)

    def check(self) -> None:
        """Check the limits of the step, that no bad revision becomes the current one, and what a failure tells."""
        world, canary = self.world, self.world.canary
        assert world.status.current_revision not in world.broken | world.refusing
        if canary is None or world.fleet is None or world.moves is None:
            return
        state, fleet, step = canary.state, world.fleet, world.moves.step
        assert (state.phase in {Phase.PAUSED, Phase.ROLLED_BACK}) == (state.failed is not None and bool(state.message))
        if state.phase in UNDER_WAY and world.now > world.away_until:  # else the decision is that of an earlier spec
            policy = canary_policy(world.spec())
            assert policy is not None
            part = policy.steps[state.step - 1].servers(fleet.desired)
            assert step.target_replicas <= max(part, fleet.target_replicas)
            if world.has_reconciled:
                assert world.percent is None or world.percent <= policy.steps[state.step - 1].percent
            current = [s for s in fleet.live if s.revision == world.status.current_revision and not s.drain_requested]
            assert not current or any(server not in step.retiring for server in current)
        if state.phase is Phase.PAUSED:
            assert step.target_replicas <= fleet.target_replicas
        if state.phase is Phase.ROLLED_BACK and world.has_reconciled:
            assert world.percent in {None, 0}

    @rule(fault=st.sampled_from(["", "", "broken", "refusing"]))
    def change_the_spec(self, *, fault: str) -> None:
        """Want another revision, which may be one that does not start, or that refuses all clients."""
        self.revisions += 1
        revision = f"r{self.revisions}"
        if fault:
            getattr(self.world, fault).add(revision)
        self.specs.append(revision)
        self.world.change(revision)

    @precondition(lambda self: len(self.specs) > 1)
    @rule()
    def undo_the_change(self) -> None:
        """Want the revision before."""
        self.specs.pop()
        self.world.change(self.specs[-1])

    @rule(canary=CANARIES)
    def change_the_canary(self, canary: JsonObject) -> None:
        """Want other steps, or another effect of a failure."""
        canary = canary if self.world.policy.max_surge else {**canary, "traffic": "Service"}
        self.world.canary_spec = {**canary, "resumedAt": self.world.canary_spec.get("resumedAt", "")}

    @rule()
    def resume(self) -> None:
        """Forgive a failure."""
        self.world.canary_spec = {**self.world.canary_spec, "resumedAt": str(self.world.now)}

    @rule(seconds=st.integers(1, 120))
    def pause(self, seconds: int) -> None:
        """Let the operator change nothing for some seconds."""
        self.world.paused = True
        self.pass_seconds(seconds)
        self.world.paused = False

    @rule(seconds=st.integers(30, 120))
    def hold(self, seconds: int) -> None:
        """Let time pass, so that steps come to an end."""
        self.pass_seconds(seconds)

    @rule(number=NUMBERS)
    def request_replacement(self, number: int) -> None:
        """Ask for a server to be replaced."""
        if self.world.live:
            self.world.live[number % len(self.world.live)].drain_requested = True

    def teardown(self) -> None:
        """End all faults; the canary passes, or goes back, or is paused with everybody served."""
        if not hasattr(self, "world"):
            return
        self.world.heal()
        for _ in range(LIMIT_SECONDS):
            self.pass_seconds(1)
            unstarted = sum(1 for host in self.world.live if not host.starts)
            served = not self.world.clients.count and self.world.available + unstarted >= self.world.fewest
            if self.world.is_settled() or (self.world.phase is Phase.PAUSED and served):
                return
        raise AssertionError(f"not settled: {self.world}")


TestCanarySchedule = CanarySchedule.TestCase
TestCanarySchedule.settings = settings(stateful_step_count=30, max_examples=EXAMPLES)


def tried(effect: str, servers: int = 4, surge: int = 1, connections: int = 40) -> CanaryWorld:
    """Return a cluster whose spec asks for r1 since now, in a step of half of the servers."""
    policy = RolloutPolicy(surge, 0 if surge else 1, DrainPolicy(None, PATIENT_SECONDS, SETTLE))
    canary: JsonObject = {"steps": [{"share": "50%", "hold": "10s"}], "onFailure": effect}
    world = CanaryWorld(policy, servers, target="r0", canary_spec=canary)
    world.status = PriorStatus(current_revision="r0")
    world.add("r0", servers, connections)
    for _ in range(10):
        world.second()
    world.change("r1")
    return world


@pytest.mark.parametrize("why", ["paused", "away", "stale"])
@pytest.mark.parametrize("after", [1, 5, 10])
def test_time_in_which_a_step_could_make_no_progress_is_no_failure_of_its_revision(why: str, after: int) -> None:
    """A pause, an operator that does not run, and one that sees nothing new are longer than the deadline."""
    world = tried("Rollback")
    for _ in range(after):
        world.second()
    world.paused = why == "paused"
    world.away_until = world.now + 200 * (why == "away")
    world.stale_until = world.now + 200 * (why == "stale")
    for _ in range(200):
        world.second()
    world.paused = False
    for _ in range(400):
        world.second()
    assert world.failures == []
    assert world.is_settled()
    assert world.status.current_revision == "r1"


@pytest.mark.parametrize(("surge", "connections"), [(0, 0), (1, 40)])
def test_the_last_server_of_the_current_revision_is_replaced_by_one_of_it(surge: int, connections: int) -> None:
    """The new one refuses all clients, and a person asks for the replacement of the old one."""
    world = tried("Pause", 1, surge, connections)
    world.refusing.add("r1")
    for _ in range(60):
        world.second()
    assert world.phase is Phase.PAUSED
    (old,) = (host for host in world.hosts if host.revision == "r0")
    old.drain_requested = True
    for _ in range(200):
        world.second()
    assert old not in world.hosts
    assert world.phase is Phase.PAUSED
    assert sorted(host.revision for host in world.hosts) == ["r0", "r1"]
    assert world.cut == world.lowered == world.clients.count == 0


@dataclass(frozen=True, slots=True)
class Rollout:
    """What a rollout of all servers took, in seconds of the model."""

    seconds: int
    moves: int
    peak: int


def roll_out(servers: int, connections: int, surge: int, rate: float) -> Rollout:
    """Replace all servers of a cluster with slow proxies, with `connections` on each."""
    world = MovingWorld(RolloutPolicy(surge, 0, DrainPolicy(rate, 1800, SETTLE)), servers, target="r0", proxy_delay=2)
    world.add("r0", servers, connections)
    for _ in range(10):
        world.second()
    begin, everybody = world.now, world.connections
    world.change("r1")
    while not world.is_settled():
        world.second()
        assert world.asked[-1] <= world.allowed
        assert world.now - begin < 3 * everybody / rate + 40 * servers
    assert (world.lowered, world.cut, world.connections) == (0, 0, everybody)
    return Rollout(world.now - begin, sum(world.asked), max(world.asked))


def test_a_million_connections_move_once_when_all_servers_are_there_twice() -> None:
    """500 servers, 10,000 connections per second: within 1.2 times connections / budget."""
    found = roll_out(500, 2_000, 500, 10_000.0)
    assert (found.moves, found.peak) == (1_000_000, 10_000)
    assert found.seconds <= 1.2 * 1_000_000 / 10_000


def test_no_decision_compares_servers_with_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are found by name: a decision about 1,000 servers took 0.5 s when each was compared with all."""

    def refuse(server: Server, other: object) -> bool:
        raise AssertionError(f"{server} is compared with {other}")

    monkeypatch.setattr(Server, "__eq__", refuse)
    assert roll_out(6, 20, 2, 20.0).moves >= 120


@pytest.mark.parametrize(("surge", "moves"), [(40, 1.0), (10, 1.44), (1, 1.68)])
def test_a_smaller_surge_moves_connections_more_often(surge: int, moves: float) -> None:
    """Those that reach a server that is still to be replaced are moved again: up to 1.72 times on average."""
    found = roll_out(40, 500, surge, 200.0)
    assert found.moves / 20_000 == pytest.approx(moves, abs=0.01)
    assert found.peak <= 200
