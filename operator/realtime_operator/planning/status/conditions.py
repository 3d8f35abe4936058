"""Conditions of the cluster, each with a reason for machines and a message for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from realtime_operator.api.base import JsonObject, JsonValue
from realtime_operator.api.v1alpha1_status import MAX_MESSAGE
from realtime_operator.planning.canary.steps import Phase
from realtime_operator.planning.model.plan import REFUSALS
from realtime_operator.planning.model.reasons import FINDINGS_SEPARATOR, ConditionType, Reason
from realtime_operator.planning.model.timestamps import timestamp
from realtime_operator.planning.scheduling.slots import waiting_reason
from realtime_operator.planning.status import findings
from realtime_operator.planning.status.facts import Facts

STILL = frozenset(
    {
        Reason.SETTLED,
        Reason.PAUSED,
        Reason.OPERATOR_PAUSED,
        Reason.WAITING_FOR_WINDOW,
        Reason.WAITING_FOR_SLOT,
        Reason.GATE_FAILED,
    }
)
"""Reasons of Progressing without activity."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One condition; `status` None stands for "Unknown"."""

    type: ConditionType
    status: bool | None
    reason: StrEnum
    message: str


def evaluate(facts: Facts) -> tuple[Verdict, ...]:
    """Return all conditions but Accepted."""
    return (
        ready(facts),
        progressing(facts),
        degraded(facts),
        backplane_ready(facts),
        endpoint_ready(facts),
        credentials_kept(facts),
    )


def backplane_ready(facts: Facts) -> Verdict:
    """Judge BackplaneReady: True when the servers are linked."""
    backplane = facts.backplane
    return Verdict(ConditionType.BACKPLANE_READY, backplane.ready, backplane.reason, backplane.message)


def endpoint_ready(facts: Facts) -> Verdict:
    """Judge EndpointReady: True when what the spec puts in front of the Service has taken it."""
    if facts.missing_endpoint is not None:
        return Verdict(ConditionType.ENDPOINT_READY, False, Reason.ENDPOINT_UNAVAILABLE, facts.missing_endpoint)
    exposure = facts.exposure
    return Verdict(ConditionType.ENDPOINT_READY, exposure.ready, exposure.reason, exposure.message)


def credentials_kept(facts: Facts) -> Verdict:
    """Judge CredentialsKept: True when backends and clients can use the generated credentials that they know."""
    if facts.missing_credentials:
        return Verdict(ConditionType.CREDENTIALS_KEPT, False, Reason.MISSING, _missing_credentials(facts))
    if facts.credentials.replaced_recently(facts.now):
        return Verdict(ConditionType.CREDENTIALS_KEPT, False, Reason.REPLACED, facts.credentials.message(facts.name))
    if facts.rotation:
        return Verdict(ConditionType.CREDENTIALS_KEPT, True, Reason.ROTATING, facts.rotation)
    message = "the generated credentials have not changed"
    return Verdict(ConditionType.CREDENTIALS_KEPT, True, Reason.UNCHANGED, message)


def _missing_credentials(facts: Facts) -> str:
    lacking = "; ".join(f"Secret {name} lacks {', '.join(keys)}" for name, keys in facts.missing_credentials.items())
    when = "the pause ends" if facts.is_paused else "the API server accepts the write"
    return f"{lacking}: no new server can start. The operator creates what is missing when {when}"


def ready(facts: Facts) -> Verdict:
    """Judge Ready: True when clients can connect and messages cross servers."""
    reason, message = _why_not_ready(facts) or (Reason.SERVERS_AVAILABLE, "enough servers are available")
    return Verdict(ConditionType.READY, reason is Reason.SERVERS_AVAILABLE, reason, message)


def _why_not_ready(facts: Facts) -> tuple[Reason, str] | None:
    available, desired = len(facts.fleet.available), facts.fleet.desired
    if desired == 0:
        return Reason.SCALED_TO_ZERO, "the cluster has no servers because replicas is 0"
    if facts.missing_endpoint is not None:
        return Reason.ENDPOINT_UNAVAILABLE, facts.missing_endpoint
    if available < max(1, _wanted(facts) - facts.policy.max_unavailable):
        return Reason.SERVERS_UNAVAILABLE, f"{available} of {desired} servers are available"
    if facts.backplane.ready is False:
        return Reason.BACKPLANE_UNAVAILABLE, facts.backplane.message
    refused = findings.clients_refused(facts)
    return None if refused is None else refused


def _wanted(facts: Facts) -> int:
    """Return the number of servers that should be available: those added by a scale-up are not missing."""
    if _progress(facts)[0] is not Reason.SCALING_UP:
        return facts.fleet.desired
    return min(facts.fleet.desired, sum(1 for server in facts.fleet.live if server.was_ready))


