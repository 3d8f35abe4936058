"""Tests of the Certificates of cert-manager, and of the names in them."""

from __future__ import annotations

from realtime_operator.api.base import JsonObject
from realtime_operator.builders.services.certificates import build_certificates
from tests.kit.document import object_at, text_at
from tests.kit.manifests import cluster_of

ISSUED: JsonObject = {"secretRef": {"name": "own"}, "certificate": {"issuerRef": {"name": "private"}}}
GATEWAY: JsonObject = {"parentRefs": [{"name": "public"}], "hostnames": ["b.example", "a.example"]}


def specs_of(spec: JsonObject) -> dict[str, JsonObject]:
    """Return the specs of a cluster's Certificates by name."""
    built = build_certificates(cluster_of(spec))
    return {text_at(certificate, "metadata", "name"): object_at(certificate, "spec") for certificate in built}


def test_a_secret_without_an_issuer_has_none() -> None:
    given: JsonObject = {"secretRef": {"name": "own"}}
    assert specs_of({"endpoint": {"tls": given, "ingress": {"tls": given}}, "api": {"tls": given}}) == {}


def test_names_are_those_by_which_clients_connect() -> None:
    """Host names of Ingress and Gateway, each once; of the API those of its Service."""
    endpoint: JsonObject = {"tls": ISSUED, "ingress": {"hosts": ["a.example"], "tls": ISSUED}, "gateway": GATEWAY}
    found = specs_of({"endpoint": endpoint, "api": {"tls": ISSUED}})
    assert {name: spec["dnsNames"] for name, spec in found.items()} == {
        "chat-tls": ["a.example", "b.example"],
        "chat-ingress-tls": ["a.example"],
        "chat-api-tls": ["chat-api", "chat-api.realtime", "chat-api.realtime.svc"],
    }


def test_redis_has_the_names_that_servers_and_sentinels_use() -> None:
    """Those of the spec are added, and none of them is left out: nobody would reach Redis."""
    names = ["chat-redis", "chat-redis.realtime", "chat-redis.realtime.svc"]
    names += [f"chat-redis-{number}.chat-redis-nodes.realtime.svc" for number in range(3)]
    for extra in ([], ["redis.example"]):
        certificate: JsonObject = {"issuerRef": {"name": "private"}, **({"dnsNames": [*extra]} if extra else {})}
        tls: JsonObject = {**ISSUED, "certificate": certificate}
        found = specs_of({"backplane": {"redis": {"managed": {"tls": tls}}}})
        assert {name: spec["dnsNames"] for name, spec in found.items()} == {"chat-redis-tls": [*names, *extra]}
    assert specs_of({"backplane": {"redis": {"managed": {"tls": {}}}}}) == {}


def test_what_the_spec_says_is_passed_on() -> None:
    certificate: JsonObject = {
        "issuerRef": {"name": "acme", "kind": "ClusterIssuer", "group": "example.com"},
        "dnsNames": ["c.example"], "duration": "720h", "renewBefore": "240h",
    }  # fmt: skip
    (spec,) = specs_of({"endpoint": {"tls": {**ISSUED, "certificate": certificate}}}).values()
    assert spec == {**certificate, "secretName": "own", "usages": ["server auth"]}
