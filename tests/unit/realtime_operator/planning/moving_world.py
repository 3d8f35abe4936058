"""A model of connections that move between servers, second by second, for the decisions about moves.

Connections are numbers, so that a million of them cost no more than ten. Servers behave as ours do: a pod that is
deleted quiesces, waits for the settle time and for the operator's rate, and drains at that rate or at its share.
Clients come back after the delays of their SDKs, to whatever servers the proxies know. The operator remembers its
status alone. Times are whole seconds.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from realtime_operator.api.base import JsonObject
from realtime_operator.planning.decisions.moves import Moves, decide_moves
from realtime_operator.planning.model.plan import (
    Action,
    DeleteServer,
    Drain,
    ProbeServer,
    Quiesce,
    Resume,
    ScaleRevision,
    SetDeletionCost,
    SetShare,
)
from realtime_operator.planning.model.reasons import Reason
from realtime_operator.planning.model.world import ObjectKey, Recent, Server, ServerReport, ServerState, World
from realtime_operator.planning.moving.brakes import FREEZING_REASONS
from realtime_operator.planning.moving.budget import Budget
from realtime_operator.planning.moving.fleet import Fleet, ReplicaSet
from realtime_operator.planning.moving.rollout import RolloutPolicy
from realtime_operator.planning.redis.backplane import Backplane
from realtime_operator.planning.status.prior_status import PriorStatus
from tests.unit.realtime_operator.planning.simulation import START

READY_AFTER = 3
GRANT_SECONDS = 3
"""Seconds for which a server that must stop waits for the operator's rate."""
CONFIGURED_RATE = 50.0
"""Rate of a server that must stop and was given no share."""
COUNTED_SECONDS = 30
"""Seconds that the servers' counts of recent moves and connects cover."""
BACK_IN_SAME_SECOND = (0.25, 0.85, 0.7, 0.25)
"""Part of the clients that reconnect in the second in which they were moved: after 500 to 1,000 ms in JavaScript,
100 to 200 in Python, 200 to 400 in Go and 500 to 1,000 in Java, at a time in the second that is as good as any."""
LONGEST_BACKOFF = 20
"""Seconds between two attempts of a client that finds no server."""


def at(second: int) -> datetime:
    """Return the time of a second of the model."""
    return START + timedelta(seconds=second)


@dataclass
class Host:
    """A server pod. `moved`, `accepted` and `refused` are those of the last COUNTED_SECONDS, a number for each."""

    name: str
    revision: str
    created: int
    connections: int = 0
    starts: bool = True
    serving: bool = True
    quiesced: int | None = None
    drain_rate: float | None = None
    share: float = 0.0
    drains_at_share: bool = False
    deletion_cost: int = 0
    drain_requested: bool = False
    last_accept: int | None = None
    deleted: int | None = None
    lag: float = 0.0
    credit: float = 0.0
    known_until: int | None = None
    """Second until which proxies send clients to it, although it has left the endpoint."""
    silent_until: int = 0
    """Second until which it gives no report and takes no call."""
    deaf_until: int = 0
    """Second until which calls to it fail."""
    refuses_until: int = 0
    moved: deque[int] = field(default_factory=lambda: deque(maxlen=COUNTED_SECONDS))
    accepted: deque[int] = field(default_factory=lambda: deque(maxlen=COUNTED_SECONDS))
    refused: deque[int] = field(default_factory=lambda: deque(maxlen=COUNTED_SECONDS))
    accepted_in_all: int = 0
    refused_in_all: int = 0
    probed: int | None = None
    """Second in which it was probed last."""

    def started(self, now: int) -> bool:
        """Return True when the container runs."""
        return self.starts and now - self.created >= READY_AFTER

    def ready(self, now: int) -> bool:
        """Return True when new connections may come."""
        return self.started(now) and self.drain_rate is None and self.deleted is None

    def receives(self, now: int) -> bool:
        """Return True when clients are sent to it."""
        if not self.started(now):
            return False
        return (self.serving and self.ready(now)) or (self.known_until is not None and now < self.known_until)

    def can_be_told(self, now: int) -> bool:
        """Return True when a call to it succeeds."""
        return now >= self.silent_until and now >= self.deaf_until

    def observed(self, now: int) -> Server:
        """Return the server as a platform reports it."""
        started, ready = self.started(now), self.ready(now)
        waits = "ImagePullBackOff" if not self.starts else "ContainerCreating"
        return Server(
            name=self.name,
            uid=self.name,
            revision=self.revision,
            created_at=at(self.created),
            serving=self.serving,
            ready=ready,
            unready_since=None if ready else at(self.created),
            ready_since=at(self.created + READY_AFTER) if ready else None,
            was_ready=started,
            terminating=self.deleted is not None,
            quiesced_at=None if self.quiesced is None else at(self.quiesced),
            deletion_cost=self.deletion_cost,
            drain_requested=self.drain_requested,
            waiting_reason=None if started else waits,
            report=self._report(now) if started and now >= self.silent_until else None,
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
            recent=Recent(COUNTED_SECONDS, sum(self.accepted), sum(self.refused), sum(self.moved)),
            share=self.share,
            loop_lag_seconds=self.lag,
        )

    def move(self) -> int:
        """Let a second pass, and return the number of connections that the server asked to move in it."""
        rate = self.drain_rate or 0.0
        self.credit = min(self.credit + rate, max(1.0, rate) + 1.0) if rate > 0 else 0.0
        moved = min(int(self.credit), self.connections)
        self.credit -= moved
        self.connections -= moved
        self.moved.append(moved)
        return moved

    def accept(self, arriving: int, now: int) -> int:
        """Accept connections, or refuse all of them; return how many were refused."""
        refused = arriving if now < self.refuses_until else 0
        self.accepted.append(arriving - refused)
        self.refused.append(refused)
        self.accepted_in_all += arriving - refused
        self.refused_in_all += refused
        self.connections += arriving - refused
        if arriving > refused:
            self.last_accept = now
        return refused

    def leave(self, now: int, proxy_delay: int) -> None:
        """Leave the endpoint, which proxies that know the server notice after `proxy_delay` seconds."""
        if self.known_until is None and self.serving and self.ready(now):
            self.known_until = now + proxy_delay

    def crash(self, now: int) -> int:
        """Start the container again, and return the number of connections that were lost."""
        lost, self.connections = self.connections, 0
        self.created, self.drain_rate, self.share, self.last_accept = now, None, 0.0, None
        self.accepted_in_all, self.refused_in_all, self.probed = 0, 0, None
        for counts in (self.moved, self.accepted, self.refused):
            counts.clear()
        return lost


