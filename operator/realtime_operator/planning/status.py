"""The status subresource: what people and other programs read of a cluster. Whole, and the same for the same facts."""

from __future__ import annotations

from datetime import datetime

from realtime_operator import naming
from realtime_operator.api.base import JsonObject, JsonValue
from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.planning import autoscale, conditions, history
from realtime_operator.planning.autoscale import AutoscaleState
from realtime_operator.planning.conditions import Facts, Verdict, timestamp
from realtime_operator.planning.reasons import ConditionType, Reason
from realtime_operator.planning.world import ObjectKey, Server, World

SELECTOR = f"{naming.LABEL_CLUSTER}={{name}},{naming.LABEL_COMPONENT}={naming.COMPONENT_SERVER}"


def observed(cluster: RealtimeCluster) -> JsonObject:
    """The status as it stands in the object."""
    if cluster.status is None:
        return {}
    dumped: JsonObject = cluster.status.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_unset=True)
    return dumped


def autoscale_state(old: JsonObject) -> AutoscaleState | None:
    """What an earlier reconcile left for the autoscaler."""
    state = old.get("autoscaling")
    if not isinstance(state, dict) or not isinstance(state.get("desiredReplicas"), int):
        return None
    highest = state.get("highestRecommendation")
    return AutoscaleState(
        desired=int(str(state["desiredReplicas"])),
        below_since=conditions.parse_timestamp(state.get("belowSince")),
        highest=highest if isinstance(highest, int) else None,
    )


def compose(
    cluster: RealtimeCluster,
    world: World,
    facts: Facts,
    verdicts: tuple[Verdict, ...],
    scaling: AutoscaleState | None,
) -> JsonObject:
    """The status for what was observed and decided now."""
    old = observed(cluster)
    fleet = facts.fleet
    status: JsonObject = {
        "phase": _phase(verdicts, facts),
        "observedGeneration": cluster.metadata.generation,
        "conditions": merge_conditions(old, verdicts, cluster.metadata.generation, facts.now),
        "replicas": len(fleet.live),
        "readyReplicas": len(fleet.available),
        "connections": sum(server.report.connections for server in fleet.servers if server.report),
        "selector": SELECTOR.format(name=cluster.metadata.name),
        "endpoints": _endpoints(cluster, world),
        "targetRevision": fleet.target,
        "servers": [_server(server) for server in sorted(fleet.servers, key=lambda server: server.name)],
    }
    if facts.current_revision is not None:
        status["currentRevision"] = facts.current_revision
    kept = history.recorded(cluster, old.get("revisionHistory"), facts.current_revision, fleet.target, facts.now)
    if kept:
        status["revisionHistory"] = kept
    rollout = _rollout(old, facts)
    if rollout is not None:
        status["rollout"] = rollout
        status["budget"] = {"connectionsPerSecond": facts.step.rate}
    if scaling is not None:
        status["autoscaling"] = _autoscaling(scaling)
    return status


def merge_conditions(old: JsonObject, verdicts: tuple[Verdict, ...], generation: int, now: datetime) -> list[JsonValue]:
    """The conditions of the old status with these verdicts."""
    before = old.get("conditions")
    return conditions.merge(before if isinstance(before, list) else [], verdicts, generation, now)


def _phase(verdicts: tuple[Verdict, ...], facts: Facts) -> str:
    true = {verdict.type for verdict in verdicts if verdict.status is True}
    if facts.paused:
        return "Paused"
    if ConditionType.DEGRADED in true:
        return "Degraded"
    if facts.current_revision is None:
        return "Pending"
    if ConditionType.PROGRESSING in true:
        return "Progressing"
    reasons = {verdict.reason for verdict in verdicts if verdict.type is ConditionType.READY}
    return "Ready" if ConditionType.READY in true or Reason.SCALED_TO_ZERO in reasons else "Degraded"


def _endpoints(cluster: RealtimeCluster, world: World) -> JsonObject:
    if world.endpoints is not None:
        return {"client": world.endpoints.client, "api": world.endpoints.api}
    name, namespace = cluster.metadata.name, cluster.metadata.namespace
    host = _load_balancer(world, name) or f"{naming.client_service(name)}.{namespace}.svc"
    return {
        "client": f"ws://{host}:{naming.PORT_CLIENT}{naming.CLIENT_PATH}",
        "api": f"http://{naming.api_service(name)}.{namespace}.svc:{naming.PORT_API}/api",
    }


def _load_balancer(world: World, cluster: str) -> str | None:
    """The address that a load balancer gave to the client Service."""
    service = world.objects.get(ObjectKey("v1", "Service", naming.client_service(cluster)), {})
    status = service.get("status")
    balancer = status.get("loadBalancer") if isinstance(status, dict) else None
    addresses = balancer.get("ingress") if isinstance(balancer, dict) else None
    for address in addresses if isinstance(addresses, list) else []:
        if isinstance(address, dict):
            return str(address.get("hostname") or address.get("ip"))
    return None


def _server(server: Server) -> JsonObject:
    if server.terminating:
        state = "terminating"
    elif server.report is not None:
        state = server.report.state.value
    else:
        state = server.waiting_reason or "unknown"
    if state == "serving" and not server.serving:
        state = "quiesced"
    entry: JsonObject = {"name": server.name, "revision": server.revision, "state": state, "ready": server.ready}
    if server.report is not None:
        entry["connections"] = server.report.connections
    return entry


def _rollout(old: JsonObject, facts: Facts) -> JsonObject | None:
    """What is being replaced or taken away; None when nothing is."""
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


def _autoscaling(scaling: autoscale.AutoscaleState) -> JsonObject:
    state: JsonObject = {"desiredReplicas": scaling.desired}
    if scaling.below_since is not None:
        state["belowSince"] = timestamp(scaling.below_since)
    if scaling.highest is not None:
        state["highestRecommendation"] = scaling.highest
    return state
