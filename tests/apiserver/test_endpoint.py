"""Tests of the objects of an endpoint with a real API server, and with the CRDs of the Gateway API itself."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from realtime_operator import naming
from realtime_operator.api.base import JsonObject, JsonValue
from realtime_operator.builders.optional_kinds import OPTIONAL_KINDS
from realtime_operator.platforms.kubernetes.client import path_of
from tests.apiserver.test_operator import create
from tests.kit.apiserver import OPERATOR_USER, ApiServer, RefusedError
from tests.kit.audit import AuditLog
from tests.kit.custom_kinds import CRDS, gateway_crds, open_crd
from tests.kit.deadline import eventually
from tests.kit.document import dig, object_at, objects_at, parse, text_at, whole_at
from tests.kit.operator_process import OperatorProcess

MANIFESTS = Path(__file__).parents[1] / "golden" / "manifests"
GATEWAY_API = "gateway.networking.k8s.io/v1"
MADE_SECONDS = 40
SECRET_KEYS = ("tls.crt", "tls.key", "ca.crt", "hook-secret")


@pytest.fixture
def definitions(api_server: ApiServer) -> Iterator[None]:
    """The CRDs of the Gateway API, and one of Certificates; they are removed after the test."""
    (certificate,) = (kind for kind in OPTIONAL_KINDS if kind.kind == "Certificate")
    made = [*gateway_crds(), open_crd(certificate)]
    for definition in made:
        api_server.call("POST", CRDS, definition)
    yield
    for definition in made:
        api_server.call("DELETE", f"{CRDS}/{text_at(definition, 'metadata', 'name')}")


def golden(name: str) -> JsonObject:
    """Return the spec of a golden input, without servers."""
    document = parse(json.dumps(yaml.safe_load((MANIFESTS / f"{name}.yaml").read_text())))
    return {**object_at(document, "spec"), "replicas": 0}


def put_secrets(server: ApiServer, namespace: str) -> None:
    """Create the Secrets that the golden inputs refer to."""
    data: JsonObject = dict.fromkeys(SECRET_KEYS, "value")
    for name in ("chat-tls", "backends", "backend"):
        server.call("POST", path_of("v1", "Secret", namespace), {"metadata": {"name": name}, "stringData": data})


class Objects:
    """Reader of a namespace's objects."""

    def __init__(self, server: ApiServer, namespace: str) -> None:
        self._server = server
        self._namespace = namespace

    def get(self, version: str, kind: str, name: str = "chat") -> JsonObject | None:
        """Return an object, None when it does not exist."""
        try:
            return self._server.call("GET", path_of(version, kind, self._namespace, name))
        except RefusedError as error:
            if error.status != 404:
                raise
            return None

    async def made(self, version: str, kind: str, name: str = "chat") -> JsonObject:
        """Wait for an object."""

        async def now() -> JsonObject | None:
            return self.get(version, kind, name)

        found = await eventually(now, bool, what=f"{kind} {name}", within=MADE_SECONDS)
        assert found is not None
        return found

    async def gone(self, version: str, kind: str, name: str = "chat") -> None:
        """Wait until an object does not exist."""

        async def now() -> JsonObject | None:
            return self.get(version, kind, name)

        await eventually(now, lambda found: found is None, what=f"no {kind} {name}", within=MADE_SECONDS)

    def cluster(self) -> JsonObject:
        """Return the cluster."""
        found = self.get(naming.API_VERSION, naming.KIND)
        assert found is not None
        return found

    async def observed(self) -> None:
        """Wait until the operator has done what the spec says now."""

        async def now() -> bool:
            cluster = self.cluster()
            return dig(cluster, "status", "observedGeneration") == dig(cluster, "metadata", "generation")

        await eventually(now, bool, what="the spec is observed", within=MADE_SECONDS)

    async def condition(self, kind: str, reason: str) -> JsonObject:
        """Wait until a condition of the cluster has a reason."""

        async def now() -> JsonObject:
            found = objects_at(self.cluster(), "status", "conditions")
            return next((condition for condition in found if condition["type"] == kind), {})

        what = f"{kind} {reason}"
        return await eventually(now, lambda found: found.get("reason") == reason, what=what, within=MADE_SECONDS)

    async def settled(self, *keys: tuple[str, str]) -> None:
        """Check that the operator is done with these objects: none changes any more, and nothing is wrong."""

        async def degraded() -> str:
            (condition,) = [c for c in objects_at(self.cluster(), "status", "conditions") if c["type"] == "Degraded"]
            return text_at(condition, "message") if condition["status"] == "True" else ""

        await eventually(degraded, lambda message: not message, what="nothing wrong", within=MADE_SECONDS)
        before = [dig(self.get(*key), "metadata", "resourceVersion") for key in keys]
        await asyncio.sleep(3)
        assert [dig(self.get(*key), "metadata", "resourceVersion") for key in keys] == before


