"""Exposure of the client Service: what the controllers of Gateway, Ingress and load balancers say about it. Pure.

All of it is in the status of objects that the operator makes itself, so nothing more has to be read.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from realtime_operator import naming
from realtime_operator.api.base import JsonObject
from realtime_operator.api.document import dig, object_at, objects_at, text_at
from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.builders.optional_kinds import missing_kinds
from realtime_operator.builders.services.route import API_VERSION as GATEWAY_API
from realtime_operator.planning.model.reasons import Reason
from realtime_operator.planning.model.world import ObjectKey, World

GATEWAY_GROUP = "gateway.networking.k8s.io"
REFUSED = {"Accepted": Reason.ROUTE_NOT_ACCEPTED, "ResolvedRefs": Reason.ROUTE_NOT_RESOLVED}
"""Conditions that a controller sets on a route for each parent, and the reason when it is False."""


@dataclass(frozen=True, slots=True)
class Exposure:
    """State of the way from clients to the Service; `ready` is None while a controller has not answered."""

    ready: bool | None
    reason: Reason
    message: str


def observe_exposure(cluster: RealtimeCluster, world: World) -> Exposure:
    """Judge all ways that the spec asks for: the worst decides, and the message has those that are as bad."""
    found = list(_ways(cluster, world))
    for state in (False, None, True):
        equal = [way for way in found if way.ready is state]
        if equal:
            return Exposure(state, equal[0].reason, "; ".join(way.message for way in equal))
    return Exposure(ready=True, reason=Reason.ENDPOINT_AVAILABLE, message=_service_alone(cluster, world))


def address_of(live: JsonObject) -> str:
    """Return the address that a load balancer gave to a Service or an Ingress; empty when it has none."""
    addresses = objects_at(live, "status", "loadBalancer", "ingress")
    return next((found for each in addresses if (found := text_at(each, "hostname") or text_at(each, "ip"))), "")


def _ways(cluster: RealtimeCluster, world: World) -> Iterator[Exposure]:
    if world.endpoints is not None:
        return
    name, endpoint = cluster.metadata.name, cluster.spec.endpoint
    if endpoint.gateway is not None:
        kind = "TLSRoute" if endpoint.tls is not None else "HTTPRoute"
        missing = missing_kinds([{"apiVersion": GATEWAY_API, "kind": kind}], world.unserved, world.withheld)
        yield from (Exposure(False, Reason.KIND_NOT_SERVED, message) for message in missing)
        if not missing:
            yield from _route(cluster, world.objects.get(ObjectKey(GATEWAY_API, kind, naming.route(name))))
    if endpoint.ingress is not None:
        key = ObjectKey("networking.k8s.io/v1", "Ingress", naming.ingress(name))
        yield _addressed(key, world, "no Ingress controller has given it one: is its class served?")
    if endpoint.service.type == "LoadBalancer":
        yield _addressed(ObjectKey("v1", "Service", naming.client_service(name)), world, "no load balancer is there")


def _service_alone(cluster: RealtimeCluster, world: World) -> str:
    if world.endpoints is not None:
        return f"clients connect to {world.endpoints.client}"
    return f"clients connect to the Service {naming.client_service(cluster.metadata.name)}"


def _addressed(key: ObjectKey, world: World, why_not: str) -> Exposure:
    address = address_of(world.objects.get(key, {}))
    if not address:
        return Exposure(None, Reason.ADDRESS_PENDING, f"{key.kind} {key.name} has no address yet: {why_not}")
    return Exposure(True, Reason.ENDPOINT_AVAILABLE, f"{key.kind} {key.name} has the address {address}")


def _route(cluster: RealtimeCluster, live: JsonObject | None) -> Iterator[Exposure]:
    """Yield what the controller of each Gateway says about the route."""
    if live is None:
        yield Exposure(None, Reason.ROUTE_PENDING, f"the route {naming.route(cluster.metadata.name)} is not there yet")
        return
    namespace = cluster.metadata.namespace
    for parent in objects_at(live, "spec", "parentRefs"):
        answers = [
            _answer(live, parent, answer, namespace)
            for answer in objects_at(live, "status", "parents")
            if _identity(object_at(answer, "parentRef"), namespace) == _identity(parent, namespace)
        ]
        # A controller that the Gateway had before may have left its answer.
        best = (answer for state in (True, False, None) for answer in answers if answer.ready is state)
        silent = f"{_named(parent, namespace)} has not answered to {_title(live)}: does it exist, and does it run?"
        yield next(best, Exposure(None, Reason.ROUTE_PENDING, silent))


def _answer(live: JsonObject, parent: JsonObject, answer: JsonObject, namespace: str) -> Exposure:
    """Return what one controller says about one parent; nothing counts that it said about an earlier spec."""
    generation = dig(live, "metadata", "generation")
    conditions = {
        text_at(condition, "type"): condition
        for condition in objects_at(answer, "conditions")
        if dig(condition, "observedGeneration") in {None, 0, generation}
    }
    gateway = _named(parent, namespace)
    for kind, reason in REFUSED.items():
        condition = conditions.get(kind, {})
        if text_at(condition, "status") == "False":
            said = ": ".join(filter(None, (text_at(condition, "reason"), text_at(condition, "message"))))
            verb = "accept" if reason is Reason.ROUTE_NOT_ACCEPTED else "resolve the references of"
            return Exposure(False, reason, f"{gateway} does not {verb} {_title(live)}: {said}")
    if text_at(conditions.get("Accepted", {}), "status") != "True":
        return Exposure(None, Reason.ROUTE_PENDING, f"{gateway} has not yet judged {_title(live)}")
    return Exposure(True, Reason.ENDPOINT_AVAILABLE, f"{gateway} has accepted {_title(live)}")


def _identity(reference: JsonObject, namespace: str) -> tuple[object, ...]:
    """Return what makes two references to a parent equal, with the defaults of the Gateway API."""
    return (
        text_at(reference, "group") or GATEWAY_GROUP,
        text_at(reference, "kind") or "Gateway",
        text_at(reference, "namespace") or namespace,
        text_at(reference, "name"),
        text_at(reference, "sectionName"),
        dig(reference, "port"),
    )


def _named(parent: JsonObject, namespace: str) -> str:
    listener = text_at(parent, "sectionName") or str(dig(parent, "port") or "")
    of = f"listener {listener} of " if listener else ""
    return f"{of}Gateway {text_at(parent, 'namespace') or namespace}/{text_at(parent, 'name')}"


def _title(live: JsonObject) -> str:
    return f"{text_at(live, 'kind')} {text_at(live, 'metadata', 'name')}"
