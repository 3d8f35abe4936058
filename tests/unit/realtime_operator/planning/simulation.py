"""A model of what stands around the decisions: ReplicaSets that make and delete pods, servers that drain.

It behaves as Kubernetes does where it matters: a ReplicaSet with too many pods deletes those that are not ready first,
then those of the lowest deletion cost; a new pod takes some time to be ready; a deleted one lingers for a moment.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from realtime_operator.planning.model.plan import (
    Action,
    DeleteServer,
    Drain,
    ProbeServer,
    Quiesce,
    Resume,
    ScaleRevision,
    SetDeletionCost,
)
from realtime_operator.planning.model.totals import Totals
from realtime_operator.planning.model.world import ProbeReport, Recent, Server, ServerReport, ServerState, StoreReport
from realtime_operator.planning.moving.fleet import Fleet, ReplicaSet
from realtime_operator.planning.moving.rollout import RolloutPolicy, RolloutStep, next_step

START = datetime(2026, 1, 1, tzinfo=UTC)
READY_AFTER = 3.0
LINGER = 2.0


@dataclass
class Pod:
    """A server pod of the model; `created` and the other times are seconds since the start."""

    name: str
    revision: str
    created: float
    broken: bool = False
    serving: bool = True
    quiesced: float | None = None
    drain_rate: float | None = None
    deletion_cost: int = 0
    drain_requested: bool = False
    connections: float = 0
    last_accept: float | None = None
    terminating: float | None = None
    unready: float | None = None
    """Time since when the probe of a running server fails."""
    silent: bool = False
    """True when the admin port does not answer."""
    linked: bool = True
    """True when Redis is reached; otherwise the server is not ready."""
    recent: Recent | None = None
    store: StoreReport | None = None
    starting: bool = False
    """True while the container runs but has not been ready yet."""
    probe_lag: float = 0.0
    """Seconds for which a server that drains still counts as ready: several probes must fail."""
    drain_began: float | None = None
    counts: dict[tuple[str, str], int] = field(default_factory=dict)
    """What it has counted since its start."""
    probe_code: str = ""
    """Code that its next probes get."""
    probe: tuple[float, str] | None = None
    """Time and code of its latest probe."""

    def ready(self, now: float) -> bool:
        """Return the result of the readiness probe: started, not broken, not draining."""
        started = not self.broken and not self.starting and now - self.created >= READY_AFTER
        draining = self.drain_began is not None and now - self.drain_began >= self.probe_lag
        return started and not draining and self.unready is None and self.linked

    def observed(self, now: float) -> Server:
        """Return the server as a platform reports it."""
        started = not self.broken and not self.starting and now - self.created >= READY_AFTER
        state = ServerState.SERVING
        if self.drain_rate is not None:
            state = ServerState.DRAINING if self.connections > 0 else ServerState.DRAINED
        report = ServerReport(
            state=state,
            connections=math.ceil(self.connections - 1e-9),
            seconds_since_last_accept=None if self.last_accept is None else now - self.last_accept,
            drain_rate=self.drain_rate,
            backplane_healthy=self.linked,
            recent=self.recent,
            store=self.store,
            accepts_alternate_api_key=True,
            totals=Totals(self.created, dict(self.counts)),
            probe=None if self.probe is None else ProbeReport(self.probe[1], age_seconds=now - self.probe[0]),
        )
        return Server(
            name=self.name,
            uid=self.name,
            revision=self.revision,
            created_at=START + timedelta(seconds=self.created),
            serving=self.serving,
            ready=self.ready(now),
            unready_since=self._unready_since(now),
            ready_since=START + timedelta(seconds=self.created + READY_AFTER) if self.ready(now) else None,
            was_ready=started,
            terminating=self.terminating is not None,
            quiesced_at=None if self.quiesced is None else START + timedelta(seconds=self.quiesced),
            deletion_cost=self.deletion_cost,
            drain_requested=self.drain_requested,
            waiting_reason=self._waiting_reason(started=started),
            report=report if started and not self.silent else None,
        )

    def _waiting_reason(self, *, started: bool) -> str | None:
        if self.broken:
            return "CrashLoopBackOff"
        return None if started or self.starting else "ContainerCreating"

    def _unready_since(self, now: float) -> datetime | None:
        if self.ready(now):
            return None
        times = [time for time in (self.unready, self.drain_began) if time is not None]
        return START + timedelta(seconds=min(times, default=self.created))


@dataclass
class Simulation:
    """A simulated cluster. `step` is one reconcile followed by `tick` seconds of life."""

    policy: RolloutPolicy
    target: str
    desired: int
    now: float = 0.0
    replicas: dict[str, int] = field(default_factory=dict)
    pods: list[Pod] = field(default_factory=list)
    broken_revisions: set[str] = field(default_factory=set)
    refuses_pods: bool = False
    """True while a quota prevents the creation of pods."""
    removed_with_connections: int = 0
    moved: float = 0.0
    homeless: float = 0.0
    _names: int = 0

    def staying(self) -> list[Pod]:
        """Return the pods that are not being deleted."""
        return [pod for pod in self.pods if pod.terminating is None]

    def available(self) -> int:
        """Return the number of pods that new connections reach."""
        return sum(1 for pod in self.staying() if pod.serving and pod.ready(self.now))

    def fleet(self) -> Fleet:
        """Return the fleet as a platform reports it."""
        servers = tuple(pod.observed(self.now) for pod in self.pods)
        sets = {revision: ReplicaSet(revision, revision, count) for revision, count in self.replicas.items()}
        return Fleet(self.target, self.desired, sets, servers)

    def step(self, tick: float = 1.0) -> RolloutStep:
        """Decide, carry out, and live for `tick` seconds."""
        decided = next_step(self.fleet(), self.policy, START + timedelta(seconds=self.now))
        for action in decided.actions:
            self.carry_out(action)
        self.replicas[self.target] = decided.target_replicas
        self.live(tick)
        return decided

    def done(self) -> bool:
        """Return True when the cluster is as wanted."""
        at_target = all(pod.revision == self.target for pod in self.pods)
        return at_target and self.available() == self.desired == len(self.pods)

    def settle(self, limit: int = 2000) -> None:
        """Step until nothing is left to do; fails after `limit` steps."""
        for _ in range(limit):
            done, before = self.done(), dict(self.replicas)
            if not self.step().actions and done and before == self.replicas:
                return
        raise AssertionError(f"not settled after {limit} steps: {self.replicas} {self.pods}")

    def connect(self, connections: float) -> None:
        """Connect new clients, spread over the endpoints."""
        pods = [pod for pod in self.staying() if pod.serving and pod.ready(self.now)]
        for pod in pods:
            pod.connections += connections / len(pods)
            pod.last_accept = self.now

    def carry_out(self, action: Action) -> None:
        """Carry out one action on a server or a revision."""
        if isinstance(action, ScaleRevision):
            self.replicas[action.replica_set] = action.replicas
            return
        assert isinstance(action, Quiesce | Resume | Drain | ProbeServer | SetDeletionCost | DeleteServer)
        pod = next(pod for pod in self.pods if pod.name == action.server)
        if isinstance(action, DeleteServer):
            self.removed_with_connections += math.ceil(pod.connections - 1e-9)
            self.pods.remove(pod)
        elif isinstance(action, Quiesce):
            pod.serving, pod.quiesced = False, self.now
        elif isinstance(action, Resume):
            pod.serving, pod.quiesced, pod.drain_rate, pod.drain_began = True, None, None, None
        elif isinstance(action, Drain):
            pod.drain_rate = action.connections_per_second
            pod.drain_began = self.now if pod.drain_began is None else pod.drain_began
        elif isinstance(action, ProbeServer):
            pod.probe = (self.now, pod.probe_code)
        else:
            pod.deletion_cost = action.cost

    def _control_replica_sets(self) -> None:
        for revision, wanted in self.replicas.items():
            pods = [pod for pod in self.staying() if pod.revision == revision]
            pods.sort(key=lambda pod: (pod.ready(self.now), pod.deletion_cost, -pod.created))
            for pod in pods[: max(0, len(pods) - wanted)]:
                self.removed_with_connections += math.ceil(pod.connections - 1e-9)
                pod.terminating = self.now
            for _ in range(0 if self.refuses_pods else wanted - len(pods)):
                self._names += 1
                name = f"{revision}-{self._names}"
                self.pods.append(Pod(name, revision, self.now, broken=revision in self.broken_revisions))

    def live(self, tick: float) -> None:
        """Simulate ReplicaSets and servers for `tick` seconds."""
        self._control_replica_sets()
        for pod in self.staying():
            if pod.drain_rate is not None and pod.connections > 0:
                moving = min(pod.connections, pod.drain_rate * tick)
                pod.connections -= moving
                self.moved += moving
                self.homeless += moving
        if self.homeless and self.available():
            self.connect(self.homeless)
            self.homeless = 0
        self.now += tick
        self.pods = [p for p in self.pods if p.terminating is None or self.now - p.terminating < LINGER]


def settled(policy: RolloutPolicy, desired: int, revision: str = "a", connections: int = 0) -> Simulation:
    """Return a settled cluster of `desired` servers with `connections` in total."""
    simulation = Simulation(policy, revision, desired)
    simulation.settle()
    simulation.connect(connections)
    simulation.now += 3600
    return simulation