@pytest.mark.usefixtures("definitions")
async def test_every_object_of_an_endpoint_is_accepted_and_left_alone(api_server: ApiServer, namespace: str) -> None:
    """Defaults that the API server adds are no differences. What the spec no longer wants is removed."""
    put_secrets(api_server, namespace)
    objects = Objects(api_server, namespace)
    cluster_path = path_of(naming.API_VERSION, naming.KIND, namespace, "chat")
    async with OperatorProcess(api_server, namespace, watch_namespaces=namespace, resync_seconds=1) as operator:
        await operator.wait_ready()
        create(api_server, namespace, "chat", **golden("gateway"))
        route = await objects.made(GATEWAY_API, "HTTPRoute")
        certificate = await objects.made("cert-manager.io/v1", "Certificate", "chat-api-tls")
        assert dig(certificate, "spec", "secretName") == "chat-api"
        assert dig(route, "spec", "hostnames") == ["chat.example.com"]
        service = await objects.made("v1", "Service")
        assert dig(service, "spec", "ipFamilies") == ["IPv6", "IPv4"]
        assert ":" in str(dig(service, "spec", "clusterIP"))
        await objects.settled((GATEWAY_API, "HTTPRoute"), ("v1", "Service"))
        assert dig(objects.cluster(), "status", "endpoints", "client") == "wss://chat.example.com/connection/websocket"

        api_server.call("PATCH", cluster_path, {"spec": {**golden("server_tls"), "api": None}})
        await objects.made(GATEWAY_API, "TLSRoute")
        await objects.gone(GATEWAY_API, "HTTPRoute")
        await objects.gone("cert-manager.io/v1", "Certificate", "chat-api-tls")
        await objects.made("networking.k8s.io/v1", "Ingress")
        service = await objects.made("v1", "Service")
        assert dig(service, "spec", "loadBalancerClass") == "service.k8s.aws/nlb"
        assert dig(service, "spec", "ports", 0, "nodePort") == 30443
        await objects.settled((GATEWAY_API, "TLSRoute"), ("v1", "Service"), ("networking.k8s.io/v1", "Ingress"))

        bare: JsonObject = {"gateway": None, "ingress": None, "tls": None, "proxies": None, "service": None}
        api_server.call("PATCH", cluster_path, {"spec": {"endpoint": bare}})
        await objects.gone(GATEWAY_API, "TLSRoute")
        await objects.gone("networking.k8s.io/v1", "Ingress")
        await objects.settled(("v1", "Service"))
        service = await objects.made("v1", "Service")
        assert (dig(service, "spec", "type"), dig(service, "spec", "loadBalancerClass")) == ("ClusterIP", None)
        assert "Traceback" not in operator.log()


