"""The status subresource: the state of a cluster for people and programs. Equal facts give an equal status."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from realtime_operator import naming
from realtime_operator.api.base import JsonObject, JsonValue
from realtime_operator.api.document import objects_at, text_at
from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.api.v1alpha1_rollout import Autoscaling
from realtime_operator.api.v1alpha1_status import MAX_MESSAGE
from realtime_operator.planning.canary.record import write_canary
from realtime_operator.planning.canary.steps import Phase
from realtime_operator.planning.credentials.changes import Credentials
from realtime_operator.planning.endpoint.addresses import endpoints
from realtime_operator.planning.model.reasons import ConditionType, Reason
from realtime_operator.planning.model.timestamps import timestamp
from realtime_operator.planning.model.world import Server, ServerState, World
from realtime_operator.planning.moving import autoscale
from realtime_operator.planning.moving.autoscale import AutoscaleState
from realtime_operator.planning.moving.budget import Budget
from realtime_operator.planning.revisions import history
from realtime_operator.planning.scheduling.slots import to_status
from realtime_operator.planning.status import conditions
from realtime_operator.planning.status.conditions import Verdict
from realtime_operator.planning.status.facts import Facts

SELECTOR = f"{naming.LABEL_CLUSTER}={{name}},{naming.LABEL_COMPONENT}={naming.COMPONENT_SERVER}"


def unreachable_since(before: Mapping[str, datetime], servers: Sequence[Server], now: datetime) -> dict[str, datetime]:
    """Return since when running servers have not answered on their admin port, by name.

    `before` is the previous result.
    """
    return {server.name: before.get(server.name, now) for server in servers if _is_silent(server)}


def _is_silent(server: Server) -> bool:
    return server.report is None and not server.failed and server.waiting_reason is None


def connections(servers: Sequence[Server]) -> int | None:
    """Return the number of connections of the cluster; None when a server that may have some does not answer."""
    if any(_is_silent(server) for server in servers):
        return None
    return sum(server.report.connections for server in servers if server.report is not None)


def compose(
    cluster: RealtimeCluster,
    world: World,
    facts: Facts,
    verdicts: tuple[Verdict, ...],
    scaling: AutoscaleState | None,
) -> JsonObject:
    """Return the status for the observation and the decisions about it."""
    old = facts.prior.document
    fleet = facts.fleet
    status: JsonObject = {
        **_summary(verdicts, facts),
        "observedGeneration": cluster.metadata.generation,
        "conditions": merge_conditions(old, verdicts, cluster.metadata.generation, facts.now),
        "replicas": len(fleet.live),
        "ready": f"{len(fleet.available)}/{fleet.desired}",
        "readyReplicas": len(fleet.available),
        "selector": SELECTOR.format(name=cluster.metadata.name),
        "endpoints": endpoints(cluster, world),
        "targetRevision": fleet.target,
        "servers": _server_list(old, facts),
        "credentials": _credentials(facts.credentials),
    }
    known = connections(fleet.servers)
    if known is not None:
        status["connections"] = known
    if facts.current_revision is not None:
        status["currentRevision"] = facts.current_revision
    of_spec = None if facts.canary_phase is Phase.ROLLED_BACK else facts.current_revision
    kept = history.recorded(cluster, old.get("revisionHistory"), of_spec, fleet.target, facts.now)
    if kept:
        status["revisionHistory"] = kept
    rollout = _rollout(old, facts)
    if rollout is not None:
        status["rollout"] = rollout
    if facts.slot is not None:
        status["rolloutSlot"] = to_status(facts.slot)
    if facts.maintenance is not None:
        status["maintenance"] = facts.maintenance
    if facts.canary is not None:
        weight: JsonObject = {} if facts.canary.percent is None else {"weight": facts.canary.percent}
        status["canary"] = {**write_canary(facts.canary.state), **weight}
    if facts.budget is not None:
        status["budget"] = _budget(facts.budget)
    if scaling is not None:
        status["autoscaling"] = _autoscaling(scaling, cluster.spec.autoscaling)
    return status | facts.provenance | _memory(facts)


def _memory(facts: Facts) -> JsonObject:
    """Return the fields by which a later reconcile remembers this one."""
    memory: JsonObject = {}
    hold, progress = facts.hold, facts.progress
    if hold is not None:
        memory["hold"] = {
            "reason": hold.reason.value,
            "message": hold.message,
            "since": timestamp(hold.since),
            "until": timestamp(hold.until),
            "count": hold.count,
        }
    if progress.at is not None:
        memory["progress"] = {"step": progress.step, "at": timestamp(progress.at)}
    redis: JsonObject = {}
    if facts.redis.podless_since is not None:
        redis["podlessSince"] = timestamp(facts.redis.podless_since)
    if facts.redis.primary:
        redis["primary"] = facts.redis.primary
    if redis:
        memory["redis"] = redis
    return memory


def _credentials(credentials: Credentials) -> JsonObject:
    found: JsonObject = {"fingerprints": {**credentials.fingerprints}}
    if credentials.replaced_at is not None:
        found |= {"replaced": [*credentials.replaced], "replacedAt": timestamp(credentials.replaced_at)}
    return found


def merge_conditions(old: JsonObject, verdicts: tuple[Verdict, ...], generation: int, now: datetime) -> list[JsonValue]:
    """Return the conditions of the old status updated with these verdicts."""
    before = old.get("conditions")
    return conditions.merge(before if isinstance(before, list) else [], verdicts, generation, now)


def _summary(verdicts: tuple[Verdict, ...], facts: Facts) -> JsonObject:
    """Build `phase`, and `message` from the condition that decides it."""
    phase, kind = _phase({verdict.type: verdict for verdict in verdicts}, facts)
    messages = [verdict.message for verdict in verdicts if verdict.type is kind]
    return {"phase": phase, "message": "".join(messages)[:MAX_MESSAGE]}


def _phase(verdicts: Mapping[ConditionType, Verdict], facts: Facts) -> tuple[str, ConditionType]:
    true = {kind for kind, verdict in verdicts.items() if verdict.status is True}
    if facts.is_paused or facts.canary_phase is Phase.PAUSED:
        return "Paused", ConditionType.PROGRESSING
    if ConditionType.DEGRADED in true:
        return "Degraded", ConditionType.DEGRADED
    if facts.current_revision is None:
        return "Pending", ConditionType.PROGRESSING
    if ConditionType.PROGRESSING in true or any(verdict.reason is Reason.HELD for verdict in verdicts.values()):
        return "Progressing", ConditionType.PROGRESSING
    ready = verdicts.get(ConditionType.READY)
    is_ready = ConditionType.READY in true or (ready is not None and ready.reason is Reason.SCALED_TO_ZERO)
    return "Ready" if is_ready else "Degraded", ConditionType.READY


def _server_list(old: JsonObject, facts: Facts) -> list[JsonValue]:
    before = {text_at(entry, "name"): entry for entry in objects_at(old, "servers")}
    ordered = sorted(facts.fleet.servers, key=lambda server: server.name)
    return [_server(server, before.get(server.name, {}), facts.unreachable.get(server.name)) for server in ordered]


def _server(server: Server, before: JsonObject, unreachable: datetime | None) -> JsonObject:
    entry: JsonObject = {
        "name": server.name,
        "revision": server.revision,
        "state": _state(server),
        "ready": server.ready,
    }
    if server.report is not None:
        entry["connections"] = server.report.connections
    elif unreachable is not None:
        entry["unreachableSince"] = timestamp(unreachable)
        last = before.get("connections", before.get("lastConnections"))
        if last is not None:
            entry["lastConnections"] = last
    return entry


def _state(server: Server) -> str:
    if server.terminating:
        return "Terminating"
    if server.report is None:
        return server.waiting_reason or "Unknown"
    state = server.report.state
    return (ServerState.QUIESCED if state is ServerState.SERVING and not server.serving else state).capitalize()


def _rollout(old: JsonObject, facts: Facts) -> JsonObject | None:
    """Return the progress of servers that are replaced or removed; None when there are none."""
    fleet = facts.fleet
    if not facts.step.retiring:
        return None
    before = old.get("rollout")
    started = before.get("startedAt") if isinstance(before, dict) else None
    updated = sum(1 for server in fleet.available if server.revision == fleet.target)
    return {
        "startedAt": started if isinstance(started, str) else timestamp(facts.now),
        "updatedServers": updated,
        "oldServers": sum(1 for server in fleet.live if server.revision != fleet.target),
        "connectionsToMove": sum(s.report.connections for s in facts.step.retiring if s.report is not None),
        "drainingServers": [server.name for server in facts.step.retiring if not server.serving],
    }


def _budget(budget: Budget) -> JsonObject:
    """Return the budget; what a later reconcile needs to go on from it is there only where it is in use."""
    found: JsonObject = {"connectionsPerSecond": budget.rate, "factor": budget.factor}
    if budget.owed > 0:
        found["owed"] = budget.owed
    if budget.at is not None:
        found["at"] = timestamp(budget.at)
    if budget.adjusted_at is not None:
        found["adjustedAt"] = timestamp(budget.adjusted_at)
    if budget.usual_connect_seconds is not None:
        found["usualConnectSeconds"] = budget.usual_connect_seconds
    return found


def _autoscaling(scaling: autoscale.AutoscaleState, policy: Autoscaling | None) -> JsonObject:
    state: JsonObject = {"desiredReplicas": scaling.desired}
    if policy is not None:
        state["bounds"] = f"{policy.min_replicas}-{policy.max_replicas}"
    if scaling.below_since is not None:
        state["belowSince"] = timestamp(scaling.below_since)
    if scaling.highest is not None:
        state["highestRecommendation"] = scaling.highest
    return state
