"""Policies for running and replacing servers, from the operator's settings and the spec. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from realtime_operator.api import duration
from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.builders import BuildSettings
from realtime_operator.planning.canary.gates import GatePolicy
from realtime_operator.planning.canary.steps import CanaryPolicy, OnFailure, Step
from realtime_operator.planning.model.world import Server
from realtime_operator.planning.moving import autoscale, rollout
from realtime_operator.planning.moving.autoscale import AutoscalePolicy, AutoscaleState
from realtime_operator.planning.moving.budget import DrainPolicy
from realtime_operator.planning.moving.rollout import RolloutPolicy


@dataclass(frozen=True, slots=True)
class PlannerSettings:
    """The operator's settings for planning. Times in seconds.

    `poll_seconds` is the interval of reconciles during a change, `autoscaling_poll_seconds` that of a settled cluster
    with autoscaling. `unready_grace_seconds` is the time for a server to become ready or to answer before the cluster
    counts as degraded. `max_concurrent_rollouts` is the number of clusters that may be rolled when the operator begins
    a rollout by itself, with that one. `paused` is the reason for a pause of the whole operator, None when it is not
    paused.
    """

    build: BuildSettings
    poll_seconds: float = 1.0
    autoscaling_poll_seconds: float = 5.0
    unready_grace_seconds: float = 60.0
    max_concurrent_rollouts: int = 1
    paused: str | None = None


def autoscaling(
    cluster: RealtimeCluster, before: AutoscaleState | None, servers: Sequence[Server], now: datetime
) -> AutoscaleState | None:
    """Decide the number of servers that the autoscaler wants; None without autoscaling."""
    spec = cluster.spec.autoscaling
    if spec is None:
        return None
    policy = AutoscalePolicy(
        min_replicas=spec.min_replicas,
        max_replicas=spec.max_replicas,
        connections_per_replica=spec.connections_per_replica,
        scale_down_stabilization_seconds=spec.scale_down_stabilization_seconds,
    )
    if before is None and servers:
        # Autoscaling was just switched on: start from the running servers, not from the minimum.
        before = AutoscaleState(desired=cluster.spec.replicas)
    return autoscale.decide(policy, servers, before, now)


def desired_servers(cluster: RealtimeCluster, scaling: AutoscaleState | None) -> int:
    """Return the number of servers to run: the autoscaler's, or that of the spec."""
    return cluster.spec.replicas if scaling is None else scaling.desired


def rollout_policy(cluster: RealtimeCluster, desired: int) -> RolloutPolicy:
    """Return the policy for replacing `desired` servers and moving their connections."""
    spec = cluster.spec.rollout
    limit = cluster.spec.server.limits.connections
    drain = DrainPolicy(spec.drain.fixed_rate, spec.drain.timeout_seconds, spec.drain.settle_seconds, limit)
    return rollout.resolve_policy(spec.max_surge, spec.max_unavailable, desired, drain)


def is_paused(cluster: RealtimeCluster, settings: PlannerSettings) -> bool:
    """Return True when nothing may be changed, because of the spec or of the operator's pause."""
    return cluster.spec.paused or settings.paused is not None


def canary_policy(cluster: RealtimeCluster) -> CanaryPolicy | None:
    """Return the steps in which a new revision is tried; None without `spec.rollout.canary`."""
    spec = cluster.spec.rollout.canary
    if spec is None:
        return None
    limits = spec.gates
    return CanaryPolicy(
        steps=tuple(Step(step.part, step.hold_seconds) for step in spec.steps),
        on_failure=OnFailure(spec.on_failure),
        gates=GatePolicy(
            limits.minimum_events,
            int(limits.tolerance.removesuffix("%")) / 100,
            duration.seconds(limits.connect_time),
            duration.seconds(limits.delivery_time),
        ),
        deadline_seconds=cluster.spec.rollout.progress_deadline_seconds,
        resumed_at=spec.resumed_at or "",
        by_route=spec.traffic == "Route",
    )
