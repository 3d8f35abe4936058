"""Tests of the brakes: each by itself, and invariants for any order of events."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime_operator.api.base import JsonObject
from realtime_operator.planning.model.plan import Drain, Quiesce, Resume
from realtime_operator.planning.model.reasons import Reason
from realtime_operator.planning.model.world import Recent, World
from realtime_operator.planning.moving.brakes import (
    ARRIVAL_RELEASE_SECONDS,
    CONTACT_SECONDS,
    LONGEST_RELEASE_SECONDS,
    Arrivals,
    Hold,
    arrivals,
    brake,
    next_hold,
)
from realtime_operator.planning.moving.rollout import RolloutPolicy, RolloutStep, next_step, retiring_servers
from realtime_operator.planning.redis.backplane import Backplane
from tests.unit.realtime_operator.planning.memory_platform import MemoryPlatform
from tests.unit.realtime_operator.planning.moving.test_rollout import DRAIN, NOW, fleet, quiesced, server
from tests.unit.realtime_operator.planning.simulation import READY_AFTER, START, Pod, Simulation
from tests.unit.realtime_operator.planning.test_reconcile import conditions, reasons, settled

LINKED = Backplane(ready=True, reason=Reason.CONNECTED, message="every server reaches Redis")
FIVE: JsonObject = {"replicas": 5, "rollout": {"drain": {"connectionsPerSecond": 20}}}


def rolling(connections: int = 100, reconciles: int = 6) -> MemoryPlatform:
    """Return a cluster of five in a rollout whose first new server is there."""
    platform = settled(FIVE)
    platform.life.connect(connections)
    platform.life.now += 60
    platform.change(server={"limits": {"connections": 5000}})
    for _ in range(reconciles):
        platform.reconcile()
    platform.events.clear()
    return platform


def lose_redis(platform: MemoryPlatform) -> None:
    """Cut every server off from Redis, so that none is ready."""
    for pod in platform.life.pods:
        pod.linked, pod.unready = False, platform.life.now


def find_redis(platform: MemoryPlatform) -> None:
    """Link every server to Redis again."""
    for pod in platform.life.pods:
        pod.linked, pod.unready = True, None


@pytest.mark.parametrize(
    ("moved", "arrived", "failed", "refused"),
    [
        (0, 0, 500, False),
        (4, 0, 8, False),
        (5, 0, 5, True),
        (19, 1, 18, False),
        (20, 9, 6, True),
        (20, 10, 50, False),
        (40, 3, 0, False),
        (40, 3, 18, False),
        (40, 3, 19, True),
    ],
)
def test_moved_connections_that_are_refused_stop_moves_and_closed_tabs_do_not(
    moved: int, arrived: int, failed: int, *, refused: bool
) -> None:
    """Clients that left for good do not fail; failing connects of strangers do not stop moves of those who arrive."""
    assert Arrivals(moved, arrived, failed).refused is refused


def test_a_pause_of_redis_in_a_rollout_takes_no_server_out() -> None:
    """Servers that were to leave are resumed, nobody is moved, and the rollout continues afterwards."""
    platform = rolling(reconciles=8)
    assert any(not pod.serving for pod in platform.life.pods)
    lose_redis(platform)
    for _ in range(14):
        plan = platform.reconcile()
        assert not any(isinstance(action, Quiesce | Drain) for action in plan.actions)
    assert all(pod.serving for pod in platform.life.pods)
    assert reasons(platform).count("MovesHeld") == 1
    find_redis(platform)
    platform.reconcile()
    assert platform.life.available() >= 5
    platform.settle()
    assert platform.life.removed_with_connections == 0
    assert reasons(platform).count("MovesResumed") == 1


def test_readiness_that_is_lost_everywhere_stops_a_rollout() -> None:
    """Missing reports change nothing: the API server was away, and the node counts as lost."""
    platform = rolling(reconciles=8)
    for pod in platform.life.pods:
        pod.unready, pod.silent = platform.life.now, True
    plan = platform.reconcile()
    assert not any(isinstance(action, Quiesce | Drain) for action in plan.actions)
    assert conditions(platform)["Progressing"] == ("False", "MovesHeld")
    for pod in platform.life.pods:
        pod.unready, pod.silent = None, False
    platform.reconcile()
    assert platform.life.available() >= 5
    platform.settle()
    assert platform.life.removed_with_connections == 0


def test_a_server_that_was_ready_a_moment_ago_is_not_for_free() -> None:
    """The server may be ready again in a second, and has clients."""
    platform = rolling(reconciles=4)
    old = [pod for pod in platform.life.pods if pod.revision == (platform.status or {})["currentRevision"]]
    assert len(old) == 5
    for pod in old[:2]:
        pod.unready = platform.life.now
    plan = platform.reconcile()
    assert not any(isinstance(action, Quiesce) for action in plan.actions)


def test_new_servers_that_are_not_ready_yet_stop_nothing() -> None:
    """A surge of two in a small cluster loses no server."""
    spec: JsonObject = {"replicas": 2, "rollout": {"maxSurge": "100%", "drain": {"connectionsPerSecond": 20}}}
    platform = settled(spec)
    platform.life.connect(40)
    platform.life.now += 60
    platform.change(server={"limits": {"connections": 5000}})
    for _ in range(3):
        platform.reconcile()
    for pod in platform.life.pods:
        if not pod.ready(platform.life.now):
            pod.starting = True  # its container runs, and says nothing yet
    platform.reconcile()
    assert "MovesHeld" not in reasons(platform)
    for pod in platform.life.pods:
        pod.starting = False
    platform.settle()
    assert "MovesHeld" not in reasons(platform)


def test_a_rollout_that_is_held_is_not_over() -> None:
    """The phase stays Progressing, so that `wait` does not end early."""
    platform = rolling(reconciles=8)
    platform.contact_for = 1.0
    platform.reconcile()
    assert (platform.status or {})["phase"] == "Progressing"


@pytest.mark.parametrize("changes", [{"stale_for": 3.0}, {"contact_for": 1.0}], ids=["stale", "just connected"])
def test_what_is_not_known_for_sure_is_looked_at_again(changes: dict[str, float]) -> None:
    """No server is quiesced, drained or resumed, and no Event is emitted."""
    platform = rolling(reconciles=8)
    for name, value in changes.items():
        setattr(platform, name, value)
    plan = platform.reconcile()
    assert not any(isinstance(action, Quiesce | Drain | Resume) for action in plan.actions)
    assert conditions(platform)["Progressing"] == ("False", "MovesHeld")
    for name in changes:
        setattr(platform, name, None)
    platform.settle()
    assert not {"MovesHeld", "MovesResumed"} & set(reasons(platform))


def test_a_broken_fleet_is_repaired() -> None:
    """Old servers lost their Redis, new ones have another one: connections move though no old server is ready."""
    platform = settled(FIVE)
    platform.life.connect(100)
    lose_redis(platform)
    platform.life.now += 300
    platform.change(server={"limits": {"connections": 5000}})
    platform.settle()
    assert platform.life.available() == 5
    assert platform.life.removed_with_connections == 0


def test_crashing_servers_are_replaced_at_once() -> None:
    """Their containers do not run, so they have no connections."""
    platform = settled(FIVE)
    for pod in platform.life.pods:
        pod.broken = True
    platform.change(server={"limits": {"connections": 5000}})
    platform.settle(60)
    assert platform.life.available() == 5


def test_those_that_are_moved_must_arrive() -> None:
    """When the new revision refuses clients, old servers are resumed, and the rollout is retried later with few."""
    platform = rolling(connections=100, reconciles=8)
    target = (platform.status or {})["targetRevision"]

    def refuse() -> None:
        for pod in platform.life.pods:
            old = pod.revision != target
            pod.recent = Recent(30, 0, 0, 20 if not pod.serving else 0) if old else Recent(30, 0, 30, 0, {"100": 30})

    while not any(isinstance(action, Resume) for action in platform.reconcile().actions):
        refuse()
    assert conditions(platform)["Degraded"] == ("True", "MovedNotArriving")
    assert all(pod.serving for pod in platform.life.pods)
    for pod in platform.life.pods:
        pod.recent = Recent(30, 5, 0, 0)
    until = 0
    while not any(isinstance(action, Quiesce) for action in platform.reconcile().actions):
        until += 1
    assert until >= ARRIVAL_RELEASE_SECONDS - 1
    rates = [a.connections_per_second for _ in range(12) for a in platform.reconcile().actions if isinstance(a, Drain)]
    assert rates
    assert max(rates) <= 5
    platform.settle()
    assert platform.life.removed_with_connections == 0


def test_a_server_does_not_go_before_those_it_moved_have_arrived() -> None:
    """The next server is quiesced only then; clients that never return delay it for the window of the reports."""
    platform = rolling(connections=100, reconciles=8)
    target = (platform.status or {})["targetRevision"]
    for pod in platform.life.pods:
        pod.recent = Recent(30, 0, 0, 0) if pod.revision == target or pod.serving else Recent(30, 0, 0, 20)
    before = len(platform.life.pods)
    for _ in range(20):
        plan = platform.reconcile()
        assert not any(isinstance(action, Quiesce) for action in plan.actions)
    assert len(platform.life.pods) == before
    for pod in platform.life.pods:
        pod.recent = Recent(30, 0, 0, 0)
    platform.settle()


def test_each_time_that_they_do_not_arrive_the_pause_is_longer() -> None:
    """The pauses are 30 seconds, a minute, two, and at most ten minutes."""
    refusing = replace(server("b", "new"), report=replace(server("b").report, recent=Recent(30, 0, 30, 0)))  # type: ignore[type-var] # a report
    moving = quiesced("a", 9, 5)
    moving = replace(moving, report=replace(moving.report, recent=Recent(30, 0, 0, 20)))  # type: ignore[type-var] # a report
    found = fleet(moving, refusing, old=1, new=1)
    world = World({}, found.servers)
    hold: Hold | None = None
    pauses = []
    now = NOW
    for _ in range(7):
        hold = next_hold(world, found, (moving,), LINKED, hold, now)
        assert hold is not None
        pauses.append((hold.until - now).total_seconds())
        now = hold.until
        assert brake(hold, Arrivals(0, 0, 0), now).careful
        assert not brake(hold, Arrivals(0, 0, 0), now).stop
    assert pauses == [30, 60, 120, 240, 480, LONGEST_RELEASE_SECONDS, LONGEST_RELEASE_SECONDS]


def test_a_hold_is_not_written_anew_each_second() -> None:
    """The end of the hold is moved when half of its time has passed."""
    first = server("a", ready=False, unready_since=NOW, report=None)
    second = server("b", ready=False, unready_since=NOW, report=None)
    found = fleet(first, second, old=2)
    world = World({}, found.servers)
    hold = next_hold(world, found, found.servers, LINKED, None, NOW)
    assert hold is not None
    assert hold.reason is Reason.FLEET_UNREADY
    soon, late = NOW + timedelta(seconds=2), NOW + timedelta(seconds=6)
    assert next_hold(world, found, found.servers, LINKED, hold, soon) == hold
    longer = next_hold(world, found, found.servers, LINKED, hold, late)
    assert longer is not None
    assert longer.until > hold.until
    assert longer.since == hold.since


def test_nothing_is_held_when_nobody_is_to_go() -> None:
    """A settled cluster has no hold, whatever happens to it."""
    found = fleet(server("a", "new", ready=False, unready_since=NOW), desired=1, new=1)
    world = World({}, found.servers, contact_since=NOW - timedelta(seconds=CONTACT_SECONDS / 2))
    assert next_hold(world, found, (), LINKED, None, NOW) is None


@dataclass
class BrakedSimulation(Simulation):
    """A simulation with brakes, as in `reconcile`, without manifests."""

    hold: Hold | None = None
    stale: bool = False
    reconnected: bool = False

    def step(self, tick: float = 1.0) -> RolloutStep:
        """Decide, check that no needed server is taken out, carry out, and live."""
        now = START + timedelta(seconds=self.now)
        found = self.fleet()
        world = World(
            {},
            found.servers,
            stale_since=now - timedelta(seconds=5) if self.stale else None,
            contact_since=now - timedelta(seconds=1) if self.reconnected else None,
        )
        cut = any(server.report is not None and not server.report.backplane_healthy for server in found.live)
        backplane = replace(LINKED, ready=not cut)
        retiring = retiring_servers(found)
        self.hold = next_hold(world, found, retiring, backplane, self.hold, now)
        decided = next_step(found, self.policy, now, brake(self.hold, arrivals(found, retiring), now))
        self._carry_out_checked(decided)
        self.replicas[self.target] = decided.target_replicas
        self.live(tick)
        return decided

    def _carry_out_checked(self, decided: RolloutStep) -> None:
        floor = self.desired - self.policy.max_unavailable
        steady = [pod.name for pod in self.pods if self._is_steady(pod)]
        ready = self.available()
        for action in decided.actions:
            self.carry_out(action)
        left = [pod for pod in self.pods if pod.name in steady and self._is_steady(pod)]
        assert len(left) >= min(len(steady), floor), "servers were taken out that people are on"
        assert self.available() >= min(ready, floor), "fewer servers are available than allowed, by our own hand"

    def _is_steady(self, pod: Pod) -> bool:
        """Return True when clients may use a pod: it is in the endpoints, and ready except for a moment."""
        started = not pod.broken and self.now - pod.created >= READY_AFTER
        a_moment = pod.unready is None or self.now - pod.unready < 60
        used = pod.ready(self.now) or pod.last_accept is not None
        return pod.serving and started and a_moment and pod.terminating is None and used

    def happen(self, what: str, which: int) -> None:
        """Apply one event to the cluster; `which` selects a pod for events of single pods."""
        one = self.pods[which % len(self.pods) :][:1] if self.pods else []
        match what:
            case "unready" | "all unready":
                for pod in one if what == "unready" else self.pods:
                    pod.unready = self.now if pod.unready is None else pod.unready
            case "silent" | "all silent":
                for pod in one if what == "silent" else self.pods:
                    pod.silent = True
            case "cut off":
                for pod in self.pods:
                    pod.linked, pod.unready = False, self.now
            case "gone":
                self.pods = [pod for pod in self.pods if pod not in one]
            case "stale":
                self.stale = not self.stale
            case "reconnected":
                self.reconnected = not self.reconnected
            case "change":
                self.target = "abc"[which % 3]
            case _:
                self.calm()

    def calm(self) -> None:
        """Return everything to normal."""
        for pod in self.pods:
            pod.unready, pod.silent, pod.linked = None, False, True
        self.stale = self.reconnected = False


HAPPENINGS = (
    "unready", "all unready", "silent", "all silent", "cut off", "gone", "stale", "reconnected", "change", "calm",
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 1),
    st.lists(
        st.tuples(st.sampled_from(HAPPENINGS), st.integers(0, 6), st.sampled_from([0, 1, 2, 7, 20, 70])), max_size=16
    ),
)
def test_in_no_order_of_events_servers_are_taken_out_that_are_needed(
    unavailable: int, history: list[tuple[str, int, int]]
) -> None:
    """Probes that flap, servers that are silent, pods that vanish, stale views, in rollouts that change their mind.

    Each step checks it. Afterwards all comes to rest, and the operator has cut nobody.
    """
    policy = RolloutPolicy(1, unavailable, DRAIN)
    simulation = BrakedSimulation(policy, "a", 4)
    simulation.settle()
    simulation.connect(80)
    simulation.now += 60
    simulation.target = "b"
    for what, which, steps in history:
        simulation.happen(what, which)
        for _ in range(steps):
            simulation.step()
    simulation.calm()
    simulation.settle()
    assert simulation.removed_with_connections == 0
    assert simulation.available() == 4
