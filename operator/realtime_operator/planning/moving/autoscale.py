"""Number of servers for the connections: up at once, down after a window, never on missing measurements."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from realtime_operator.planning.model.world import Server


@dataclass(frozen=True, slots=True)
class AutoscalePolicy:
    """`spec.autoscaling`: servers, connections per server, and the window in seconds."""

    min_replicas: int
    max_replicas: int
    connections_per_replica: int
    scale_down_stabilization_seconds: float


@dataclass(frozen=True, slots=True)
class AutoscaleState:
    """State of the autoscaler that survives a restart of the operator, in `.status.autoscaling`.

    `below_since` is since when every recommendation was below `desired`, `highest` the highest of them.
    """

    desired: int
    below_since: datetime | None = None
    highest: int | None = None


def measured_connections(servers: Sequence[Server]) -> int | None:
    """Return the number of connections of the cluster; None when a server that may have some does not answer."""
    total = 0
    for server in servers:
        if server.report is not None:
            total += server.report.connections
        elif not server.failed and not server.terminating and server.waiting_reason is None:
            return None
    return total


def decide(
    policy: AutoscalePolicy, servers: Sequence[Server], state: AutoscaleState | None, now: datetime
) -> AutoscaleState:
    """Return the next state; its `desired` is the number of servers to run, always within the policy's bounds."""
    current = state or AutoscaleState(desired=policy.min_replicas)
    recommended = _recommend(policy, servers, current.desired)
    if recommended >= current.desired:
        return AutoscaleState(desired=recommended)
    since = current.below_since or now
    highest = max(recommended, current.highest or 0)
    if now - since < timedelta(seconds=policy.scale_down_stabilization_seconds):
        return AutoscaleState(_clamp(policy, current.desired), since, highest)
    return AutoscaleState(desired=_clamp(policy, min(highest, current.desired)))


def _recommend(policy: AutoscalePolicy, servers: Sequence[Server], current: int) -> int:
    reported = sum(server.report.connections for server in servers if server.report is not None)
    needed = _clamp(policy, math.ceil(reported / policy.connections_per_replica))
    if measured_connections(servers) is None:
        return max(needed, _clamp(policy, current))
    return needed


def _clamp(policy: AutoscalePolicy, replicas: int) -> int:
    return max(policy.min_replicas, min(policy.max_replicas, replicas))
