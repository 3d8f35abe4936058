"""Tests of the NetworkPolicies of servers and managed Redis: which connections they allow."""

from __future__ import annotations

import pytest

from realtime_operator import naming
from realtime_operator.api.base import JsonObject
from realtime_operator.builders.network_policy import build_egress_policy, build_ingress_policy
from realtime_operator.builders.redis.network_policy import build_redis_network_policy
from realtime_operator.builders.settings import BuildSettings
from tests.kit.document import dig, objects_at
from tests.kit.manifests import SETTINGS, cluster_of
from tests.kit.network_policies import Connection, Peer, allowed

RESTRICTED: JsonObject = {"networkPolicy": {"mode": "Restricted"}}
EXTERNAL: JsonObject = {"redis": {"external": {"url": {"secretKeyRef": {"name": "redis", "key": "url"}}}}}


def pod(component: str, *, cluster: str = "chat", namespace: str = "realtime") -> Peer:
    """Return a pod of a cluster."""
    return Peer(namespace, {naming.LABEL_CLUSTER: cluster, naming.LABEL_COMPONENT: component})


SERVER, REDIS = pod(naming.COMPONENT_SERVER), pod(naming.COMPONENT_REDIS)
OPERATOR = Peer("realtime-system", {naming.LABEL_OPERATOR: "true"})
NEIGHBOUR, STRANGER = Peer("realtime", {"app": "shop"}), Peer("other", {"app": "shop"})
INTERNET = Peer(address="203.0.113.7")
DNS = Peer("kube-system", {"k8s-app": "kube-dns"})


def is_allowed(source: Peer, target: Peer, port: int, protocol: str = "TCP", spec: JsonObject = RESTRICTED) -> bool:
    """Return True when the policies of a cluster allow a connection at both of its ends."""
    cluster = cluster_of(spec)
    built = (
        build_ingress_policy(cluster, SETTINGS),
        build_egress_policy(cluster),
        build_redis_network_policy(cluster),
    )
    return allowed([policy for policy in built if policy is not None], Connection(source, target, port, protocol))


NEEDED = (
    (INTERNET, SERVER, 8000, "TCP"),
    (STRANGER, SERVER, 8000, "TCP"),
    (NEIGHBOUR, SERVER, 8001, "TCP"),
    (OPERATOR, SERVER, 8002, "TCP"),
    (SERVER, REDIS, 6379, "TCP"),
    (SERVER, DNS, 53, "UDP"),
    (SERVER, DNS, 53, "TCP"),
)
"""Connections that a cluster makes or takes with the default fields."""

REFUSED = (
    (STRANGER, SERVER, 8001, "TCP"),
    (INTERNET, SERVER, 8001, "TCP"),
    (NEIGHBOUR, SERVER, 8002, "TCP"),
    (Peer("other", {naming.LABEL_OPERATOR: "true"}), SERVER, 8002, "TCP"),
    (Peer("realtime-system", {"app": "shop"}), SERVER, 8002, "TCP"),
    (NEIGHBOUR, SERVER, 22, "TCP"),
    (NEIGHBOUR, REDIS, 6379, "TCP"),
    (OPERATOR, REDIS, 6379, "TCP"),
    (pod(naming.COMPONENT_SERVER, cluster="other"), REDIS, 6379, "TCP"),
    (pod(naming.COMPONENT_SERVER, namespace="other"), REDIS, 6379, "TCP"),
    (SERVER, pod(naming.COMPONENT_REDIS_TRIAL), 22, "TCP"),
    (SERVER, INTERNET, 443, "TCP"),
    (SERVER, NEIGHBOUR, 8080, "TCP"),
    (SERVER, SERVER, 8002, "TCP"),
    (REDIS, INTERNET, 443, "TCP"),
    (REDIS, DNS, 53, "UDP"),
)


@pytest.mark.parametrize(("source", "target", "port", "protocol"), NEEDED)
def test_what_a_cluster_needs_is_allowed(source: Peer, target: Peer, port: int, protocol: str) -> None:
    assert is_allowed(source, target, port, protocol)


@pytest.mark.parametrize(("source", "target", "port", "protocol"), REFUSED)
def test_everything_else_is_refused(source: Peer, target: Peer, port: int, protocol: str) -> None:
    assert not is_allowed(source, target, port, protocol)


@pytest.mark.parametrize(("source", "target", "port", "protocol"), [*NEEDED, *REFUSED])
def test_without_the_mode_nothing_is_restricted(source: Peer, target: Peer, port: int, protocol: str) -> None:
    """There is no policy by default: an upgrade cuts nobody off."""
    assert is_allowed(source, target, port, protocol, spec={})


