"""A model of connections that move between servers, second by second, for the budget of all reasons to move.

Servers behave as ours do: a pod that is deleted quiesces, waits for the settle time and for the operator's rate, and
drains at that rate or at its share; clients that were moved or lost reconnect to the servers behind the endpoint. The
operator can be away for some seconds. Times are whole seconds.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from datetime import timedelta

from realtime_operator.planning.budget import Budget, lost_connections, next_budget
from realtime_operator.planning.fleet import Fleet, ReplicaSet
from realtime_operator.planning.plan import (
    Action,
    Drain,
    Quiesce,
    Resume,
    ScaleRevision,
    SetDeletionCost,
    SetShare,
)
from realtime_operator.planning.rollout import RolloutPolicy, next_step
from realtime_operator.planning.world import Recent, Server, ServerReport, ServerState
from tests.unit.realtime_operator.planning.simulation import START

READY_AFTER = 3
GRANT_SECONDS = 3
"""Seconds for which a server that must stop waits for the operator's rate."""
CONFIGURED_RATE = 50.0
"""Rate of a server that must stop and was given no share."""


@dataclass
class Host:
    """A server pod. `moved` are its moves of the last 30 seconds, one number for each."""

    name: str
    revision: str
    created: int
    connections: int = 0
    serving: bool = True
    quiesced: int | None = None
    drain_rate: float | None = None
    share: float = 0.0
    drains_at_share: bool = False
    deletion_cost: int = 0
    last_accept: int | None = None
    deleted: int | None = None
    lag: float = 0.0
    credit: float = 0.0
    moved: deque[int] = field(default_factory=lambda: deque(maxlen=30))

    def ready(self, now: int) -> bool:
        """Return True when new connections may come."""
        return now - self.created >= READY_AFTER and self.drain_rate is None and self.deleted is None

    def observed(self, now: int) -> Server:
        """Return the server as a platform reports it."""
        started = now - self.created >= READY_AFTER
        return Server(
            name=self.name,
            uid=self.name,
            revision=self.revision,
            created_at=START + timedelta(seconds=self.created),
            serving=self.serving,
            ready=self.ready(now),
            unready_since=None if self.ready(now) else START + timedelta(seconds=self.created),
            was_ready=started,
            terminating=self.deleted is not None,
            quiesced_at=None if self.quiesced is None else START + timedelta(seconds=self.quiesced),
            deletion_cost=self.deletion_cost,
            waiting_reason=None if started else "ContainerCreating",
            report=self._report(now) if started else None,
        )

    def _report(self, now: int) -> ServerReport:
        state = ServerState.SERVING if self.deleted is None else ServerState.QUIESCED
        if self.drain_rate is not None:
            state = ServerState.DRAINING if self.connections else ServerState.DRAINED
        return ServerReport(
            state,
            self.connections,
            seconds_since_last_accept=None if self.last_accept is None else now - self.last_accept,
            drain_rate=self.drain_rate,
            recent=Recent(30, 0, 0, sum(self.moved)),
            share=self.share,
            loop_lag_seconds=self.lag,
        )

    def move(self) -> int:
        """Let a second pass, and return the number of connections that the server asked to move in it."""
        self.credit = min(self.credit + (self.drain_rate or 0.0), max(1.0, self.drain_rate or 0.0) + 1.0)
        moved = min(int(self.credit), self.connections)
        self.credit -= moved
        self.connections -= moved
        self.moved.append(moved)
        return moved


