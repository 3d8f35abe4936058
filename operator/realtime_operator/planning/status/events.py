"""Events, emitted at a change and not while a state lasts."""

from __future__ import annotations

import re
from collections.abc import Sequence

from realtime_operator.api.base import JsonObject
from realtime_operator.api.document import objects_at, text_at
from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.planning.canary.steps import UNDER_WAY, Phase
from realtime_operator.planning.credentials.changes import ADVICE
from realtime_operator.planning.credentials.rotation import GRACE
from realtime_operator.planning.model.plan import (
    Action,
    DeleteServer,
    Drain,
    EmitEvent,
    EventType,
    Quiesce,
    Resume,
    RotateCredentials,
    RotationStep,
)
from realtime_operator.planning.model.reasons import FINDINGS_SEPARATOR, ConditionType, Reason
from realtime_operator.planning.model.world import Server, ServerState
from realtime_operator.planning.moving.brakes import FREEZING_REASONS
from realtime_operator.planning.scheduling.slots import waiting_reason
from realtime_operator.planning.status.conditions import Verdict
from realtime_operator.planning.status.facts import Facts
from realtime_operator.planning.status.prior_status import condition_of

BAD_WHEN_FALSE = frozenset(
    {
        ConditionType.ACCEPTED,
        ConditionType.READY,
        ConditionType.BACKPLANE_READY,
        ConditionType.ENDPOINT_READY,
        ConditionType.CREDENTIALS_KEPT,
    }
)
"""Conditions whose change to False is a warning. Progressing is covered by the rollout's own Events."""


TOLD_AGAIN = frozenset({ConditionType.ACCEPTED, ConditionType.DEGRADED, ConditionType.CREDENTIALS_KEPT})
"""Conditions that are reported again when their message changes while they are bad."""

NEWS_AT_ONCE = frozenset({ConditionType.ACCEPTED, ConditionType.DEGRADED})
"""Conditions that are reported at the first write of a cluster's status."""


def condition_events(old: JsonObject, verdicts: Sequence[Verdict]) -> list[Action]:
    """Return an Event for every condition whose status changes, and for new messages of bad ones.

    The first False of a new cluster is not reported.
    """
    known = {text_at(condition, "type"): condition for condition in objects_at(old, "conditions")}
    actions: list[Action] = []
    for verdict in verdicts:
        previous = known.get(verdict.type, {})
        if verdict.type is ConditionType.PROGRESSING or verdict.status is None:
            continue
        changed = previous.get("status") != str(verdict.status)
        bad = verdict.status is (verdict.type not in BAD_WHEN_FALSE)
        message = verdict.message if changed else _news(verdict, text_at(previous, "message"))
        if bad and message and (previous or verdict.type in NEWS_AT_ONCE):
            actions.append(EmitEvent(EventType.WARNING, verdict.reason, message))
        elif not bad and changed and previous:
            actions.append(EmitEvent(EventType.NORMAL, verdict.reason, f"{verdict.type.value}: {verdict.message}"))
    return actions


def _news(verdict: Verdict, before: str) -> str:
    """Return the new part of a bad condition's message; empty when only numbers differ."""
    if verdict.type not in TOLD_AGAIN:
        return ""
    known = {_without_numbers(part) for part in before.split(FINDINGS_SEPARATOR)}
    parts = verdict.message.split(FINDINGS_SEPARATOR)
    return FINDINGS_SEPARATOR.join(part for part in parts if _without_numbers(part) not in known)


def _without_numbers(text: str) -> str:
    return re.sub(r"\d+", "#", text)


def hold_events(facts: Facts) -> list[Action]:
    """Return an Event at the start and the end of a hold; none for holds that only wait for observations."""
    old = facts.prior.document
    was_held = condition_of(old, ConditionType.PROGRESSING).get("reason") == Reason.HELD
    hold = facts.hold
    if hold is not None and hold.in_force(facts.now):
        if was_held or hold.reason in FREEZING_REASONS:
            return []
        return [EmitEvent(EventType.WARNING, Reason.HELD, f"{hold.reason.value}: {hold.message}")]
    if was_held and text_at(old, "hold", "reason") not in FREEZING_REASONS:
        return [EmitEvent(EventType.NORMAL, Reason.MOVES_RESUMED, "connections are moved again")]
    return []


def slot_events(facts: Facts) -> list[Action]:
    """Return an Event when a rollout by the operator begins to wait for a window or a slot."""
    reason, before = waiting_reason(facts.slot), facts.prior.slot
    if reason is None or facts.slot is None or (before is not None and before.state is facts.slot.state):
        return []
    return [EmitEvent(EventType.NORMAL, reason, facts.slot.message)]


