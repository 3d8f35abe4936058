"""Report on a reconcile after its actions: the status, and Events for changes. Pure.

It follows the actions so that it is true: a refused write becomes a condition, and no Event reports a change that
failed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from realtime_operator import naming
from realtime_operator.api.base import JsonObject
from realtime_operator.api.errors import Finding
from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.api.v1alpha1_status import MAX_MESSAGE
from realtime_operator.planning.model.plan import Action, CreateObject, EnsureSecret, Failure, SetStatus
from realtime_operator.planning.model.reasons import ConditionType, Reason
from realtime_operator.planning.model.world import ObjectKey, World, object_key
from realtime_operator.planning.moving.autoscale import AutoscaleState
from realtime_operator.planning.status import conditions, events, subresource
from realtime_operator.planning.status.conditions import Verdict
from realtime_operator.planning.status.facts import Facts


def report(
    cluster: RealtimeCluster,
    world: World,
    facts: Facts,
    scaling: AutoscaleState | None,
    actions: Sequence[Action],
    failures: Sequence[Failure],
) -> tuple[Action, ...]:
    """Return the status, if it has changed, and the Events; `failures` are those of `actions`."""
    facts = replace(
        facts,
        failures=tuple(failures),
        missing_endpoint=_missing_endpoint(facts, failures),
        missing_credentials=_missing_credentials(facts, actions, failures),
    )
    accepted = Verdict(ConditionType.ACCEPTED, status=True, reason=Reason.VALID, message="the spec is valid")
    verdicts = (accepted, *conditions.evaluate(facts))
    old = facts.prior.document
    new = subresource.compose(cluster, world, facts, verdicts, scaling)
    reports: list[Action] = [SetStatus(new)] if new != old else []
    if not facts.is_paused:
        failed = {id(failure.action) for failure in failures}
        reports += events.hold_events(facts)
        reports += events.slot_events(facts)
        reports += events.step_events(cluster, facts, [action for action in actions if id(action) not in failed])
    if new != old:
        reports += events.condition_events(old, verdicts)
    return tuple(reports)


def _missing_endpoint(facts: Facts, failures: Sequence[Failure]) -> str | None:
    key = ObjectKey("v1", "Service", naming.client_service(facts.name))
    for failure in failures:
        if isinstance(failure.action, CreateObject) and object_key(failure.action.manifest) == key:
            return failure.message
    return facts.missing_endpoint


def _missing_credentials(
    facts: Facts, actions: Sequence[Action], failures: Sequence[Failure]
) -> dict[str, tuple[str, ...]]:
    """Return the keys that are missing after the actions."""
    failed = {id(failure.action) for failure in failures}
    made = [action for action in actions if isinstance(action, EnsureSecret) and id(action) not in failed]
    there = {object_key(action.manifest).name for action in made}
    return {name: keys for name, keys in facts.missing_credentials.items() if name not in there}


def report_rejection(
    old: JsonObject, generation: int, findings: Sequence[Finding], now: datetime
) -> tuple[Action, ...]:
    """Report an invalid spec, once.

    `old` is the object's status, `generation` its metadata.generation.
    """
    message = "; ".join(str(finding) for finding in findings)
    verdict = Verdict(ConditionType.ACCEPTED, status=False, reason=findings[0].reason, message=message)
    new: JsonObject = {
        **old,
        "phase": "Degraded",
        "message": message[:MAX_MESSAGE],
        "observedGeneration": generation,
        "conditions": subresource.merge_conditions(old, (verdict,), generation, now),
    }
    if new == old:
        return ()
    return (SetStatus(new), *events.condition_events(old, (verdict,)))
