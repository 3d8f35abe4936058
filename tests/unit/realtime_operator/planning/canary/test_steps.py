"""Canary steps in whole runs: their shares, their gates, and the way back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime_operator.planning.canary.gates import Gate, GatePolicy, GateResult, Outcome
from realtime_operator.planning.canary.span import Span
from realtime_operator.planning.canary.steps import (
    UNDER_WAY,
    Canary,
    CanaryPolicy,
    CanaryState,
    OnFailure,
    Phase,
    Step,
    View,
    next_canary,
)
from realtime_operator.planning.model.plan import ProbeServer
from realtime_operator.planning.model.totals import CONNECTS, CONNECTS_FAILED
from realtime_operator.planning.moving.budget import DrainPolicy
from realtime_operator.planning.moving.fleet import Fleet
from realtime_operator.planning.moving.rollout import RolloutPolicy, RolloutStep
from tests.unit.realtime_operator.planning.simulation import START, Pod, Simulation

ROLLOUT = RolloutPolicy(max_surge=1, max_unavailable=0, drain=DrainPolicy(50, 60, 2))
OLD, NEW = "a", "b"


def policy(
    *shares: int, on_failure: OnFailure = OnFailure.ROLLBACK, hold: float = 10, resumed: str = ""
) -> CanaryPolicy:
    """Return a policy with steps of these percentages."""
    steps = tuple(Step(share / 100, hold) for share in shares)
    return CanaryPolicy(steps, on_failure, GatePolicy(), deadline_seconds=60, resumed_at=resumed)


@dataclass
class Run(Simulation):
    """A cluster with the revision OLD, whose spec asks for NEW. `canary_policy` is that of its spec."""

    canary_policy: CanaryPolicy | None = None
    state: CanaryState | None = None
    span: Span | None = None
    natural: int = 0
    """Connects per second at each server."""
    refuses: bool = False
    """True while servers of NEW refuse every client."""
    silent: bool = False
    """True while servers of NEW do not answer the operator."""
    failure: GateResult | None = None
    """A failure that is found elsewhere."""
    phases: list[tuple[int, Phase]] = field(default_factory=list)

    @property
    def new(self) -> list[Pod]:
        """Servers of NEW."""
        return [pod for pod in self.staying() if pod.revision == NEW]

    @property
    def old(self) -> list[Pod]:
        """Servers of OLD."""
        return [pod for pod in self.staying() if pod.revision == OLD]

    @property
    def phase(self) -> Phase | None:
        """Phase of the canary; None without one."""
        return None if self.state is None else self.state.phase

    def fleet(self) -> Fleet:
        """Return the fleet with the limits of the canary."""
        found = self._decide(super().fleet())
        limits = None if found is None else found.limits
        return replace(super().fleet(), limits=limits)

    def step(self, tick: float = 1.0) -> RolloutStep:
        """Let clients connect, and decide as the operator does."""
        for pod in self.new:
            pod.probe_code, pod.silent = "100" if self.refuses else "", self.silent
        for pod in self.pods:
            bad = self.refuses and pod.revision == NEW
            key = (CONNECTS_FAILED, "100") if bad else (CONNECTS, "")
            if pod.serving and pod.ready(self.now):
                pod.counts[key] = pod.counts.get(key, 0) + self.natural
        rejected = self.state is not None and self.state.rejects("spec", self.canary_policy)
        self.target = OLD if rejected else NEW
        found = self._decide(super().fleet())
        decided = super().step(tick)
        self.state, self.span = (None, None) if found is None else (found.state, found.span)
        for server in () if found is None else found.probes:
            if any(pod.name == server.name for pod in self.pods):
                self.carry_out(ProbeServer(server.name, server.admin))
        if self.state is not None and (not self.phases or self.phases[-1] != (self.state.step, self.state.phase)):
            self.phases.append((self.state.step, self.state.phase))
        return decided

    def until(self, holds: Callable[[], bool], limit: int = 600) -> None:
        """Step until something holds."""
        for _ in range(limit):
            if holds():
                return
            self.step()
        raise AssertionError(f"not after {limit} s: {self.state} {self.pods}")

    def serves_only(self, revision: str) -> bool:
        """Return True when the servers of a revision alone are there, and all of them."""
        return {pod.revision for pod in self.pods} == {revision} and len(self.pods) == self.desired == self.available()

    def _decide(self, fleet: Fleet) -> Canary | None:
        now = START + timedelta(seconds=self.now)
        view = View(fleet, None if self.serves_only(NEW) else OLD, "spec", now, self.failure)
        return next_canary(self.canary_policy, view, self.state, self.span)


def begun(wanted: CanaryPolicy | None, *, replicas: int = 4, natural: int = 0) -> Run:
    """Return a settled cluster with connections, whose spec has just changed."""
    run = Run(ROLLOUT, OLD, replicas, replicas={OLD: replicas}, natural=natural)
    run.live(1)
    run.now = 3600
    run.connect(100)
    run.now += 60
    run.canary_policy = wanted
    return run


def test_each_step_goes_as_far_as_its_share_and_holds() -> None:
    """One new server for 10 s, three for 10 s, then all."""
    run = begun(policy(25, 75))
    held: dict[int, list[int]] = {1: [], 2: []}

    def watched() -> bool:
        if run.state is not None and run.phase is Phase.HOLDING:
            held[run.state.step].append(len(run.new))
        return run.serves_only(NEW)

    run.until(watched)
    steps = [(1, Phase.MOVING), (1, Phase.HOLDING), (2, Phase.MOVING), (2, Phase.HOLDING), (2, Phase.PASSED)]
    assert run.phases == steps
    assert set(held[1]) == {1}
    assert set(held[2]) == {3}
    assert min(map(len, held.values())) >= 10
    run.step()
    assert run.state is None, "nothing is tried any more"


@pytest.mark.parametrize("natural", [0, 5], ids=["idle", "busy"])
def test_servers_that_refuse_clients_are_rolled_back(natural: int) -> None:
    """On an idle cluster a probe shows it, on a busy one the clients do; the other old servers are never touched."""
    run = begun(policy(25, 75), natural=natural)
    run.refuses = True
    others = len(run.old) - 1
    run.until(lambda: run.phase is Phase.ROLLED_BACK)
    assert run.state is not None
    assert run.state.failed is Gate.CONNECTS
    assert len([pod for pod in run.old if pod.serving]) >= others
    run.until(lambda: run.serves_only(OLD))
    for _ in range(30):
        run.step()
    assert run.serves_only(OLD), "it is not tried again"
    assert run.removed_with_connections == 0


def test_what_was_rolled_back_is_tried_again_when_it_is_forgiven() -> None:
    """It begins with the first step; without steps in the spec all servers are replaced at once."""
    run = begun(policy(25, 75))
    run.refuses = True
    run.until(lambda: run.phase is Phase.ROLLED_BACK and run.serves_only(OLD))
    run.refuses = False
    run.canary_policy = policy(25, 75, resumed="now")
    run.phases.clear()
    run.until(lambda: run.serves_only(NEW))
    assert run.phases[0] == (1, Phase.MOVING)


def test_a_pause_keeps_everything_where_it_is_until_it_is_resumed() -> None:
    """Neither revision gets or loses a server; then the step is tried again."""
    run = begun(policy(25, on_failure=OnFailure.PAUSE), natural=1)
    run.until(lambda: run.phase is Phase.HOLDING)
    run.refuses = True
    run.until(lambda: run.phase is Phase.PAUSED)
    before = sorted(pod.name for pod in run.staying())
    for _ in range(200):
        run.step()
    assert sorted(pod.name for pod in run.staying()) == before
    run.refuses = False
    run.canary_policy = policy(25, on_failure=OnFailure.PAUSE, resumed="now")
    run.until(lambda: run.serves_only(NEW))
    assert run.phases.count((1, Phase.HOLDING)) == 2


def test_a_server_that_is_not_observed_is_never_good() -> None:
    """New servers that do not answer fail after a while, though all that was read is good."""
    run = begun(policy(25, hold=100), natural=5)
    run.until(lambda: run.phase is Phase.HOLDING)
    run.silent = True
    run.until(lambda: run.phase is Phase.ROLLED_BACK, limit=40)
    assert run.state is not None
    assert run.state.failed is Gate.OBSERVATION


def test_what_stays_undecided_ends_after_the_deadline() -> None:
    """Redis is lost for all: that is no fault of the new servers, but they are not passed either."""
    run = begun(policy(25))
    run.until(lambda: run.phase is Phase.HOLDING)
    for pod in run.pods:
        pod.linked = False
        pod.unready = None
    run.until(lambda: run.phase is Phase.ROLLED_BACK, limit=120)
    assert run.state is not None
    assert run.state.failed is not None
    assert run.state.message


def test_a_failure_that_is_found_elsewhere_ends_the_step() -> None:
    """Clients that were moved are refused everywhere: the brake sees it."""
    run = begun(policy(25))
    run.until(lambda: run.phase is Phase.HOLDING)
    run.failure = GateResult(Gate.CONNECTS, Outcome.FAILED, "moved connections do not arrive")
    run.step()
    assert run.phase is Phase.ROLLED_BACK


def test_an_operator_that_starts_anew_holds_anew() -> None:
    """What happened in the first part of the hold is not known to it."""
    run = begun(policy(25, hold=30))
    run.until(lambda: run.phase is Phase.HOLDING)
    for _ in range(25):
        run.step()
    run.span = None
    for _ in range(28):
        run.step()
        assert run.phase is Phase.HOLDING
    run.until(lambda: run.serves_only(NEW))


def test_an_operator_that_was_away_for_longer_than_the_deadline_judges_anew() -> None:
    """What nobody has looked at is not late."""
    run = begun(policy(25, hold=30))
    run.until(lambda: run.phase is Phase.HOLDING)
    run.span = None
    run.now += 10_000
    run.until(lambda: run.serves_only(NEW))


def test_nothing_advances_while_observations_may_be_wrong() -> None:
    """The state stays as it is, and its limits hold."""
    run = begun(policy(25, hold=1))
    run.until(lambda: run.phase is Phase.HOLDING)
    view = View(Simulation.fleet(run), OLD, "spec", START + timedelta(days=1), trusted=False)
    found = next_canary(run.canary_policy, view, run.state, run.span)
    assert found is not None
    assert found.state == run.state
    assert found.limits is not None


def test_the_only_server_stays_beside_the_new_one() -> None:
    """There is a way back, whatever the share."""
    run = begun(policy(100), replicas=1)
    run.until(lambda: run.phase is Phase.HOLDING)
    for _ in range(5):
        run.step()
        assert (len(run.old), len(run.new)) == (1, 1)
    run.until(lambda: run.serves_only(NEW))


def test_servers_that_are_added_meanwhile_run_the_current_revision() -> None:
    """A scale-up during a hold adds no more new servers than the share."""
    run = begun(policy(25, hold=100))
    run.until(lambda: run.phase is Phase.HOLDING)
    run.desired = 8
    run.until(lambda: len(run.staying()) == 8, limit=15)
    assert len(run.new) <= 2


@pytest.mark.parametrize("revision", [OLD, NEW])
@pytest.mark.parametrize("phase", [Phase.HOLDING, Phase.PAUSED])
@pytest.mark.parametrize("rollout", [ROLLOUT, replace(ROLLOUT, max_surge=0, max_unavailable=1)], ids=["surge", "none"])
def test_a_server_that_is_asked_to_leave_is_replaced_by_one_of_its_revision(
    revision: str, phase: Phase, rollout: RolloutPolicy
) -> None:
    """Nodes are drained also during a hold of hours, and while a canary is paused: nothing waits for its end."""
    run = begun(policy(25, 75, hold=10_000, on_failure=OnFailure.PAUSE))
    run.policy = rollout
    run.until(lambda: run.phase is Phase.HOLDING)
    run.refuses = phase is Phase.PAUSED
    run.until(lambda: run.phase is phase)
    leaving = next(pod for pod in run.staying() if pod.revision == revision)
    leaving.drain_requested = True
    lowest = run.available()

    def is_replaced() -> bool:
        nonlocal lowest
        lowest = min(lowest, run.available())
        return leaving not in run.pods and len(run.new) == 1 and len(run.old) >= 3

    run.until(is_replaced)
    assert lowest >= run.desired - rollout.max_unavailable
    for _ in range(60):
        run.step()
        assert len(run.new) == 1
    assert 3 <= len(run.old) <= (4 if phase is Phase.PAUSED and revision == NEW else 3)
    assert run.phase is phase
    assert run.removed_with_connections == 0


def test_a_server_that_drains_for_long_before_it_leaves_is_no_failure() -> None:
    """It is not ready then: its successor is judged."""
    run = begun(policy(25, hold=10_000))
    run.until(lambda: run.phase is Phase.HOLDING)
    (leaving,) = run.new
    run.policy = replace(ROLLOUT, drain=DrainPolicy(1, 600, 2))
    leaving.connections = 300
    leaving.drain_requested = True
    run.until(lambda: leaving.drain_began is not None)
    for _ in range(120):
        run.step()
        assert run.phase is Phase.HOLDING, run.state
    assert leaving in run.pods
    run.canary_policy = policy(25, hold=10)
    run.until(lambda: leaving not in run.pods)
    assert run.phase is Phase.HOLDING
    run.until(lambda: run.phase is Phase.PASSED)


@pytest.mark.parametrize(("replicas", "anew"), [(5, True), (4, False), (2, False)])
def test_servers_that_join_a_step_hold_as_long_as_the_others(replicas: int, *, anew: bool) -> None:
    """With more servers the step has more new ones, of which nothing is known yet; with fewer it has known ones."""
    run = begun(policy(25, hold=60))
    run.until(lambda: run.phase is Phase.HOLDING)
    for _ in range(40):
        run.step()
    scaled_at, run.desired = run.now, replicas
    run.until(lambda: run.phase is not Phase.HOLDING)
    assert run.phase is Phase.PASSED
    assert (run.now - scaled_at >= 60) == anew, run.now - scaled_at


def test_without_a_canary_all_are_replaced_at_once() -> None:
    """A canary that is removed from the spec limits nothing any more, also after a rollback."""
    run = begun(policy(25))
    run.refuses = True
    run.until(lambda: run.phase is Phase.ROLLED_BACK and run.serves_only(OLD))
    run.canary_policy = None
    run.until(lambda: run.serves_only(NEW))


@given(
    shares=st.lists(st.integers(1, 100), min_size=1, max_size=4).map(sorted),
    replicas=st.integers(1, 6),
    fails_at=st.one_of(st.none(), st.integers(0, 120)),
    how=st.sampled_from(["refuses", "silent"]),
    natural=st.integers(0, 3),
    on_failure=st.sampled_from(OnFailure),
    restarts_at=st.one_of(st.none(), st.integers(0, 60)),
)
@settings(max_examples=60, deadline=None)
def test_no_step_goes_further_than_its_share(
    shares: list[int],
    replicas: int,
    fails_at: int | None,
    how: str,
    natural: int,
    on_failure: OnFailure,
    restarts_at: int | None,
) -> None:
    """Whatever happens when: no more new servers than the step's share, an old one to go back to, and an end.

    New servers that are bad from some time on are not passed after it. A rollback restores the revision.
    """
    run = begun(policy(*shares, on_failure=on_failure), replicas=replicas, natural=natural)
    tried = False
    for second in range(900):
        if second == restarts_at:
            run.span = None
        bad = fails_at is not None and second >= fails_at and run.phase in UNDER_WAY
        run.refuses, run.silent = bad and how == "refuses", bad and how == "silent"
        tried = tried or bad
        run.step()
        if run.phase in UNDER_WAY and run.state is not None:
            allowed = run.canary_policy.steps[run.state.step - 1].servers(replicas)  # type: ignore[union-attr] # it is set
            assert len(run.new) <= allowed
            assert len(run.old) >= max(1, replicas - allowed)
        if (
            run.phase is Phase.PAUSED
            or run.serves_only(NEW)
            or (run.phase is Phase.ROLLED_BACK and run.serves_only(OLD))
        ):
            break
    if not tried:
        assert run.serves_only(NEW)
    elif how == "silent" or natural == 0:
        assert run.phase is (Phase.PAUSED if on_failure is OnFailure.PAUSE else Phase.ROLLED_BACK)
        assert run.state is not None
        assert run.state.message
    if run.phase is Phase.ROLLED_BACK:
        assert run.serves_only(OLD)
    assert run.removed_with_connections == 0