def test_listed_peers_replace_the_default_ones() -> None:
    """Peers of clients and backends are those of the spec alone; the operator always reaches the admin port."""
    other: JsonObject = {"namespaceSelector": {"matchLabels": {naming.LABEL_NAMESPACE_NAME: "other"}}}
    spec: JsonObject = {
        "networkPolicy": {"mode": "Restricted", "clientFrom": [other], "apiFrom": [other], "adminFrom": [other]}
    }
    for port in (8000, 8001, 8002):
        assert is_allowed(STRANGER, SERVER, port, spec=spec)
        assert not is_allowed(NEIGHBOUR, SERVER, port, spec=spec)
        assert not is_allowed(INTERNET, SERVER, port, spec=spec)
    assert is_allowed(OPERATOR, SERVER, 8002, spec=spec)


def test_egress_of_the_spec_is_added() -> None:
    """The servers reach the listed targets, and Redis and DNS still."""
    backend: JsonObject = {"to": [{"podSelector": {"matchLabels": {"app": "shop"}}}], "ports": [{"port": 8080}]}
    spec: JsonObject = {"networkPolicy": {"mode": "Restricted", "egress": [backend]}}
    assert is_allowed(SERVER, NEIGHBOUR, 8080, spec=spec)
    assert is_allowed(SERVER, REDIS, 6379, spec=spec)
    assert not is_allowed(SERVER, NEIGHBOUR, 8081, spec=spec)
    assert not is_allowed(SERVER, STRANGER, 8080, spec=spec)


def test_an_external_redis_has_no_policy() -> None:
    """The servers reach it by the spec's egress; those that are left of a managed one still reach its pods."""
    redis: JsonObject = {"to": [{"ipBlock": {"cidr": "192.0.2.0/24"}}], "ports": [{"port": 6380}]}
    spec: JsonObject = {"networkPolicy": {"mode": "Restricted", "egress": [redis]}, "backplane": EXTERNAL}
    assert build_redis_network_policy(cluster_of(spec)) is None
    assert is_allowed(SERVER, Peer(address="192.0.2.9"), 6380, spec=spec)
    assert not is_allowed(SERVER, Peer(address="192.0.3.9"), 6380, spec=spec)
    assert is_allowed(SERVER, REDIS, 6379, spec=spec)


def test_an_operator_in_no_pod_is_no_peer() -> None:
    """Then no pod may reach the admin port: an empty list of peers would mean all."""
    policy = build_ingress_policy(cluster_of(RESTRICTED), BuildSettings("server:1", "redis:1"))
    assert policy is not None
    assert not allowed([policy], Connection(OPERATOR, SERVER, 8002))
    rules = dig(policy, "spec", "ingress")
    assert isinstance(rules, list)
    assert len(rules) == 2


def test_redis_with_failover_is_reached_by_its_pods_and_at_its_sentinels() -> None:
    """Servers and the pods of Redis connect to both ports; a Redis alone has one, and connects to nothing."""
    spec: JsonObject = {
        "networkPolicy": {"mode": "Restricted"}, "backplane": {"redis": {"managed": {"mode": "Failover"}}},
    }  # fmt: skip
    policy = build_redis_network_policy(cluster_of(spec))
    assert policy is not None
    (ingress,) = objects_at(policy, "spec", "ingress")
    assert [port["port"] for port in objects_at(ingress, "ports")] == [6379, 26379]
    assert len(objects_at(ingress, "from")) == 2
    assert len(objects_at(policy, "spec", "egress")) == 2


def test_the_exporter_of_redis_is_read_by_those_who_read_the_metrics_of_servers() -> None:
    """Nobody else reaches it, and they reach nothing else of Redis."""
    prometheus: JsonObject = {"podSelector": {"matchLabels": {"app": "prometheus"}}}
    policy: JsonObject = {"mode": "Restricted", "adminFrom": [prometheus]}
    managed: JsonObject = {"managed": {"exporter": {}}}
    found = build_redis_network_policy(cluster_of({"networkPolicy": policy, "backplane": {"redis": managed}}))
    _, metrics = objects_at(found, "spec", "ingress")
    assert metrics == {"from": [prometheus], "ports": [{"port": 9121, "protocol": "TCP"}]}
    alone: JsonObject = {"networkPolicy": policy}
    unread: JsonObject = {"networkPolicy": {"mode": "Restricted"}, "backplane": {"redis": managed}}
    for spec in (alone, unread):
        assert len(objects_at(build_redis_network_policy(cluster_of(spec)), "spec", "ingress")) == 1
