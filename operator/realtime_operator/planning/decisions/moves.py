"""What a reconcile decides about moving connections: whether, how many per second, and which step is next. Pure.

It goes on from what the status of an earlier reconcile says, and from nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from realtime_operator.planning.model.world import World
from realtime_operator.planning.moving import rollout
from realtime_operator.planning.moving.brakes import Hold, arrivals, brake, is_watched, next_hold
from realtime_operator.planning.moving.budget import Budget, lost_connections, next_budget
from realtime_operator.planning.moving.fleet import Fleet
from realtime_operator.planning.moving.preflight import why_impossible
from realtime_operator.planning.moving.rollout import RolloutPolicy, RolloutStep
from realtime_operator.planning.redis.backplane import Backplane
from realtime_operator.planning.status.prior_status import PriorStatus


@dataclass(frozen=True, slots=True)
class Moves:
    """The decision about moves. `hold` says why none are made, None when they may be; `budget` is that of now."""

    hold: Hold | None
    budget: Budget
    step: RolloutStep


def decide_moves(
    world: World, fleet: Fleet, policy: RolloutPolicy, backplane: Backplane, prior: PriorStatus, now: datetime
) -> Moves:
    """Decide the next step of the servers towards `fleet.desired` servers of the target revision."""
    retiring = rollout.retiring_servers(fleet)
    impossible = why_impossible(fleet, policy, retiring)
    hold = next_hold(world, fleet, retiring, backplane, prior.hold, now, impossible)
    limits = brake(hold, arrivals(fleet, retiring), now)
    budget = _budget(world, fleet, policy, prior, now, careful=limits.careful)
    return Moves(hold, budget, rollout.next_step(fleet, policy, now, limits, budget, prior.connections))


def next_current(fleet: Fleet, step: RolloutStep, before: str | None) -> str | None:
    """Return the revision that served last as a whole: the target once every wanted server runs it, and no other."""
    updated = sum(1 for server in fleet.available if server.revision == fleet.target)
    if updated >= fleet.desired and not step.retiring and not fleet.old_replicas:
        return fleet.target
    return before


def _budget(
    world: World, fleet: Fleet, policy: RolloutPolicy, prior: PriorStatus, now: datetime, *, careful: bool
) -> Budget:
    """Return the budget; what was lost while nobody watched the servers is not counted."""
    lost = lost_connections(prior.connections, fleet.servers) if is_watched(world, now) else 0
    return next_budget(fleet, policy.drain, prior.budget, lost, now, careful=careful)
