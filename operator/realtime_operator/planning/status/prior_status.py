"""The status that an earlier reconcile has written, parsed once for all decisions and reports. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from realtime_operator.api.base import JsonObject, JsonValue
from realtime_operator.api.document import dig, object_at, objects_at, text_at
from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.planning.canary.record import read_canary
from realtime_operator.planning.canary.steps import CanaryState
from realtime_operator.planning.credentials.changes import Credentials
from realtime_operator.planning.model.reasons import FINDINGS_SEPARATOR, ConditionType, Reason
from realtime_operator.planning.model.timestamps import parse_timestamp
from realtime_operator.planning.moving.autoscale import AutoscaleState
from realtime_operator.planning.moving.brakes import Hold
from realtime_operator.planning.moving.budget import Budget
from realtime_operator.planning.moving.progress import Progress
from realtime_operator.planning.scheduling.slots import Slot, read_slot


@dataclass(frozen=True, slots=True)
class PriorStatus:
    """`.status` before this reconcile.

    `connections` are those of the servers by name, the last known ones where a server did not answer. `document` is the
    whole status, an empty object when there is none. `unreachable_since` has the servers that did not answer on their
    admin port, by name. `progressing` is the reason of the condition Progressing, None when it is
    missing or of another release. `refusal` is the last refusal in Degraded.
    """

    document: JsonObject = field(default_factory=dict)
    target_revision: str | None = None
    current_revision: str | None = None
    autoscaling: AutoscaleState | None = None
    hold: Hold | None = None
    slot: Slot | None = None
    budget: Budget | None = None
    canary: CanaryState | None = None
    connections: Mapping[str, int] = field(default_factory=dict)
    progress: Progress = field(default_factory=Progress)
    credentials: Credentials = field(default_factory=Credentials)
    redis_podless_since: datetime | None = None
    unreachable_since: Mapping[str, datetime] = field(default_factory=dict)
    progressing: Reason | None = None
    refusal: tuple[Reason, str] | None = None


def read_status(cluster: RealtimeCluster) -> PriorStatus:
    """Parse the status of the stored object."""
    if cluster.status is None:
        return PriorStatus()
    document: JsonObject = cluster.status.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_unset=True)
    return PriorStatus(
        document=document,
        target_revision=cluster.status.target_revision,
        current_revision=cluster.status.current_revision,
        autoscaling=_autoscaling(document),
        hold=_hold(document),
        slot=read_slot(document),
        budget=_budget(document),
        canary=read_canary(document),
        connections=_connections(document),
        progress=Progress(text_at(document, "progress", "step"), parse_timestamp(dig(document, "progress", "at"))),
        credentials=_credentials(document),
        redis_podless_since=parse_timestamp(dig(document, "redis", "podlessSince")),
        unreachable_since=_unreachable_since(document),
        progressing=_reason_of(document, ConditionType.PROGRESSING),
        refusal=_refusal(document),
    )


def condition_of(status: JsonObject, kind: ConditionType) -> JsonObject:
    """Return a condition of a status; an empty object when there is none."""
    return next((c for c in objects_at(status, "conditions") if c.get("type") == kind), {})


def _autoscaling(status: JsonObject) -> AutoscaleState | None:
    state = status.get("autoscaling")
    if not isinstance(state, dict) or not isinstance(state.get("desiredReplicas"), int):
        return None
    highest = state.get("highestRecommendation")
    return AutoscaleState(
        desired=int(str(state["desiredReplicas"])),
        below_since=parse_timestamp(state.get("belowSince")),
        highest=highest if isinstance(highest, int) else None,
    )


def _hold(status: JsonObject) -> Hold | None:
    since, until = (parse_timestamp(dig(status, "hold", name)) for name in ("since", "until"))
    reason = text_at(status, "hold", "reason")
    if since is None or until is None or reason not in set(Reason):
        return None
    count = dig(status, "hold", "count")
    message = text_at(status, "hold", "message")
    return Hold(Reason(reason), message, since, until, count if isinstance(count, int) else 0)


def _budget(status: JsonObject) -> Budget | None:
    found = object_at(status, "budget")
    if not found:
        return None
    at, adjusted_at = (parse_timestamp(found.get(name)) for name in ("at", "adjustedAt"))
    return Budget(
        rate=_number(found.get("connectionsPerSecond")) or 0.0,
        owed=_number(found.get("owed")) or 0.0,
        at=at,
        factor=_number(found.get("factor")) or 1.0,
        adjusted_at=adjusted_at,
        usual_connect_seconds=_number(found.get("usualConnectSeconds")),
    )


def _number(value: JsonValue) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _connections(status: JsonObject) -> dict[str, int]:
    servers = objects_at(status, "servers")
    counts = {text_at(s, "name"): s.get("connections", s.get("lastConnections")) for s in servers}
    return {name: count for name, count in counts.items() if isinstance(count, int)}


def _credentials(status: JsonObject) -> Credentials:
    found = object_at(status, "credentials")
    fingerprints = {name: str(value) for name, value in object_at(found, "fingerprints").items()}
    replaced = found.get("replaced")
    names = tuple(str(name) for name in replaced) if isinstance(replaced, list) else ()
    return Credentials(fingerprints, names, parse_timestamp(found.get("replacedAt")))


def _unreachable_since(status: JsonObject) -> dict[str, datetime]:
    times = {text_at(s, "name"): parse_timestamp(s.get("unreachableSince")) for s in objects_at(status, "servers")}
    return {name: since for name, since in times.items() if since is not None}


def _reason_of(status: JsonObject, kind: ConditionType) -> Reason | None:
    reason = text_at(condition_of(status, kind), "reason")
    return Reason(reason) if reason in set(Reason) else None


def _refusal(status: JsonObject) -> tuple[Reason, str] | None:
    reason = _reason_of(status, ConditionType.DEGRADED)
    if reason not in {Reason.NAME_TAKEN, Reason.WRITE_REFUSED}:
        return None
    return reason, text_at(condition_of(status, ConditionType.DEGRADED), "message").split(FINDINGS_SEPARATOR)[0]