async def test_a_route_waits_for_its_crd_and_nothing_else_does(api_server: ApiServer, namespace: str) -> None:
    """The cluster says which field needs which CRD; once it is there, the route is made without a restart."""
    objects = Objects(api_server, namespace)

    async def degraded() -> JsonObject:
        found = objects_at(objects.cluster(), "status", "conditions")
        return next((condition for condition in found if condition["type"] == "Degraded"), {})

    async with OperatorProcess(api_server, namespace, watch_namespaces=namespace, resync_seconds=60) as operator:
        await operator.wait_ready()
        spec = golden("gateway")
        create(api_server, namespace, "chat", **{**spec, "api": {}})
        await objects.made("v1", "Service")
        told = await eventually(
            degraded, lambda found: found.get("reason") == "KindNotServed", what="KindNotServed", within=MADE_SECONDS
        )
        assert "spec.endpoint.gateway needs a HTTPRoute" in text_at(told, "message")
        await operator.wait_ready()
        definitions = gateway_crds()
        try:
            for definition in definitions:
                api_server.call("POST", CRDS, definition)
            await objects.made(GATEWAY_API, "HTTPRoute")
            await eventually(
                degraded, lambda found: found["status"] == "False", what="nothing is wrong", within=MADE_SECONDS
            )
        finally:
            for definition in definitions:
                api_server.call("DELETE", f"{CRDS}/{text_at(definition, 'metadata', 'name')}")
        assert "Traceback" not in operator.log()


FAMILIES: tuple[tuple[JsonObject, str, list[str]], ...] = (
    ({}, "SingleStack", ["IPv4"]),
    ({"ipFamilyPolicy": "PreferDualStack"}, "PreferDualStack", ["IPv4", "IPv6"]),
    ({"ipFamilyPolicy": "SingleStack"}, "SingleStack", ["IPv4"]),
    ({"ipFamilies": ["IPv4", "IPv6"]}, "RequireDualStack", ["IPv4", "IPv6"]),
    ({"ipFamilyPolicy": "SingleStack", "ipFamilies": ["IPv4"]}, "SingleStack", ["IPv4"]),
    ({"ipFamilyPolicy": "RequireDualStack"}, "RequireDualStack", ["IPv4", "IPv6"]),
    ({}, "RequireDualStack", ["IPv4", "IPv6"]),
)
"""Settings of the Service one after another, and what Kubernetes makes of each: policy and families."""


async def test_a_service_gets_and_loses_its_second_address(api_server: ApiServer, namespace: str) -> None:
    """On a Kubernetes with both families. The first address stays all the time."""
    objects = Objects(api_server, namespace)

    async with OperatorProcess(api_server, namespace, watch_namespaces=namespace, resync_seconds=1) as operator:
        await operator.wait_ready()
        create(api_server, namespace, "chat", replicas=0)
        first = dig(await objects.made("v1", "Service"), "spec", "clusterIP")
        for settings, policy, families in FAMILIES:
            change_service(api_server, namespace, settings)
            await objects.observed()
            await wait_for_families(objects, policy, families)
            addresses = texts(objects.get("v1", "Service"), "clusterIPs")
            assert addresses[0] == first
            assert [":" in address for address in addresses] == [family == "IPv6" for family in families]
        await objects.settled(("v1", "Service"))


async def test_the_first_family_of_a_service_is_changed_by_deleting_it(api_server: ApiServer, namespace: str) -> None:
    """The API server is not asked again and again for what it never grants; the new Service has IPv6 alone."""
    objects = Objects(api_server, namespace)

    async def rejection() -> str:
        found = objects_at(objects.cluster(), "status", "conditions")
        return next(
            (text_at(one, "message") for one in found if (one["type"], one["status"]) == ("Accepted", "False")), ""
        )

    async with OperatorProcess(api_server, namespace, watch_namespaces=namespace, resync_seconds=1) as operator:
        await operator.wait_ready()
        create(api_server, namespace, "chat", replicas=0)
        await objects.made("v1", "Service")
        change_service(api_server, namespace, {"ipFamilyPolicy": "SingleStack", "ipFamilies": ["IPv6"]})
        message = await eventually(rejection, bool, what="the spec is rejected", within=MADE_SECONDS)
        assert "the first family of Service chat is IPv4 and cannot be changed" in message
        await asyncio.sleep(3)
        assert "refused" not in operator.log()
        api_server.call("DELETE", path_of("v1", "Service", namespace, "chat"))
        service = await objects.made("v1", "Service")
        assert (dig(service, "spec", "ipFamilies"), ":" in text_at(service, "spec", "clusterIP")) == (["IPv6"], True)
        await eventually(rejection, lambda text: not text, what="the spec is accepted", within=MADE_SECONDS)
        await objects.settled(("v1", "Service"))


