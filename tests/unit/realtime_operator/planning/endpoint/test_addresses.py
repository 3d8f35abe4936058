"""Tests of the addresses in the status."""

from __future__ import annotations

import pytest

from realtime_operator.api.base import JsonObject, JsonValue
from realtime_operator.planning.endpoint.addresses import endpoints
from realtime_operator.planning.model.world import World, object_key
from tests.kit.document import object_at, text_at
from tests.kit.manifests import cluster_of, render, without_centrifuge

TLS: JsonObject = {"secretRef": {"name": "own"}}
GATEWAY: JsonObject = {"parentRefs": [{"name": "public"}], "hostnames": ["*.example.com", "gate.example.com"]}


def client_url(endpoint: JsonObject, *, without: str = "", balanced: tuple[str, JsonObject] | None = None) -> str:
    """Return the clients' URL of a cluster whose objects exist, `without` those of a kind.

    `balanced` is a kind with the address that a load balancer gave to it.
    """
    cluster = cluster_of({"endpoint": endpoint})
    objects: list[JsonObject] = []
    for manifest in render(cluster):
        ingress: list[JsonValue] = []
        if balanced is not None and manifest["kind"] == balanced[0]:
            ingress = [balanced[1]]
        if manifest["kind"] != without:
            objects.append({**manifest, "status": {"loadBalancer": {"ingress": ingress}}})
    found = endpoints(cluster, World({object_key(each): each for each in objects}, ()))
    return text_at(found, "client").removesuffix("/connection/websocket")


@pytest.mark.parametrize(
    ("endpoint", "url"),
    [
        ({}, "ws://chat.realtime.svc:8000"),
        ({"service": {"port": 80}}, "ws://chat.realtime.svc"),
        ({"service": {"port": 443}, "tls": TLS}, "wss://chat.realtime.svc"),
        ({"tls": TLS}, "wss://chat.realtime.svc:8000"),
        ({"ingress": {"hosts": ["*.example.com", "chat.example.com"]}}, "ws://chat.example.com"),
        ({"ingress": {"hosts": ["chat.example.com"], "tls": {}}}, "wss://chat.example.com"),
        ({"ingress": {"hosts": ["*.example.com"]}}, "ws://chat.realtime.svc:8000"),
        ({"gateway": GATEWAY}, "wss://gate.example.com"),
        ({"gateway": GATEWAY, "tls": TLS}, "wss://gate.example.com"),
        ({"gateway": GATEWAY, "ingress": {"hosts": ["chat.example.com"]}}, "ws://chat.example.com"),
    ],
    ids=str,
)
def test_clients_connect_where_the_spec_lets_them_in(endpoint: JsonObject, url: str) -> None:
    """Ingress before Gateway before Service; wildcards are no address, and usual ports are left out."""
    assert client_url(endpoint) == url


@pytest.mark.parametrize(
    ("address", "url"),
    [
        ({"hostname": "lb.example.com", "ip": ""}, "ws://lb.example.com:8000"),
        ({"ip": "192.0.2.1"}, "ws://192.0.2.1:8000"),
        ({"ip": "2001:db8::1"}, "ws://[2001:db8::1]:8000"),
    ],
    ids=str,
)
def test_a_load_balancer_has_an_address(address: JsonObject, url: str) -> None:
    assert client_url({"service": {"type": "LoadBalancer"}}, balanced=("Service", address)) == url


def test_an_ingress_without_hosts_has_that_of_its_controller() -> None:
    assert client_url({"ingress": {}}, balanced=("Ingress", {"ip": "192.0.2.7"})) == "ws://192.0.2.7"


def test_an_object_that_is_not_there_is_no_address() -> None:
    """An Ingress or a route that does not exist, or that belongs to others, leads nowhere."""
    ingress: JsonObject = {"ingress": {"hosts": ["a.example"]}}
    assert client_url(ingress, without="Ingress") == "ws://chat.realtime.svc:8000"
    assert client_url({"gateway": GATEWAY}, without="HTTPRoute") == "ws://chat.realtime.svc:8000"
    assert client_url({}, without="Service") == ""


def test_the_api_has_the_scheme_of_its_port() -> None:
    specs: list[tuple[JsonObject, str]] = [({}, "http"), ({"api": {"tls": TLS}}, "https")]
    for spec, scheme in specs:
        cluster = cluster_of(spec)
        found = endpoints(cluster, World({object_key(each): each for each in render(cluster)}, ()))
        assert object_at(found)["api"] == f"{scheme}://chat-api.realtime.svc:8001/api"


def test_the_path_is_that_of_a_protocol_that_is_on() -> None:
    """The address of a cluster for others has none: each of them has its own."""
    cluster = cluster_of({})
    world = World({object_key(each): each for each in render(cluster)}, ())
    assert text_at(endpoints(cluster, world), "client") == "ws://chat.realtime.svc:8000/connection/websocket"
    assert text_at(endpoints(without_centrifuge(cluster), world), "client") == "ws://chat.realtime.svc:8000"
