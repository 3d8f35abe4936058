"""Tests of what controllers say about the ways from clients to the Service."""

from __future__ import annotations

import pytest

from realtime_operator.api.base import JsonObject, JsonValue
from realtime_operator.builders.services.route import API_VERSION
from realtime_operator.planning.endpoint.exposure import Exposure, observe_exposure
from realtime_operator.planning.model.reasons import Reason
from realtime_operator.planning.model.world import Endpoints, World, object_key
from tests.kit.manifests import cluster_of, render

GATEWAY: JsonObject = {
    "parentRefs": [{"name": "public", "namespace": "edge", "sectionName": "https"}],
    "hostnames": ["chat.example.com"],
}
PARENT: JsonObject = {
    "group": "gateway.networking.k8s.io", "kind": "Gateway", "namespace": "edge", "name": "public",
    "sectionName": "https",
}  # fmt: skip
GENERATION = 3


def condition(kind: str, status: str, reason: str, message: str = "", generation: int = GENERATION) -> JsonObject:
    """Return a condition of a route."""
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "observedGeneration": generation,
    }


ACCEPTED = condition("Accepted", "True", "Accepted")
RESOLVED = condition("ResolvedRefs", "True", "ResolvedRefs")


def answer(*conditions: JsonObject, **parent: JsonValue) -> JsonObject:
    """Return the answer of a controller about one parent."""
    return {"controllerName": "example.com/any", "parentRef": {**PARENT, **parent}, "conditions": [*conditions]}


def exposure(endpoint: JsonObject, *answers: JsonObject, address: JsonObject | None = None) -> Exposure:
    """Judge a cluster whose objects exist, whose route got `answers`, and whose others got `address`."""
    cluster = cluster_of({"endpoint": endpoint})
    balanced: list[JsonValue] = [] if address is None else [address]
    objects: list[JsonObject] = []
    for manifest in render(cluster):
        metadata = manifest["metadata"]
        assert isinstance(metadata, dict)
        status: JsonObject = {"loadBalancer": {"ingress": balanced}}
        if str(manifest["kind"]).endswith("Route"):
            status = {"parents": [*answers]}
        objects.append({**manifest, "metadata": {**metadata, "generation": GENERATION}, "status": status})
    return observe_exposure(cluster, World({object_key(each): each for each in objects}, ()))


def test_a_service_alone_is_available() -> None:
    """Nothing is in front of it that could refuse it."""
    assert exposure({}) == Exposure(True, Reason.ENDPOINT_AVAILABLE, "clients connect to the Service chat")


def test_a_platform_with_addresses_of_its_own_needs_nobody() -> None:
    """No controller is there to answer."""
    cluster = cluster_of({"endpoint": {"ingress": {}, "gateway": GATEWAY}})
    found = observe_exposure(cluster, World({}, (), endpoints=Endpoints("ws://127.0.0.1:8000", "")))
    assert found == Exposure(True, Reason.ENDPOINT_AVAILABLE, "clients connect to ws://127.0.0.1:8000")


@pytest.mark.parametrize("tls", [{}, {"tls": {"secretRef": {"name": "own"}}}], ids=["HTTPRoute", "TLSRoute"])
def test_an_accepted_route(tls: JsonObject) -> None:
    """The message names listener, Gateway and route."""
    found = exposure({"gateway": GATEWAY, **tls}, answer(ACCEPTED, RESOLVED))
    kind = "TLSRoute" if tls else "HTTPRoute"
    said = f"listener https of Gateway edge/public has accepted {kind} chat"
    assert found == Exposure(True, Reason.ENDPOINT_AVAILABLE, said)


def test_a_refusal_is_told_in_the_words_of_the_controller() -> None:
    """The condition Accepted is False."""
    refused = condition("Accepted", "False", "NotAllowedByListeners", "no listener takes routes of namespace realtime")
    found = exposure({"gateway": GATEWAY}, answer(refused, RESOLVED))
    assert found == Exposure(
        False,
        Reason.ROUTE_NOT_ACCEPTED,
        "listener https of Gateway edge/public does not accept HTTPRoute chat: NotAllowedByListeners:"
        " no listener takes routes of namespace realtime",
    )


def test_references_that_are_not_resolved() -> None:
    """The route is accepted, but leads nowhere. A message may be empty."""
    found = exposure({"gateway": GATEWAY}, answer(ACCEPTED, condition("ResolvedRefs", "False", "BackendNotFound")))
    assert (found.ready, found.reason) == (False, Reason.ROUTE_NOT_RESOLVED)
    assert found.message.endswith("does not resolve the references of HTTPRoute chat: BackendNotFound")


