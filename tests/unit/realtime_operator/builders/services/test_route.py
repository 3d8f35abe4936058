"""Tests of the route of the Gateway API."""

from __future__ import annotations

from realtime_operator.api.base import JsonObject
from realtime_operator.builders.services.client_service import WEBSOCKET, build_client_service
from realtime_operator.builders.services.route import build_route
from tests.kit.document import dig
from tests.kit.manifests import cluster_of

GATEWAY: JsonObject = {"parentRefs": [{"name": "public", "sectionName": "web"}], "hostnames": ["chat.example.com"]}
TLS: JsonObject = {"secretRef": {"name": "own"}}


def route_of(**endpoint: JsonObject) -> JsonObject:
    """Build the route of a cluster with this endpoint."""
    built = build_route(cluster_of({"endpoint": {"gateway": GATEWAY, **endpoint}}))
    assert built is not None
    return built


def test_there_is_none_unless_it_is_wanted() -> None:
    assert build_route(cluster_of()) is None


def test_an_http_route_has_no_timeout() -> None:
    """Gateways end a request after some seconds otherwise, and so a WebSocket."""
    route = route_of(service={"port": 80})
    assert route["kind"] == "HTTPRoute"
    assert dig(route, "spec") == {
        "parentRefs": [{"name": "public", "sectionName": "web"}],
        "hostnames": ["chat.example.com"],
        "rules": [
            {
                "backendRefs": [{"name": "chat", "port": 80}],
                "timeouts": {"request": "0s", "backendRequest": "0s"},
            }
        ],
    }


def test_tls_is_passed_on_to_servers_with_certificates() -> None:
    route = route_of(tls=TLS)
    assert (route["apiVersion"], route["kind"]) == ("gateway.networking.k8s.io/v1", "TLSRoute")
    assert dig(route, "spec", "rules") == [{"backendRefs": [{"name": "chat", "port": 8000}]}]


def test_weights_lead_to_other_services() -> None:
    """A Service without weight is not named: it may have no endpoints."""
    cluster = cluster_of({"endpoint": {"gateway": GATEWAY}})
    for weights, wanted in (
        (
            {"old": 90, "new": 10},
            [{"name": "old", "port": 8000, "weight": 90}, {"name": "new", "port": 8000, "weight": 10}],
        ),
        ({"old": 100, "new": 0}, [{"name": "old", "port": 8000}]),
        ({"old": 0, "new": 100}, [{"name": "new", "port": 8000}]),
    ):
        assert dig(build_route(cluster, weights) or {}, "spec", "rules", 0, "backendRefs") == wanted


def test_the_service_says_that_it_speaks_websocket() -> None:
    """Only where a Gateway asks, and without TLS."""
    for endpoint, wanted in (
        ({"gateway": GATEWAY}, WEBSOCKET),
        ({"gateway": GATEWAY, "tls": TLS}, None),
        ({}, None),
    ):
        spec: JsonObject = {"endpoint": {**endpoint}}
        assert dig(build_client_service(cluster_of(spec)), "spec", "ports", 0, "appProtocol") == wanted
