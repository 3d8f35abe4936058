"""Rollouts that the operator begins by itself, to newer defaults of its own. Pure.

Nothing else that the operator does replaces servers of a cluster whose spec has not changed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from realtime_operator.api.base import JsonObject
from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.planning.canary.steps import Phase
from realtime_operator.planning.decisions.canary import rolled_back
from realtime_operator.planning.decisions.policies import PlannerSettings
from realtime_operator.planning.model.world import ObjectKey, World
from realtime_operator.planning.revisions import choice
from realtime_operator.planning.revisions.choice import Target
from realtime_operator.planning.scheduling import maintenance
from realtime_operator.planning.scheduling.maintenance import Opening
from realtime_operator.planning.scheduling.slots import (
    NO_ROLLOUT,
    OtherClusters,
    Slot,
    SlotState,
    Turn,
    next_turn,
    running_slot,
)
from realtime_operator.planning.status.facts import Facts
from realtime_operator.planning.status.prior_status import PriorStatus, read_status

WINDOW_SECONDS = 60.0
"""Longest time between two reconciles of a cluster that waits for a window."""
NEXT_POLLS = 5
"""Polls between two reconciles of a cluster that is among the next to get a slot."""


def choose_target(
    cluster: RealtimeCluster,
    world: World,
    prior: PriorStatus,
    others: Callable[[], OtherClusters],
    settings: PlannerSettings,
    now: datetime,
) -> tuple[Target, Turn]:
    """Return the revision to run, and the decision about a rollout to a newer one.

    `others` is called only when the operator would begin a rollout: it reads all clusters.
    """
    kept = choice.choose(cluster, world.objects, settings.build, rolled_back(cluster, prior))
    paused = cluster.spec.paused or settings.paused is not None
    if kept.is_newest or paused or cluster.spec.rollout.operator_defaults == "Keep":
        return kept, NO_ROLLOUT
    newest = choice.newest(cluster, settings.build)
    slot = prior.slot if world.status_refused is None else None
    if slot is not None and slot.state is SlotState.HELD and slot.revision != newest.name:
        return kept, NO_ROLLOUT  # another rollout of this cluster runs
    known = others()
    if world.stale_since is not None:
        known = replace(known, complete=False)
    turn = next_turn(cluster, newest.name, slot, known, settings.max_concurrent_rollouts, now)
    return newest if turn.begins else kept, turn


def slot_of(facts: Facts, turn: Turn) -> Slot | None:
    """Return the slot to write into the status; None without a rollout that runs or waits."""
    if turn.slot is not None:
        return turn.slot
    if not (turn.begins or facts.is_rolling):
        return None
    stopped = facts.is_paused or facts.overdue or facts.canary_phase is Phase.PAUSED
    return running_slot(facts.prior.slot, facts.fleet.target, facts.now, stopped=stopped)


def requeue_after(
    cluster: RealtimeCluster, slot: Slot | None, settings: PlannerSettings, now: datetime
) -> float | None:
    """Return the seconds after which a rollout that waits is decided about again; None: with the resync."""
    if slot is None:
        return None
    match slot.state:
        case SlotState.GRANTED:
            return settings.poll_seconds
        case SlotState.WAITING_FOR_SLOT:
            is_near = slot.position is not None and slot.position <= 2 * settings.max_concurrent_rollouts
            return NEXT_POLLS * settings.poll_seconds if is_near else None
        case SlotState.WAITING_FOR_WINDOW:
            opening = maintenance.next_opening(cluster.spec.maintenance.windows, now)
            return WINDOW_SECONDS if opening is None else min(WINDOW_SECONDS, (opening.at - now).total_seconds())
        case _:
            return None


@dataclass(frozen=True, slots=True)
class Upcoming:
    """Rollout that the operator would begin by itself: its revision, and the window it waits for, None when open."""

    revision: str
    window: Opening | None


def upcoming(
    cluster: RealtimeCluster, objects: Mapping[ObjectKey, JsonObject], settings: PlannerSettings, now: datetime
) -> Upcoming | None:
    """Return the rollout to newer defaults that the cluster would get by itself; None when there is none."""
    kept = choice.choose(cluster, objects, settings.build, rolled_back(cluster, read_status(cluster)))
    if kept.is_newest or cluster.spec.rollout.operator_defaults == "Keep":
        return None
    windows = cluster.spec.maintenance.windows
    window = None if maintenance.is_open(windows, now) else maintenance.next_opening(windows, now)
    return Upcoming(choice.newest(cluster, settings.build).name, window)
