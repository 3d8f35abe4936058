"""Slots: how many clusters are rolled at once for reasons of the operator, and which one is next. Pure.

A slot is taken in two steps. It is granted by one reconcile, which writes that into the cluster's own status and does
nothing else; the next reconcile that reads this status begins the rollout, if there is still room. What holds a slot is
read from the stored clusters, so that an operator that was restarted, or another leader, counts the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from realtime_operator import naming
from realtime_operator.api.base import JsonObject
from realtime_operator.api.document import dig, objects_at, text_at
from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.planning.model.difference import revision_of
from realtime_operator.planning.model.reasons import ConditionType, Reason
from realtime_operator.planning.model.timestamps import parse_timestamp, timestamp
from realtime_operator.planning.scheduling import maintenance

SHOWN_HOLDERS = 5
"""Number of clusters with a slot that a message and the status name."""


class SlotState(StrEnum):
    """What a cluster has to do with the slots."""

    WAITING_FOR_WINDOW = "WaitingForWindow"
    """The operator would begin a rollout, and no maintenance window is open."""
    WAITING_FOR_SLOT = "WaitingForSlot"
    """The operator would begin a rollout, and has no slot for it."""
    GRANTED = "Granted"
    """The operator will begin a rollout with the next reconcile."""
    HELD = "Held"
    """A rollout runs, of whatever cause."""
    RELEASED = "Released"
    """A rollout is not done, and keeps no other from beginning: it is paused, or overdue."""


USED = frozenset({SlotState.GRANTED, SlotState.HELD})
WAITING = frozenset({SlotState.WAITING_FOR_WINDOW, SlotState.WAITING_FOR_SLOT})


@dataclass(frozen=True, slots=True)
class Slot:
    """`.status.rolloutSlot`: the state, the revision that it is for, and since when.

    `position` counts from 1 among those that wait for a slot, `held_by` has who holds them now. `message` is for
    people, and stands in the condition Progressing.
    """

    state: SlotState
    revision: str
    since: datetime
    position: int | None = None
    held_by: tuple[str, ...] = ()
    message: str = ""


@dataclass(frozen=True, slots=True)
class Request:
    """Request of a cluster for a slot. `cluster` is NAMESPACE/NAME, `created_at` when it was created, RFC 3339."""

    cluster: str
    priority: int = 0
    created_at: str = ""

    @property
    def rank(self) -> tuple[int, str, str]:
        """Sort key of the order: the highest priority first, then the oldest cluster."""
        return (-self.priority, self.created_at, self.cluster)


@dataclass(frozen=True, slots=True)
class OtherClusters:
    """The other clusters of this operator: who holds a slot, and who asks for one.

    `complete` is False until every cluster was reconciled once, before which the order of the requests is not known,
    and while changes may have been missed.
    """

    holders: tuple[str, ...] = ()
    requests: tuple[Request, ...] = ()
    complete: bool = True


@dataclass(frozen=True, slots=True)
class Turn:
    """The decision about a rollout that the operator would begin.

    `begins`: the servers are to run the newest revision now. `slot` is what to write when they do not, None when
    nothing is asked for. `request` takes part in the order of those that wait for a slot.
    """

    begins: bool = False
    slot: Slot | None = None
    request: Request | None = None


NO_ROLLOUT = Turn()
"""The operator would begin no rollout."""


def request_of(cluster: RealtimeCluster) -> Request:
    """Return the request of a cluster; a priority that is no number counts as 0."""
    metadata = cluster.metadata
    name = f"{metadata.namespace}/{metadata.name}"
    return Request(name, _priority(metadata.annotations) or 0, metadata.creation_timestamp or "")


def next_turn(
    cluster: RealtimeCluster, newest: str, prior: Slot | None, others: OtherClusters, most: int, now: datetime
) -> Turn:
    """Decide about the rollout to the revision `newest`, which the operator alone causes.

    `prior` is the slot in the stored status, None also when that could not be written last. `most` is the number of
    clusters that may be rolled at once.
    """
    windows = cluster.spec.maintenance.windows
    room = most - len(others.holders)
    granted = prior is not None and prior.revision == newest
    if granted and prior is not None and prior.state in {SlotState.HELD, SlotState.RELEASED}:
        return Turn(begins=True)
    if not maintenance.is_open(windows, now):
        message = f"newer defaults of the operator wait for the window {maintenance.next_opening(windows, now)}"
        return Turn(slot=_since(Slot(SlotState.WAITING_FOR_WINDOW, newest, now, message=message), prior))
    if granted and prior is not None and prior.state is SlotState.GRANTED and others.complete and room > 0:
        return Turn(begins=True)
    request = request_of(cluster)
    position = 1 + sum(1 for other in others.requests if other.rank < request.rank)
    if others.complete and position <= room:
        return Turn(slot=Slot(SlotState.GRANTED, newest, now), request=request)
    shown = tuple(sorted(others.holders)[:SHOWN_HOLDERS])
    message = _why_waiting(cluster, position, others, most)
    slot = Slot(SlotState.WAITING_FOR_SLOT, newest, now, position, shown, message)
    return Turn(slot=_since(slot, prior), request=request)


def running_slot(prior: Slot | None, revision: str, now: datetime, *, stopped: bool) -> Slot:
    """Return the slot of a rollout to `revision` that is not done; `stopped`: it is paused or overdue."""
    return _since(Slot(SlotState.RELEASED if stopped else SlotState.HELD, revision, now), prior)


def holds_slot(cluster: JsonObject, children: Iterable[JsonObject]) -> bool:
    """Return True when a stored cluster takes up a slot, with its rollout or with the grant of one.

    A cluster whose status was removed is judged by its ReplicaSets: more than one revision has pods. One that is paused
    or being deleted, or whose spec is refused, is not rolled.
    """
    status = cluster.get("status")
    known = status if isinstance(status, dict) else {}
    accepted = [c.get("status") for c in objects_at(known, "conditions") if c.get("type") == ConditionType.ACCEPTED]
    if (
        "False" in accepted
        or text_at(cluster, "metadata", "deletionTimestamp")
        or dig(cluster, "spec", "paused") is True
    ):
        return False
    state = text_at(known, "rolloutSlot", "state")
    if state or known.get("targetRevision"):
        rolls = known.get("currentRevision") not in {None, known.get("targetRevision")}
        return state in USED or (rolls and not state)
    wanted = {revision_of(item) for item in children if item.get("kind") == "ReplicaSet" and _wants_pods(item)}
    return len(wanted) > 1


def to_status(slot: Slot) -> JsonObject:
    """Return the slot as the field of the status."""
    return {
        "state": slot.state.value,
        "revision": slot.revision,
        "since": timestamp(slot.since),
        **({} if slot.position is None else {"position": slot.position}),
        **({"heldBy": [*slot.held_by]} if slot.held_by else {}),
    }


def read_slot(status: JsonObject) -> Slot | None:
    """Return the slot in a status; None when there is none, or when it is of another release."""
    state, since = text_at(status, "rolloutSlot", "state"), parse_timestamp(dig(status, "rolloutSlot", "since"))
    if since is None or state not in set(SlotState):
        return None
    return Slot(SlotState(state), text_at(status, "rolloutSlot", "revision"), since)


def waiting_reason(slot: Slot | None) -> Reason | None:
    """Return the reason for which a rollout waits; None when none does."""
    return Reason(slot.state.value) if slot is not None and slot.state in WAITING else None


def _why_waiting(cluster: RealtimeCluster, position: int, others: OtherClusters, most: int) -> str:
    what = "newer defaults of the operator wait for their turn"
    given = cluster.metadata.annotations.get(naming.ANNOTATION_ROLLOUT_PRIORITY)
    wrong = given is not None and _priority(cluster.metadata.annotations) is None
    note = f"; annotation {naming.ANNOTATION_ROLLOUT_PRIORITY} is {given!r}: write a whole number" if wrong else ""
    if most == 0:
        return f"{what}: the operator begins no rollouts (chart value `rollouts.maxConcurrent` is 0){note}"
    if not others.complete:
        return f"{what}: the operator has not read all clusters yet{note}"
    names = sorted(others.holders)
    more = f" and {len(names) - SHOWN_HOLDERS} more" if len(names) > SHOWN_HOLDERS else ""
    running = f"{', '.join(names[:SHOWN_HOLDERS])}{more}" if names else "none"
    return f"{what}: position {position}, at most {most} at once, running: {running}{note}"


def _since(slot: Slot, prior: Slot | None) -> Slot:
    """Return the slot with the time of the prior one when only the position has changed."""
    same = prior is not None and (prior.state, prior.revision) == (slot.state, slot.revision)
    return replace(slot, since=prior.since) if same and prior is not None else slot


def _priority(annotations: dict[str, str]) -> int | None:
    """Return the priority in the annotation, 0 without one; None when it is not a number."""
    try:
        return int(annotations.get(naming.ANNOTATION_ROLLOUT_PRIORITY, "0"))
    except ValueError:
        return None


def _wants_pods(replica_set: JsonObject) -> bool:
    return dig(replica_set, "spec", "replicas") != 0
