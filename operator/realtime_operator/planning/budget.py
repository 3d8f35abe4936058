"""Budget of connections per second that may be moved: one for the whole cluster, whatever the reason for the move.

Whoever is moved comes back at once. The budget is what the servers that stay can re-accept beside their other work.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from realtime_operator.planning.world import Server

CAPACITY_FRACTION = 0.25
"""The part of a receiving server's measured accept capacity that moves may use; the rest stays for messages."""

UNMEASURED_RATE = 50.0
"""Connections per second that a receiving server is trusted with before it has measured its own cost."""

TRIAL_RATE = 5.0
"""Connections per second while it is tried again whether those that are moved arrive."""

MINIMUM_RATE = 1.0
"""Connections per second: a drain that is allowed at all moves on."""


@dataclass(frozen=True, slots=True)
class DrainPolicy:
    """`spec.rollout.drain` in seconds and connections per second; a rate of None means `auto`."""

    connections_per_second: float | None
    timeout_seconds: float
    settle_seconds: float


def accept_rate(server: Server) -> float:
    """Connections per second that one receiving server can be asked to re-accept."""
    report = server.report
    if report is None or not report.accept_cost_seconds:
        return UNMEASURED_RATE
    return CAPACITY_FRACTION * report.workers / report.accept_cost_seconds


def connections_per_second(policy: DrainPolicy, receivers: Iterable[Server]) -> float:
    """The budget of the whole cluster; 0 when nothing may move now, because no server could receive it."""
    capacity = sum(accept_rate(server) for server in receivers)
    if capacity == 0:
        return 0.0
    return round(max(MINIMUM_RATE, policy.connections_per_second or capacity), 1)