def step_events(cluster: RealtimeCluster, facts: Facts, actions: Sequence[Action]) -> list[Action]:
    """Return Events for steps of interest: rollouts, changes of the number of servers, leaving servers."""
    events: list[Action] = [*_rollout(cluster, facts), *_canary(cluster, facts)]
    servers = {server.name: server for server in facts.fleet.servers}
    for action in actions:
        event = _about(action, servers)
        if event is not None:
            events.append(event)
    return events


def _rollout(cluster: RealtimeCluster, facts: Facts) -> list[Action]:
    before = facts.prior
    target = facts.fleet.target
    events: list[Action] = []
    if before.target_revision is None:
        return events
    if before.target_revision != target:
        old = sum(1 for server in facts.fleet.live if server.revision != target)
        replaced = f"{_servers(old)} will be replaced" if old else "no server has to be replaced"
        back = facts.canary_phase is Phase.ROLLED_BACK
        reason, what = (Reason.ROLLING_BACK, "back to") if back else (Reason.ROLLOUT_STARTED, "out")
        events.append(EmitEvent(EventType.NORMAL, reason, f"rolling {what} revision {target}: {replaced}"))
    if before.current_revision != target and facts.current_revision == target:
        message = f"the rollout of revision {target} is complete: it runs on {_servers(facts.fleet.desired)}"
        events.append(EmitEvent(EventType.NORMAL, Reason.ROLLOUT_COMPLETED, message))
    autoscaled = before.autoscaling.desired if before.autoscaling is not None else None
    if autoscaled is not None and cluster.spec.autoscaling is not None and autoscaled != facts.fleet.desired:
        message = f"from {autoscaled} to {facts.fleet.desired} servers, to match the number of connections"
        events.append(EmitEvent(EventType.NORMAL, Reason.SCALED, message))
    return events


def _canary(cluster: RealtimeCluster, facts: Facts) -> list[Action]:
    """Return an Event when a step begins, and when the last one has passed. A failure is that of Degraded."""
    spec, before = cluster.spec.rollout.canary, facts.prior.canary
    if facts.canary is None or spec is None:
        return []
    state = facts.canary.state
    known = None if before is None else (before.revision, before.begun)
    if state.phase in UNDER_WAY and known != (state.revision, state.begun):
        step = spec.steps[state.step - 1]
        of = "servers" if spec.traffic == "Service" else "new connections"
        what = f"{step.share} of the {of} for {step.hold}"
        message = f"step {state.step} of {len(spec.steps)} with revision {state.revision}: {what}"
        return [EmitEvent(EventType.NORMAL, Reason.CANARY_STEP_STARTED, message)]
    if state.phase is Phase.PASSED and before is not None and before.phase is not Phase.PASSED:
        message = f"revision {state.revision} has passed all steps: the remaining servers are replaced"
        return [EmitEvent(EventType.NORMAL, Reason.CANARY_PASSED, message)]
    return []


def _about(action: Action, servers: dict[str, Server]) -> EmitEvent | None:
    if isinstance(action, Quiesce):
        report = servers[action.server].report
        connections = f"{report.connections} connections" if report is not None else "an unknown number of connections"
        return EmitEvent(
            EventType.NORMAL,
            Reason.QUIESCED,
            f"server {action.server} gets no new connections; {connections} are to be moved",
        )
    if isinstance(action, Drain):
        report = servers[action.server].report
        if report is None or report.connections == 0 or report.state is ServerState.DRAINING:
            return None
        rate = f"at {action.connections_per_second:g} per second"
        return EmitEvent(
            EventType.NORMAL,
            Reason.DRAINING,
            f"server {action.server}: {report.connections} connections are being moved, {rate}",
        )
    if isinstance(action, RotateCredentials) and action.step is RotationStep.EXCHANGE:
        return EmitEvent(EventType.NORMAL, Reason.CREDENTIALS_ROTATED, _rotated(action))
    if isinstance(action, Resume):
        return EmitEvent(EventType.NORMAL, Reason.RESUMED, f"server {action.server} accepts new connections again")
    if isinstance(action, DeleteServer):
        if servers[action.server].failed:
            return EmitEvent(
                EventType.WARNING,
                Reason.SERVER_REPLACED,
                f"server {action.server} has failed permanently and is replaced",
            )
        return EmitEvent(EventType.NORMAL, Reason.SERVER_REPLACED, f"server {action.server} is drained and replaced")
    return None


def _rotated(action: RotateCredentials) -> str:
    keys = " and ".join(key for key in action.keys if key in ADVICE)
    advice = "; ".join(text for key, text in ADVICE.items() if key in action.keys)
    until = f"the former values are accepted for {GRACE.total_seconds() / 3600:g} h"
    what = f"new values are in Secret {action.secret}: {keys or 'the admin token'}"
    return "; ".join(part for part in (what, advice, until) if part)


def _servers(count: int) -> str:
    return "1 server" if count == 1 else f"{count} servers"
