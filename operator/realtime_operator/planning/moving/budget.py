"""Budget of moved connections per second: one for the whole cluster and all reasons to move. Pure.

Moved clients reconnect at once. The budget is the rate that the servers behind the endpoint can accept beside their
other work: at first by the measured CPU time of a connection, then lower or higher by what they were seen to absorb
(additive increase, multiplicative decrease). Clients that reconnect without having been moved, as after a crash, use it
up too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from realtime_operator.planning.model.world import Server
from realtime_operator.planning.moving.fleet import Fleet

CAPACITY_FRACTION = 0.25
"""Part of a receiving server's measured accept capacity that moves may use; messages need the rest."""

UNMEASURED_RATE = 50.0
"""Connections per second for a receiving server that has not measured its accept cost yet."""

TRIAL_RATE = 5.0
"""Connections per second during a trial after moved connections did not arrive."""

MINIMUM_RATE = 1.0
"""Lower bound in connections per second, so that a permitted drain makes progress."""

LOWEST_FACTOR, HIGHEST_FACTOR = 0.2, 2.0
"""Bounds of the factor by which the rate follows what the receiving servers were seen to absorb."""

INCREASE, DECREASE = 0.1, 0.5
"""What is added to the factor while the receiving servers absorb the moves, and what it is multiplied by otherwise."""

ADJUST_SECONDS = 10.0
"""Seconds between two changes of the factor, after which the reports show the effect of the first."""

LAG_SECONDS = 0.25
"""Delay of a receiving server's event loop above which it is overloaded."""

CONNECT_SECONDS = 1.0
"""Time of a connect up to which it is never too slow; above it, twice the time at the begin of the moves is."""

UNASKED_FRACTION, UNASKED_CONNECTIONS = 0.2, 20
"""Part of a server's connections, and number of them, beyond which a loss is not that of clients that leave."""


@dataclass(frozen=True, slots=True)
class DrainPolicy:
    """`spec.rollout.drain` in seconds and connections per second; a rate of None means `auto`.

    `connections_per_server` is the limit of connections of a server, None when it is not known.
    """

    connections_per_second: float | None
    timeout_seconds: float
    settle_seconds: float
    connections_per_server: int | None = None


@dataclass(frozen=True, slots=True)
class Budget:
    """The budget, stored in `.status.budget` while connections are moved or owed.

    `rate` is in connections per second. `owed` connections reconnect without having been moved; they are paid at the
    rate, and nothing that can wait is moved until then. `at` is when that was computed, None when nothing is owed.
    `factor` is what the rate of `Auto` is multiplied by, `adjusted_at` when it was changed, `usual_connect_seconds` the
    time of a connect that was seen first.
    """

    rate: float = 0.0
    owed: float = 0.0
    at: datetime | None = None
    factor: float = 1.0
    adjusted_at: datetime | None = None
    usual_connect_seconds: float | None = None

    @property
    def free_rate(self) -> float:
        """Rate for moves that can wait, in connections per second."""
        return 0.0 if self.owed > 0 else self.rate


def next_budget(
    fleet: Fleet, policy: DrainPolicy, before: Budget | None, unasked: int, now: datetime, *, careful: bool
) -> Budget:
    """Return the budget after `before`; None: nothing was moved or owed.

    `unasked` connections were lost since `before` (see `lost_connections`). `careful`: see Brake.
    """
    before = before or Budget(adjusted_at=now)
    owed = round(unasked + max(0.0, before.owed - before.rate * _seconds_since(before.at, now)), 1)
    usual = before.usual_connect_seconds or _slowest_connect(fleet.available)
    is_fixed = policy.connections_per_second is not None
    factor, adjusted_at = (1.0, None) if is_fixed else _adjusted(fleet, before, usual, now)
    rate = moving_rate(fleet, policy, factor)
    if careful:
        rate = min(rate, TRIAL_RATE)
    return Budget(rate, owed, now if owed > 0 else None, factor, adjusted_at, usual)