@dataclass
class MovingWorld:
    """A fleet of the target revision `new`; `asked` and `budgets` have a number for every second."""

    policy: RolloutPolicy
    desired: int
    now: int = 0
    away_until: int = 0
    replicas: dict[str, int] = field(default_factory=dict)
    hosts: list[Host] = field(default_factory=list)
    homeless: int = 0
    asked: list[int] = field(default_factory=list)
    budgets: list[Budget] = field(default_factory=list)
    cut: int = 0
    """Connections that ended with their pod."""
    _seen: dict[str, int] = field(default_factory=dict)
    _names: int = 0

    def add(self, revision: str, count: int, connections: int = 0) -> None:
        """Add running servers with `connections` each."""
        for _ in range(count):
            self._names += 1
            self.hosts.append(Host(f"{revision}-{self._names}", revision, self.now - 3600, connections))
        self.replicas[revision] = self.replicas.get(revision, 0) + count

    @property
    def connections(self) -> int:
        """Number of all clients, those that are about to reconnect included."""
        return self.homeless + sum(host.connections for host in self.hosts)

    @property
    def shares_in_use(self) -> float:
        """Sum of the rates of servers that drain at their share, as nobody has set a rate."""
        return sum(host.drain_rate or 0.0 for host in self.hosts if host.drains_at_share)

    def evict(self, index: int) -> None:
        """Delete a pod from outside; its ReplicaSet makes another one."""
        live = [host for host in self.hosts if host.deleted is None]
        if live:
            live[index % len(live)].deleted = self.now

    def crash(self, index: int) -> None:
        """Kill a server, whose container starts again in the same pod."""
        live = [host for host in self.hosts if host.deleted is None]
        if live:
            host = live[index % len(live)]
            self.homeless += host.connections
            host.connections, host.created, host.drain_rate, host.share = 0, self.now, None, 0.0
            host.moved.clear()

    def second(self) -> None:
        """Let the operator reconcile, unless it is away, and one second pass."""
        if self.now >= self.away_until:
            self._reconcile()
        self._replica_sets()
        asked = 0
        for host in self.hosts:
            self._pre_stop(host)
            asked += host.move()
        self._connect(asked)
        self.asked.append(asked)
        self.hosts = [host for host in self.hosts if host.deleted is None or host.connections > 0]
        self.now += 1

    def is_settled(self) -> bool:
        """Return True when the wanted servers serve all clients."""
        return (
            not self.homeless
            and len(self.hosts) == self.desired
            and all(host.revision == "new" and host.serving and host.ready(self.now) for host in self.hosts)
        )

    def _reconcile(self) -> None:
        servers = tuple(host.observed(self.now) for host in self.hosts)
        sets = {revision: ReplicaSet(revision, revision, count) for revision, count in self.replicas.items()}
        fleet, now = Fleet("new", self.desired, sets, servers), START + timedelta(seconds=self.now)
        before = self.budgets[-1] if self.budgets else None
        budget = next_budget(
            fleet, self.policy.drain, before, lost_connections(self._seen, servers), now, careful=False
        )
        step = next_step(fleet, self.policy, now, budget=budget)
        for action in step.actions:
            self._carry_out(action)
        self.replicas["new"] = step.target_replicas
        self.budgets.append(budget)
        self._seen = {server.name: server.report.connections for server in servers if server.report is not None}

    def _carry_out(self, action: Action) -> None:
        if isinstance(action, ScaleRevision):
            self.replicas[action.replica_set] = action.replicas
            return
        assert isinstance(action, Quiesce | Resume | Drain | SetShare | SetDeletionCost)
        host = next(host for host in self.hosts if host.name == action.server)
        match action:
            case Quiesce():
                host.serving, host.quiesced = False, self.now
            case Resume():
                host.serving, host.quiesced, host.drain_rate = True, None, None
            case Drain():
                host.drain_rate, host.drains_at_share = action.connections_per_second, False
            case SetShare():
                host.share = action.connections_per_second
            case SetDeletionCost():
                host.deletion_cost = action.cost

    def _replica_sets(self) -> None:
        for revision, wanted in self.replicas.items():
            live = [host for host in self.hosts if host.revision == revision and host.deleted is None]
            live.sort(key=lambda host: (host.ready(self.now), host.deletion_cost, -host.created))
            for host in live[: max(0, len(live) - wanted)]:
                self.cut += host.connections
                self.homeless += host.connections
                host.connections, host.deleted = 0, self.now
            for _ in range(wanted - len(live)):
                self._names += 1
                self.hosts.append(Host(f"{revision}-{self._names}", revision, self.now))

    def _pre_stop(self, host: Host) -> None:
        if host.deleted is None or host.drain_rate is not None:  # a rate of 0 is one
            return
        if self.now - host.deleted >= self.policy.drain.settle_seconds + GRANT_SECONDS:
            host.drain_rate, host.drains_at_share = host.share or CONFIGURED_RATE, True

    def _connect(self, asked: int) -> None:
        """Connect those that were moved or lost before this second, spread over the endpoint."""
        ready = [host for host in self.hosts if host.serving and host.ready(self.now)]
        if ready:
            part, rest = divmod(self.homeless, len(ready))
            for index, host in enumerate(ready):
                arriving = part + (index < rest)
                host.connections += arriving
                host.last_accept = self.now if arriving else host.last_accept
            self.homeless = 0
        self.homeless += asked
