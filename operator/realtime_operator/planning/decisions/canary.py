"""Canary of a cluster: what its steps are judged by, taken from the spec, the status and the observation. Pure."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.builders.record import servers_hash
from realtime_operator.builders.services.route import API_VERSION as GATEWAY_API
from realtime_operator.planning.canary.gates import Gate, GateResult, Outcome
from realtime_operator.planning.canary.span import Span
from realtime_operator.planning.canary.steps import Canary, CanaryPolicy, Phase, View, next_canary
from realtime_operator.planning.decisions.policies import canary_policy, rollout_policy
from realtime_operator.planning.decisions.traffic import observed_percent
from realtime_operator.planning.model.reasons import Reason
from realtime_operator.planning.model.world import World
from realtime_operator.planning.moving.brakes import is_watched
from realtime_operator.planning.moving.fleet import Fleet
from realtime_operator.planning.revisions.choice import RolledBack
from realtime_operator.planning.status.prior_status import PriorStatus


def rolled_back(cluster: RealtimeCluster, prior: PriorStatus) -> RolledBack | None:
    """Return the revision of the spec that was rolled back, and what serves in its place; None otherwise."""
    state, current = prior.canary, prior.current_revision
    if state is None or current is None or not state.rejects(servers_hash(cluster), canary_policy(cluster)):
        return None
    return RolledBack(state.revision, current)


def policy_of(cluster: RealtimeCluster, world: World) -> CanaryPolicy | None:
    """Return the policy of the spec; servers alone divide new connections where no HTTPRoute can be made."""
    policy = canary_policy(cluster)
    routed = world.endpoints is None and (GATEWAY_API, "HTTPRoute") not in world.unserved
    return policy if policy is None or routed else replace(policy, by_route=False)


def decide_canary(
    cluster: RealtimeCluster,
    world: World,
    fleet: Fleet,
    prior: PriorStatus,
    now: datetime,
    span: Span | None,
    *,
    paused: bool,
) -> Canary | None:
    """Return the canary of now; None when there is none. A pause ends its span: the hold begins anew after it."""
    trusted = is_watched(world, now) and world.status_refused is None
    view = View(
        fleet=fleet,
        current=prior.current_revision,
        made_of=servers_hash(cluster),
        now=now,
        failure=_failure(cluster, fleet, prior, now, world.contact_since),
        trusted=trusted and not paused,
        percent=observed_percent(cluster.metadata.name, world),
    )
    return next_canary(policy_of(cluster, world), view, prior.canary, None if paused else span)


def _failure(
    cluster: RealtimeCluster, fleet: Fleet, prior: PriorStatus, now: datetime, watched_since: datetime | None
) -> GateResult | None:
    """Return a failure that the counts do not show: moved clients are refused, or the step makes no progress.

    Time before `watched_since` does not count: what kept the operator from watching may have kept servers from
    starting.
    """
    state, hold = prior.canary, prior.hold
    if state is None or state.revision != fleet.target:
        return None
    if hold is not None and hold.reason is Reason.MOVED_NOT_ARRIVING and hold.in_force(now):
        return GateResult(Gate.CONNECTS, Outcome.FAILED, hold.message)
    drain = rollout_policy(cluster, fleet.desired).drain
    seconds = cluster.spec.rollout.progress_deadline_seconds + drain.settle_seconds + drain.timeout_seconds
    starts = not any(not server.serving for server in fleet.live)
    allowed = cluster.spec.rollout.progress_deadline_seconds if starts else seconds
    progress = replace(prior.progress, deadline_seconds=allowed)
    if progress.at is not None and watched_since is not None:
        progress = replace(progress, at=max(progress.at, watched_since))
    if state.phase is Phase.MOVING and progress.is_overdue(now):
        return GateResult(Gate.READINESS, Outcome.FAILED, f"no progress for {allowed:g} s: {prior.progress.step}")
    return None
