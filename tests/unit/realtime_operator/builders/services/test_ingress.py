"""Tests of the Ingress, and of the annotations by controller."""

from __future__ import annotations

from typing import get_args

import pytest

from realtime_operator import naming
from realtime_operator.api.base import JsonObject
from realtime_operator.api.v1alpha1_endpoint import Controller
from realtime_operator.builders.services.client_service import build_client_service
from realtime_operator.builders.services.ingress import CONTROLLERS, build_ingress
from tests.kit.document import dig, object_at, objects_at
from tests.kit.manifests import cluster_of

PREFIXES = {
    "IngressNginx": "nginx.ingress.kubernetes.io/",
    "NginxInc": "nginx.org/",
    "HAProxy": "haproxy.org/",
    "HAProxyIngress": "haproxy-ingress.github.io/",
    "Traefik": "traefik.ingress.kubernetes.io/",
    "Contour": "projectcontour.io/",
}
"""Prefix of the annotations of each controller."""
CERTIFICATE: JsonObject = {"secretRef": {"name": "own"}}


def ingress_of(ingress: JsonObject, **endpoint: JsonObject) -> JsonObject:
    """Build the Ingress of a cluster with this one in its spec."""
    built = build_ingress(cluster_of({"endpoint": {"ingress": ingress, **endpoint}}))
    assert built is not None
    return built


def annotations_of(manifest: JsonObject) -> JsonObject:
    """Return the annotations without the operator's hash."""
    found = object_at(manifest, "metadata", "annotations")
    return {key: value for key, value in found.items() if key != naming.ANNOTATION_APPLIED}


def test_there_is_none_unless_it_is_wanted() -> None:
    assert build_ingress(cluster_of()) is None


def test_every_controller_of_the_spec_is_known() -> None:
    assert set(CONTROLLERS) == set(get_args(Controller))


@pytest.mark.parametrize("controller", get_args(Controller))
def test_a_controller_gets_its_own_annotations_alone(controller: str) -> None:
    """They have its prefix, and the same values as among those for all controllers."""
    found = annotations_of(ingress_of({"controller": controller, "tls": {}}))
    everybodys = annotations_of(ingress_of({"tls": {}}))
    assert all(key.startswith(PREFIXES[controller]) for key in found)
    assert found
    assert found.items() <= everybodys.items()


@pytest.mark.parametrize("controller", ["IngressNginx", "NginxInc", "HAProxy", "HAProxyIngress"])
def test_connections_outlive_the_pings(controller: str) -> None:
    """The timeouts between data are longer than every heartbeat that makes sense; no controller keeps clients apart."""
    found = annotations_of(ingress_of({"controller": controller}))
    timeouts = [str(value).removesuffix("s") for key, value in found.items() if "timeout" in key]
    assert [int(value) for value in timeouts] == [3600, 3600]
    assert not any("affinity" in key or "sticky" in key or "cookie" in key for key in found)


def test_contour_neither_ends_responses_nor_refuses_upgrades() -> None:
    found = annotations_of(ingress_of({"controller": "Contour", "paths": ["/connection", "/emulation"]}))
    assert found == {
        "projectcontour.io/response-timeout": "infinity",
        "projectcontour.io/websocket-routes": "/connection,/emulation",
    }


def test_traefik_is_told_that_it_ends_tls() -> None:
    """Without TLS its router is for plain HTTP."""
    assert annotations_of(ingress_of({"controller": "Traefik"})) == {}
    found = annotations_of(ingress_of({"controller": "Traefik", "tls": CERTIFICATE}))
    assert found == {"traefik.ingress.kubernetes.io/router.tls": "true"}


def test_annotations_of_the_spec_win() -> None:
    key = "nginx.ingress.kubernetes.io/proxy-read-timeout"
    found = annotations_of(ingress_of({"annotations": {key: "7", "a/b": "c"}}))
    assert (found[key], found["a/b"]) == ("7", "c")


def test_controllers_speak_tls_to_servers_with_certificates() -> None:
    """Some are told at the Ingress, others at the Service."""
    plain, encrypted = annotations_of(ingress_of({})), annotations_of(ingress_of({}, tls=CERTIFICATE))
    assert {key: value for key, value in encrypted.items() if key not in plain} == {
        "nginx.ingress.kubernetes.io/backend-protocol": "HTTPS",
        "nginx.org/ssl-services": "chat",
        "haproxy.org/server-ssl": "true",
        "haproxy-ingress.github.io/backend-protocol": "h1-ssl",
    }
    service = build_client_service(cluster_of({"endpoint": {"ingress": {}, "tls": CERTIFICATE}}))
    assert annotations_of(service) == {
        "traefik.ingress.kubernetes.io/service.serversscheme": "https",
        "projectcontour.io/upstream-protocol.tls": "8000",
    }
    others: list[JsonObject] = [
        {"ingress": {}}, {"tls": CERTIFICATE}, {"ingress": {"controller": "HAProxy"}, "tls": CERTIFICATE},
    ]  # fmt: skip
    for endpoint in others:
        assert annotations_of(build_client_service(cluster_of({"endpoint": endpoint}))) == {}


def test_every_host_has_every_path() -> None:
    spec = object_at(ingress_of({"hosts": ["a.example", "b.example"], "paths": ["/connection", "/y"]}), "spec")
    rules = objects_at(spec, "rules")
    assert [rule["host"] for rule in rules] == ["a.example", "b.example"]
    for rule in rules:
        assert [path["path"] for path in objects_at(rule, "http", "paths")] == ["/connection", "/y"]
    (bare,) = objects_at(ingress_of({}), "spec", "rules")
    assert "host" not in bare
    assert dig(bare, "http", "paths", 0, "path") == "/"


def test_tls_names_a_secret_or_takes_the_controllers_own() -> None:
    hosts: JsonObject = {"hosts": ["a.example"]}
    named = ingress_of({**hosts, "tls": CERTIFICATE})
    assert dig(named, "spec", "tls") == [{"hosts": ["a.example"], "secretName": "own"}]
    assert dig(ingress_of({**hosts, "tls": {}}), "spec", "tls") == [{"hosts": ["a.example"]}]
    assert dig(ingress_of(hosts), "spec", "tls") is None