def texts(service: JsonObject | None, field: str) -> list[str]:
    """Return a list in the spec of a Service."""
    found = dig(service, "spec", field)
    return [str(item) for item in found] if isinstance(found, list) else []


async def wait_for_families(objects: Objects, policy: str, families: list[str]) -> None:
    """Wait until the Service has a policy and families."""

    async def now() -> tuple[str, list[str]]:
        service = objects.get("v1", "Service")
        return text_at(service, "spec", "ipFamilyPolicy"), texts(service, "ipFamilies")

    await eventually(now, lambda found: found == (policy, families), what=f"{policy} {families}", within=MADE_SECONDS)


def change_service(server: ApiServer, namespace: str, service: JsonObject) -> None:
    """Replace the settings of the Service."""
    path = path_of(naming.API_VERSION, naming.KIND, namespace, "chat")
    replaced: JsonObject = dict.fromkeys(("ipFamilyPolicy", "ipFamilies"))
    server.call("PATCH", path, {"spec": {"endpoint": {"service": {**replaced, **service}}}})


def answer_of_gateway(generation: int, *conditions: tuple[str, str, str, str]) -> JsonObject:
    """Return the status of a route as a controller writes it: type, status, reason and message of its conditions."""
    stated: list[JsonValue] = [
        {
            "type": kind, "status": status, "reason": reason, "message": message,
            "lastTransitionTime": "2026-11-28T12:00:00Z", "observedGeneration": generation,
        }
        for kind, status, reason, message in conditions
    ]  # fmt: skip
    parent: JsonObject = {"name": "public", "namespace": "edge", "sectionName": "https"}
    return {"parents": [{"controllerName": "example.com/any", "parentRef": parent, "conditions": stated}]}


@pytest.mark.usefixtures("definitions")
async def test_the_cluster_says_what_the_gateway_says(api_server: ApiServer, namespace: str) -> None:
    """EndpointReady follows the status of the route, which the operator sees in its watch and never asks for."""
    put_secrets(api_server, namespace)
    objects = Objects(api_server, namespace)
    audit = AuditLog(api_server.audit_log)
    audit.skip()
    async with OperatorProcess(api_server, namespace, watch_namespaces=namespace, resync_seconds=60) as operator:
        await operator.wait_ready()
        create(api_server, namespace, "chat", **golden("gateway"))
        route = await objects.made(GATEWAY_API, "HTTPRoute")
        assert (await objects.condition("EndpointReady", "RoutePending"))["status"] == "Unknown"
        path = f"{path_of(GATEWAY_API, 'HTTPRoute', namespace, 'chat')}/status"
        generation = whole_at(route, "metadata", "generation")

        def write(*conditions: tuple[str, str, str, str]) -> None:
            api_server.call("PATCH", path, {"status": answer_of_gateway(generation, *conditions)})

        write(("Accepted", "False", "NotAllowedByListeners", "no listener allows the namespace"))
        refused = await objects.condition("EndpointReady", "RouteNotAccepted")
        assert refused["status"] == "False"
        assert "Gateway edge/public" in text_at(refused, "message")
        assert "NotAllowedByListeners: no listener allows the namespace" in text_at(refused, "message")
        await objects.condition("Degraded", "RouteNotAccepted")
        write(("Accepted", "True", "Accepted", ""), ("ResolvedRefs", "False", "BackendNotFound", "no Service"))
        await objects.condition("EndpointReady", "RouteNotResolved")
        write(("Accepted", "True", "Accepted", ""), ("ResolvedRefs", "True", "ResolvedRefs", ""))
        assert (await objects.condition("EndpointReady", "EndpointAvailable"))["status"] == "True"
        await objects.condition("Degraded", "AsExpected")
        asked = [call for call in audit.calls_of(OPERATOR_USER) if call.resource == "httproutes" and call.namespace]
        assert {call.verb for call in asked} <= {"list", "watch", "patch", "create"}
        assert "Traceback" not in operator.log()