@pytest.mark.parametrize(
    "answers",
    [
        (),
        (answer(condition("Accepted", "Unknown", "Pending")),),
        (answer(condition("Accepted", "True", "Accepted", generation=GENERATION - 1)),),
        (answer(condition("Accepted", "False", "NoMatchingParent", generation=GENERATION - 1)),),
        (answer(ACCEPTED, namespace="other"),),
        (answer(ACCEPTED, sectionName="http"),),
        (answer(ACCEPTED, kind="Service", group=""),),
    ],
    ids=["no answer", "undecided", "accepted before", "refused before", "of another", "other listener", "other kind"],
)
def test_no_answer_to_this_route_is_unknown(answers: tuple[JsonObject, ...]) -> None:
    """An answer counts for the parent that it names, and for the generation that it was given to."""
    found = exposure({"gateway": GATEWAY}, *answers)
    assert (found.ready, found.reason) == (None, Reason.ROUTE_PENDING)
    assert "Gateway edge/public" in found.message


def test_controllers_that_write_no_generation_count() -> None:
    """The generation is optional in a condition."""
    bare: JsonObject = {"type": "Accepted", "status": "True", "reason": "Accepted", "message": ""}
    assert exposure({"gateway": GATEWAY}, answer(bare)).ready is True


def test_the_answer_of_a_former_controller_does_not_hide_acceptance() -> None:
    """Who was replaced may have left its answer for the same Gateway."""
    left = answer(condition("Accepted", "False", "NoMatchingParent"))
    assert exposure({"gateway": GATEWAY}, left, answer(ACCEPTED, RESOLVED)).ready is True


def test_every_parent_must_accept() -> None:
    """The worst answer counts; a parent without a namespace is in that of the cluster."""
    parents: list[JsonValue] = [{"name": "public"}, {"name": "inside", "port": 8443}]
    own: JsonObject = {"parentRef": {"name": "public", "namespace": "realtime"}, "conditions": [ACCEPTED, RESOLVED]}
    found = exposure({"gateway": {"parentRefs": parents}}, own)
    assert (found.ready, found.reason) == (None, Reason.ROUTE_PENDING)
    assert found.message.startswith("listener 8443 of Gateway realtime/inside has not answered to HTTPRoute chat")


@pytest.mark.parametrize(
    ("endpoint", "kind"),
    [({"ingress": {}}, "Ingress"), ({"service": {"type": "LoadBalancer"}}, "Service")],
    ids=["Ingress", "LoadBalancer"],
)
def test_ingress_and_load_balancer_wait_for_an_address(endpoint: JsonObject, kind: str) -> None:
    """Without one it is not known whether a controller is there at all."""
    waiting = exposure(endpoint)
    assert (waiting.ready, waiting.reason) == (None, Reason.ADDRESS_PENDING)
    assert waiting.message.startswith(f"{kind} chat has no address yet")
    found = exposure(endpoint, address={"ip": "192.0.2.1"})
    assert found == Exposure(True, Reason.ENDPOINT_AVAILABLE, f"{kind} chat has the address 192.0.2.1")


def test_the_worst_way_decides() -> None:
    """A refused route counts more than an Ingress that waits."""
    refused = answer(condition("Accepted", "False", "NoMatchingListenerHostname"))
    found = exposure({"ingress": {}, "gateway": GATEWAY}, refused)
    assert (found.ready, found.reason) == (False, Reason.ROUTE_NOT_ACCEPTED)
    assert "no address" not in found.message


def test_a_route_of_a_kind_that_is_not_served() -> None:
    """The message is that of Degraded: what to install, or which rights to give."""
    cluster, kind = cluster_of({"endpoint": {"gateway": GATEWAY}}), (API_VERSION, "HTTPRoute")
    unserved = observe_exposure(cluster, World({}, (), unserved=frozenset({kind})))
    assert (unserved.ready, unserved.reason) == (False, Reason.KIND_NOT_SERVED)
    assert "install the CRD httproutes.gateway.networking.k8s.io" in unserved.message
    world = World({}, (), unserved=frozenset({kind}), withheld={kind: "watch in all namespaces"})
    assert "no right to watch in all namespaces" in observe_exposure(cluster, world).message