def moving_rate(fleet: Fleet, policy: DrainPolicy, factor: float = 1.0) -> float:
    """Return the rate in connections per second that the servers behind the endpoint can accept.

    It is 0 while the first receiving server is starting, and when the receiving servers are full. When none is to come
    (no surge, or no server wanted), waiting would not help, and the fixed or unmeasured rate is used.
    """
    rate = connections_per_second(policy, fleet.available, factor)
    if fleet.available:
        return min(rate, headroom(policy, fleet.available))
    coming = any(server.revision == fleet.target and server.serving for server in fleet.live)
    return 0.0 if coming else policy.connections_per_second or UNMEASURED_RATE


def accept_rate(server: Server) -> float:
    """Return the connections per second that one receiving server can accept."""
    report = server.report
    if report is None or not report.accept_cost_seconds:
        return UNMEASURED_RATE
    return CAPACITY_FRACTION * report.workers / report.accept_cost_seconds


def connections_per_second(policy: DrainPolicy, receivers: Iterable[Server], factor: float = 1.0) -> float:
    """Return the rate that these servers can accept in connections per second; 0 without any."""
    capacity = factor * sum(accept_rate(server) for server in receivers)
    if capacity == 0:
        return 0.0
    return round(max(MINIMUM_RATE, policy.connections_per_second or capacity), 1)


def headroom(policy: DrainPolicy, receivers: Iterable[Server]) -> float:
    """Return the number of connections that these servers may still accept, infinite without a known limit."""
    limit = policy.connections_per_server
    if limit is None:
        return float("inf")
    held = [server.report.connections if server.report is not None else 0 for server in receivers]
    return float(sum(max(0, limit - connections) for connections in held))


def lost_connections(before: Mapping[str, int], servers: Sequence[Server]) -> int:
    """Return the number of connections that have ended since the last status otherwise than by moves, in a crowd.

    `before` are the servers' connections in that status, by name. Of a server that is gone or has restarted all are
    lost, of one that does not answer none are known to be.
    """
    present = {server.name: server for server in servers}
    losses = ((count, _lost(count, present.get(name))) for name, count in before.items())
    return sum(lost for count, lost in losses if lost > max(UNASKED_CONNECTIONS, UNASKED_FRACTION * count))


def _lost(before: int, server: Server | None) -> int:
    if server is None or server.failed:
        return before
    if server.report is None:
        return before if server.waiting_reason is not None else 0
    if server.report.recent is None:
        return 0
    return before - server.report.connections - server.report.recent.moved


def _adjusted(fleet: Fleet, before: Budget, usual: float | None, now: datetime) -> tuple[float, datetime | None]:
    """Return the factor and when it was changed last. It stays while nothing is moved, as nothing is seen then."""
    recent = before.adjusted_at is not None and now - before.adjusted_at < timedelta(seconds=ADJUST_SECONDS)
    if recent or not any(server.report is not None and server.report.drain_rate for server in fleet.servers):
        return before.factor, before.adjusted_at
    overloaded = any(_is_overloaded(server, usual) for server in fleet.available)
    changed = before.factor * DECREASE if overloaded else before.factor + INCREASE
    factor = round(max(LOWEST_FACTOR, min(HIGHEST_FACTOR, changed)), 3)
    return factor, before.adjusted_at if factor == before.factor else now


def _is_overloaded(server: Server, usual: float | None) -> bool:
    report = server.report
    if report is None:
        return False
    lag, connect = report.loop_lag_seconds or 0.0, report.connect_seconds or 0.0
    return lag > LAG_SECONDS or connect > max(CONNECT_SECONDS, 2 * (usual or 0.0))


def _slowest_connect(receivers: Iterable[Server]) -> float | None:
    times = [server.report.connect_seconds for server in receivers if server.report is not None]
    return max((seconds for seconds in times if seconds is not None), default=None)


def _seconds_since(at: datetime | None, now: datetime) -> float:
    return 0.0 if at is None else max(0.0, (now - at).total_seconds())
