"""Conditions: what is true of the cluster now, each with a reason for machines and a sentence for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from realtime_operator.api.base import JsonObject, JsonValue
from realtime_operator.planning.reasons import ConditionType, Reason
from realtime_operator.planning.rollout import Fleet, RolloutPolicy, RolloutStep, timed_out
from realtime_operator.planning.world import Server

CANNOT_START = frozenset(
    {
        "CrashLoopBackOff",
        "ImagePullBackOff",
        "ErrImagePull",
        "ErrImageNeverPull",
        "InvalidImageName",
        "CreateContainerConfigError",
        "CreateContainerError",
        "RunContainerError",
        "Unschedulable",
    }
)
"""Waiting reasons that do not go away by waiting alone."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One condition as it is now; `status` None is "Unknown"."""

    type: ConditionType
    status: bool | None
    reason: StrEnum
    message: str


@dataclass(frozen=True, slots=True)
class Backplane:
    """What is known of the link between the servers: `ready` None when nothing has been measured yet."""

    ready: bool | None
    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class Facts:
    """What the verdicts are read from."""

    fleet: Fleet
    policy: RolloutPolicy
    step: RolloutStep
    backplane: Backplane
    current_revision: str | None
    paused: bool
    unready_grace: timedelta
    now: datetime


def evaluate(facts: Facts) -> tuple[Verdict, ...]:
    """All conditions but Accepted."""
    return (ready(facts), progressing(facts), degraded(facts), backplane_ready(facts))


def backplane_ready(facts: Facts) -> Verdict:
    """Whether the servers are linked."""
    backplane = facts.backplane
    return Verdict(ConditionType.BACKPLANE_READY, backplane.ready, backplane.reason, backplane.message)


def ready(facts: Facts) -> Verdict:
    """Whether clients can connect and messages cross servers."""
    available, desired = len(facts.fleet.available), facts.fleet.desired
    if desired == 0:
        return Verdict(ConditionType.READY, False, Reason.SCALED_TO_ZERO, "no servers are wanted: replicas is 0")
    if available < max(1, desired - facts.policy.max_unavailable):
        message = f"{available} of {desired} servers are available"
        return Verdict(ConditionType.READY, False, Reason.SERVERS_UNAVAILABLE, message)
    if facts.backplane.ready is False:
        return Verdict(ConditionType.READY, False, Reason.BACKPLANE_UNAVAILABLE, facts.backplane.message)
    return Verdict(ConditionType.READY, True, Reason.SERVERS_AVAILABLE, "enough servers are available")


def progressing(facts: Facts) -> Verdict:
    """Whether servers are being added, replaced or taken away."""
    reason, message = _progress(facts)
    return Verdict(ConditionType.PROGRESSING, reason not in {Reason.SETTLED, Reason.PAUSED}, reason, message)


def _progress(facts: Facts) -> tuple[Reason, str]:
    fleet = facts.fleet
    old = sum(1 for server in fleet.live if server.revision != fleet.target)
    updated = sum(1 for server in fleet.available if server.revision == fleet.target)
    if facts.paused:
        return Reason.PAUSED, "spec.paused is true: nothing is changed until it is false"
    if facts.current_revision is None and updated < fleet.desired:
        return Reason.CREATING, f"{updated} of {fleet.desired} servers are available"
    if old or fleet.old_replicas:
        return Reason.ROLLING_UPDATE, f"{updated} of {fleet.desired} servers run {fleet.target}, {old} old ones remain"
    if facts.step.retiring or fleet.target_replicas > fleet.desired:
        return Reason.SCALING_DOWN, f"{len(facts.step.retiring)} servers are being drained to reach {fleet.desired}"
    if fleet.target_replicas < fleet.desired:
        return Reason.SCALING_UP, f"scaling from {fleet.target_replicas} to {fleet.desired} servers"
    if updated < fleet.desired:
        return Reason.REPLACING, f"{updated} of {fleet.desired} servers are available"
    return Reason.SETTLED, "the cluster is what the spec says"


def degraded(facts: Facts) -> Verdict:
    """Whether something needs a person; the first finding in this order is the reason."""
    for check in (_cannot_start, _drain_timed_out, _not_ready, _unreachable):
        found = check(facts)
        if found is not None:
            return Verdict(ConditionType.DEGRADED, True, *found)
    return Verdict(ConditionType.DEGRADED, False, Reason.AS_EXPECTED, "nothing needs attention")


def _cannot_start(facts: Facts) -> tuple[Reason, str] | None:
    for server in facts.fleet.live:
        if server.waiting_reason in CANNOT_START:
            detail = f": {server.waiting_message}" if server.waiting_message else ""
            return Reason.SERVER_CANNOT_START, f"server {server.name} cannot start: {server.waiting_reason}{detail}"
    return None


def _drain_timed_out(facts: Facts) -> tuple[Reason, str] | None:
    late = [s for s in facts.step.retiring if timed_out(s, facts.policy.drain, facts.now) and s.report is not None]
    late = [server for server in late if server.report is not None and server.report.connections > 0]
    return _about(Reason.DRAIN_TIMED_OUT, late, "still had connections when its drain timed out")


def _not_ready(facts: Facts) -> tuple[Reason, str] | None:
    limit = facts.now - facts.unready_grace
    late = [s for s in facts.fleet.live if s.serving and not s.ready and s.created_at < limit]
    return _about(Reason.SERVER_NOT_READY, late, "is not ready")


def _unreachable(facts: Facts) -> tuple[Reason, str] | None:
    limit = facts.now - facts.unready_grace
    silent = [s for s in facts.fleet.available if s.report is None and s.created_at < limit]
    return _about(Reason.SERVER_UNREACHABLE, silent, "does not answer on its admin port")


def _about(reason: Reason, servers: Sequence[Server], text: str) -> tuple[Reason, str] | None:
    if not servers:
        return None
    others = f" (and {len(servers) - 1} more)" if len(servers) > 1 else ""
    return reason, f"server {servers[0].name}{others} {text}"


def merge(old: Sequence[JsonValue], verdicts: Sequence[Verdict], generation: int, now: datetime) -> list[JsonValue]:
    """The conditions to write: the transition time moves only when the status does; types not judged now stay."""
    previous = {str(item.get("type")): item for item in old if isinstance(item, dict)}
    merged: dict[str, JsonObject] = dict(previous)
    for verdict in verdicts:
        before = previous.get(verdict.type, {})
        status = "Unknown" if verdict.status is None else str(verdict.status)
        same = before.get("status") == status
        merged[verdict.type] = {
            "type": verdict.type.value,
            "status": status,
            "reason": verdict.reason.value,
            "message": verdict.message,
            "lastTransitionTime": before.get("lastTransitionTime") if same else timestamp(now),
            "observedGeneration": generation,
        }
    return [merged[name] for name in sorted(merged)]


def timestamp(now: datetime) -> str:
    """RFC 3339 in UTC with whole seconds, as Kubernetes writes times."""
    return now.strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_timestamp(value: object) -> datetime | None:
    """The inverse of `timestamp`; None for anything else."""
    if not isinstance(value, str):
        return None
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        return None