def progressing(facts: Facts) -> Verdict:
    """Judge Progressing: True while servers are added, replaced or removed, with progress."""
    reason, message = _progress(facts)
    if reason not in STILL and facts.hold is not None and facts.hold.in_force(facts.now):
        return Verdict(ConditionType.PROGRESSING, False, Reason.HELD, f"no connections are moved: {facts.hold.message}")
    if reason not in STILL and facts.overdue:
        late = f"no progress for {facts.overdue_after:g} s: {message}"
        return Verdict(ConditionType.PROGRESSING, False, Reason.DEADLINE_EXCEEDED, late)
    return Verdict(ConditionType.PROGRESSING, reason not in STILL, reason, message)


def _progress(facts: Facts) -> tuple[Reason, str]:
    fleet = facts.fleet
    old = sum(1 for server in fleet.live if server.revision != fleet.target)
    updated = sum(1 for server in fleet.available if server.revision == fleet.target)
    if facts.operator_paused is not None:
        return Reason.OPERATOR_PAUSED, facts.operator_paused
    if facts.paused:
        return Reason.PAUSED, "spec.paused is true: the operator changes nothing until it is false"
    if facts.current_revision is None and updated < fleet.desired:
        return Reason.CREATING, f"{updated} of {fleet.desired} servers are available"
    if facts.canary_phase in {Phase.HOLDING, Phase.PAUSED, Phase.ROLLED_BACK}:
        return _canary_progress(facts, old)
    if old or fleet.old_replicas:
        others = f"{old} servers of other revisions remain{_divided(facts)}"
        return Reason.ROLLING_UPDATE, f"{updated} of {fleet.desired} servers run revision {fleet.target}, {others}"
    if facts.step.retiring or fleet.target_replicas > fleet.desired:
        return (
            Reason.SCALING_DOWN,
            f"{len(facts.step.retiring)} servers are being drained to scale down to {fleet.desired}",
        )
    if fleet.target_replicas < fleet.desired:
        return Reason.SCALING_UP, f"scaling from {fleet.target_replicas} to {fleet.desired} servers"
    if updated < fleet.desired:
        reason = Reason.SCALING_UP if facts.prior.progressing is Reason.SCALING_UP else Reason.REPLACING
        return reason, f"{updated} of {fleet.desired} servers are available"
    return _rest(facts)


def _canary_progress(facts: Facts, old: int) -> tuple[Reason, str]:
    """Return the reason and message of Progressing while a canary holds, and after a gate has failed."""
    assert facts.canary is not None
    state, fleet = facts.canary.state, facts.fleet
    new = fleet.live_of(state.revision)
    if state.phase is Phase.HOLDING:
        where = f"step {state.step}: {new} of {fleet.desired} servers run revision {state.revision}"
        following = f"since {timestamp(state.since)}; the next step follows when its gates pass"
        return Reason.CANARY_HOLDING, f"{where}, {following}{_divided(facts)}"
    if state.phase is Phase.ROLLED_BACK and (old or facts.step.retiring):
        replaced = f"{new} servers of revision {state.revision} are replaced by {fleet.target}"
        return Reason.ROLLING_BACK, f"{replaced}{_divided(facts)}"
    return Reason.GATE_FAILED, findings.gate_text(state)


def _divided(facts: Facts) -> str:
    """Return how the route divides new connections, as the end of a sentence; empty while it does not."""
    if facts.canary is None or facts.canary.percent is None:
        return ""
    return f"; the route gives revision {facts.canary.state.revision} {facts.canary.percent}% of the new connections"


def _rest(facts: Facts) -> tuple[Reason, str]:
    """Return the reason and message of Progressing when no server is added, replaced or removed."""
    if any(pod.trial for pod in facts.redis.pods):
        return Reason.CHANGING_REDIS, "the changed Redis is tried in a second pod while the current one keeps running"
    if facts.redis.changes_pods:
        return Reason.CHANGING_REDIS, "pods of Redis are being added, replaced or removed"
    if any(failure.kind in REFUSALS for failure in facts.failures):
        return Reason.RETRYING, "a part of the spec could not be applied and is retried: see the condition Degraded"
    waiting = waiting_reason(facts.slot)
    if waiting is not None and facts.slot is not None:
        return waiting, facts.slot.message
    return Reason.SETTLED, "the cluster matches the spec"


def degraded(facts: Facts) -> Verdict:
    """Judge Degraded: True when a problem needs a person. The first finding gives the reason; the message has all."""
    found = findings.all_findings(facts)
    if not found:
        return Verdict(ConditionType.DEGRADED, False, Reason.AS_EXPECTED, "nothing needs attention")
    return Verdict(ConditionType.DEGRADED, True, found[0][0], FINDINGS_SEPARATOR.join(message for _, message in found))


def merge(old: Sequence[JsonValue], verdicts: Sequence[Verdict], generation: int, now: datetime) -> list[JsonValue]:
    """Return the conditions to write: the transition time changes with the status only; other types are kept."""
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
            "message": verdict.message[:MAX_MESSAGE],
            "lastTransitionTime": before.get("lastTransitionTime") if same else timestamp(now),
            "observedGeneration": generation,
        }
    return [merged[name] for name in sorted(merged)]