@dataclass
class Clients:
    """Clients that are about to connect: `due` has their number by second and by their number of failed attempts."""

    due: Counter[tuple[int, int]] = field(default_factory=Counter)

    @property
    def count(self) -> int:
        """Number of clients."""
        return self.due.total()

    def lose(self, count: int, now: int) -> None:
        """Let clients reconnect that lost their connection in this second, a quarter with each SDK."""
        same = sum(int(count * part / len(BACK_IN_SAME_SECOND)) for part in BACK_IN_SAME_SECOND)
        self.due[now, 0] += same
        self.due[now + 1, 0] += count - same

    def take(self, now: int) -> dict[int, int]:
        """Remove and return those whose time has come, by their number of failed attempts."""
        found: Counter[int] = Counter()
        for second, attempts in [key for key in self.due if key[0] <= now]:
            found[attempts] += self.due.pop((second, attempts))
        return dict(found)

    def fail(self, count: int, attempts: int, now: int) -> None:
        """Let clients try again later that found no server."""
        if count:
            self.due[now + min(LONGEST_BACKOFF, 2**attempts), attempts + 1] += count


@dataclass
class MovingWorld:
    """A cluster. `asked`, `budgets` and `rates` have a number for every second."""

    policy: RolloutPolicy
    desired: int
    target: str = "new"
    now: int = 0
    proxy_delay: int = 0
    broken: set[str] = field(default_factory=set)
    """Revisions that cannot start."""
    away_until: int = 0
    """Second until which no operator runs."""
    dies_after: int | None = None
    """Number of actions after which the operator is killed, before it writes its status."""
    stale_until: int = 0
    """Second until which the operator sees what it saw before, and knows it."""
    refuses_status_until: int = 0
    cut_off_until: int = 0
    """Second until which servers do not reach Redis."""
    paused: bool = False
    """True while the operator shall change nothing."""
    replicas: dict[str, int] = field(default_factory=dict)
    hosts: list[Host] = field(default_factory=list)
    clients: Clients = field(default_factory=Clients)
    status: PriorStatus = field(default_factory=PriorStatus)
    asked: list[int] = field(default_factory=list)
    budgets: list[Budget] = field(default_factory=list)
    draining: int = 0
    """Servers that drained in the last second."""
    shares_in_use: float = 0.0
    """Sum of the rates of those that drained at their share, as nobody had set a rate."""
    cut: int = 0
    """Connections that ended with their pod."""
    lowered: int = 0
    """By how many servers actions of the operator have left fewer available than wanted, at most."""
    moves: Moves | None = None
    """The decision of the last reconcile."""
    unheard: int = 0
    """Seconds for which the operator could not tell every server its rate, or did not see who drains, up to now."""
    _contact: int = -3600
    _seen: tuple[Server, ...] = ()
    _seen_at: int = 0
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
        return self.clients.count + sum(host.connections for host in self.hosts)

    @property
    def live(self) -> list[Host]:
        """Servers that are not being deleted."""
        return [host for host in self.hosts if host.deleted is None]

    @property
    def available(self) -> int:
        """Number of servers that new connections reach."""
        return sum(1 for host in self.live if host.serving and host.ready(self.now))

    @property
    def allowed(self) -> int:
        """Number of connections that may have been asked to move in the last second.

        It is the budget of that second or the one before, and of earlier ones while the operator could not tell a
        server to go slower. Servers that are evicted then add their shares. The rate of a server may have a fraction,
        which makes up one connection more in some seconds.
        """
        budgets = self.budgets[-2 - self.unheard :] or [Budget(0)]
        rate = max(budget.rate for budget in budgets) + (self.shares_in_use if self.unheard else 0.0)
        return math.ceil(rate) + self.draining

    def evict(self, index: int) -> None:
        """Delete a pod from outside; its ReplicaSet makes another one."""
        if self.live:
            host = self.live[index % len(self.live)]
            host.leave(self.now, self.proxy_delay)
            host.deleted = self.now

    def crash(self, index: int) -> None:
        """Kill a server, whose container starts again in the same pod."""
        if self.live:
            self.clients.lose(self.live[index % len(self.live)].crash(self.now), self.now)

    def change(self, revision: str) -> None:
        """Change the spec, so that another revision is wanted."""
        self.target = revision

    def heal(self) -> None:
        """End all disturbances."""
        self.away_until = self.stale_until = self.refuses_status_until = self.cut_off_until = self.now
        self.dies_after = None
        for host in self.hosts:
            host.silent_until = host.deaf_until = host.refuses_until = self.now
            host.lag = 0.0

    def second(self) -> None:
        """Let the operator reconcile, unless it is away, and one second pass."""
        if self.now >= self.away_until:
            self._reconcile()
        else:
            self._contact = self.away_until
            self.unheard += 1
        if self.budgets:
            self.budgets.append(self.budgets[-1] if self.moves is None else self.moves.budget)
        elif self.moves is not None:
            self.budgets.append(self.moves.budget)
        self._replica_sets()
        for host in self.hosts:
            self._pre_stop(host)
        self.shares_in_use = sum(host.drain_rate or 0.0 for host in self.hosts if host.drains_at_share)
        self.draining = sum(1 for host in self.hosts if host.drain_rate is not None)
        asked = sum(host.move() for host in self.hosts)
        self.clients.lose(asked, self.now)
        self._connect()
        self.asked.append(asked)
        self.hosts = [host for host in self.hosts if host.deleted is None or host.connections > 0]
        self.now += 1

    def is_settled(self) -> bool:
        """Return True when the wanted servers serve all clients."""
        return (
            not self.clients.count
            and len(self.hosts) == self.desired
            and all(host.revision == self.target and host.serving and host.ready(self.now) for host in self.hosts)
        )

    def _reconcile(self) -> None:
        is_stale = self.now < self.stale_until
        if is_stale:
            self._contact = self.stale_until
        else:
            self._seen, self._seen_at = tuple(host.observed(self.now) for host in self.hosts), self.now
        world = World(
            self._objects(),
            self._seen,
            stale_since=at(self._seen_at) if is_stale else None,
            contact_since=at(self._contact),
            status_refused="the disk is full" if self.now < self.refuses_status_until else None,
        )
        linked = self.now >= self.cut_off_until
        backplane = Backplane(linked, Reason.CONNECTED if linked else Reason.DISCONNECTED, "Redis")
        fleet = self._fleet(world)
        self.moves = moves = decide_moves(world, fleet, self.policy, backplane, self.status, at(self.now))
        if not self.paused:
            self._carry_out_all(self._actions(moves))
        if self.now < self.away_until:  # killed
            return
        if not self.paused:
            self.replicas[fleet.target] = moves.step.target_replicas
        if self.now >= self.refuses_status_until:
            self.status = self._next_status(fleet, moves)
        is_frozen = (
            moves.hold is not None and moves.hold.in_force(at(self.now)) and moves.hold.reason in FREEZING_REASONS
        )
        leaving = [host for host in self.hosts if host.drain_rate or host.deleted is not None]
        unheard = not all(host.can_be_told(self.now) for host in leaving)
        self.unheard = self.unheard + 1 if is_frozen or is_stale or unheard or self.paused else 0

    def _objects(self) -> Mapping[ObjectKey, JsonObject]:
        """Return the cluster's objects as the operator sees them: the decisions here need none."""
        return {}

    def _fleet(self, world: World) -> Fleet:
        """Return the servers as the decision sees them."""
        sets = {revision: ReplicaSet(revision, revision, count) for revision, count in self.replicas.items()}
        return Fleet(self.target, self.desired, sets, world.servers)

    def _actions(self, moves: Moves) -> tuple[Action, ...]:
        """Return the actions to be carried out."""
        return moves.step.actions

    def _next_status(self, fleet: Fleet, moves: Moves) -> PriorStatus:
        """Return what the next reconcile knows of this one."""
        counts = {host.name: host.report.connections for host in fleet.servers if host.report is not None}
        silent = {host.name for host in fleet.servers if host.report is None and host.waiting_reason is None}
        kept = {name: count for name, count in self.status.connections.items() if name in silent}
        return PriorStatus(hold=moves.hold, budget=moves.budget, connections={**kept, **counts})

    def _carry_out_all(self, actions: tuple[Action, ...]) -> None:
        by_name = {host.name: host for host in self.hosts}
        before = self.available
        floor = min(before, self.desired - self.policy.max_unavailable)
        for number, action in enumerate(actions):
            if number == self.dies_after:
                self.dies_after, self.away_until = None, self.now + GRANT_SECONDS
                break
            self._carry_out(action, by_name)
        self.lowered = max(self.lowered, floor - self.available)

    def _carry_out(self, action: Action, by_name: dict[str, Host]) -> None:
        if isinstance(action, ScaleRevision):
            self.replicas[action.replica_set] = action.replicas
            return
        assert isinstance(action, Quiesce | Resume | Drain | SetShare | SetDeletionCost | DeleteServer | ProbeServer)
        host = by_name.get(action.server)
        if host is None:
            return
        match action:
            case Quiesce():
                host.leave(self.now, self.proxy_delay)
                host.serving, host.quiesced = False, self.now
            case Resume():
                host.serving, host.quiesced, host.known_until = True, None, None
                host.drain_rate = None if host.can_be_told(self.now) else host.drain_rate
            case Drain() if host.can_be_told(self.now):
                host.drain_rate, host.drains_at_share = action.connections_per_second, False
            case SetShare() if host.can_be_told(self.now):
                host.share = action.connections_per_second
            case SetDeletionCost():
                host.deletion_cost = action.cost
            case DeleteServer():
                host.deleted = self.now
            case ProbeServer() if host.can_be_told(self.now):
                host.probed = self.now

    def _replica_sets(self) -> None:
        for revision, wanted in self.replicas.items():
            live = [host for host in self.hosts if host.revision == revision and host.deleted is None]
            if len(live) > wanted:
                live.sort(key=lambda host: (host.ready(self.now), host.deletion_cost, -host.created))
            for host in live[: max(0, len(live) - wanted)]:
                self.cut += host.connections
                self.clients.lose(host.connections, self.now)
                host.connections, host.deleted, host.known_until = 0, self.now, None
            for _ in range(wanted - len(live)):
                self._names += 1
                starts = revision not in self.broken
                self.hosts.append(Host(f"{revision}-{self._names}", revision, self.now, starts=starts))

    def _pre_stop(self, host: Host) -> None:
        if host.deleted is None or host.drain_rate is not None:  # a rate of 0 is one
            return
        last = host.deleted if host.last_accept is None else max(host.deleted, host.last_accept)
        if self.now - last >= self.policy.drain.settle_seconds + GRANT_SECONDS:
            host.drain_rate, host.drains_at_share = host.share or CONFIGURED_RATE, True

    def _connect(self) -> None:
        """Connect the clients whose time has come, spread over the servers that proxies know."""
        arriving = self.clients.take(self.now)
        receiving = [host for host in self.hosts if host.receives(self.now)]
        for attempts, count in arriving.items():
            if not receiving:
                self.clients.fail(count, attempts, self.now)
                continue
            part, rest = divmod(count, len(receiving))
            for index, host in enumerate(receiving):
                refused = host.accept(part + ((index + self.now + attempts) % len(receiving) < rest), self.now)
                self.clients.fail(refused, attempts, self.now)
