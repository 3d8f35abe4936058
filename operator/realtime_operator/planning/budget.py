"""Budget of moved connections per second: one for the whole cluster and all reasons to move.

Moved clients reconnect at once. The budget is the rate that the remaining servers can accept beside their other work.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from realtime_operator.planning.world import Server

CAPACITY_FRACTION = 0.25
"""Part of a receiving server's measured accept capacity that moves may use; messages need the rest."""

UNMEASURED_RATE = 50.0
"""Connections per second for a receiving server that has not measured its accept cost yet."""

TRIAL_RATE = 5.0
"""Connections per second during a trial after moved connections did not arrive."""

MINIMUM_RATE = 1.0
"""Lower bound in connections per second, so that a permitted drain makes progress."""


@dataclass(frozen=True, slots=True)
class DrainPolicy:
    """`spec.rollout.drain` in seconds and connections per second; a rate of None means `auto`."""

    connections_per_second: float | None
    timeout_seconds: float
    settle_seconds: float


def accept_rate(server: Server) -> float:
    """Return the connections per second that one receiving server can accept."""
    report = server.report
    if report is None or not report.accept_cost_seconds:
        return UNMEASURED_RATE
    return CAPACITY_FRACTION * report.workers / report.accept_cost_seconds


def connections_per_second(policy: DrainPolicy, receivers: Iterable[Server]) -> float:
    """Return the budget of the whole cluster in connections per second; 0 when no server can receive any."""
    capacity = sum(accept_rate(server) for server in receivers)
    if capacity == 0:
        return 0.0
    return round(max(MINIMUM_RATE, policy.connections_per_second or capacity), 1)
