"""The NetworkPolicies of the servers: who may connect to which of their ports, and where they may connect to."""

from __future__ import annotations

from collections.abc import Sequence

from realtime_operator import naming
from realtime_operator.api.base import JsonObject, JsonValue
from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.api.v1alpha1_network_policy import (
    LabelSelector,
    NetworkPolicyEgressRule,
    NetworkPolicyPeer,
    NetworkPolicyPort,
)
from realtime_operator.builders.manifest import component_selector, metadata, with_applied_hash
from realtime_operator.builders.settings import BuildSettings


def build_ingress_policy(cluster: RealtimeCluster, settings: BuildSettings) -> JsonObject | None:
    """Build the policy of connections to the servers; None when the spec wants no restriction.

    Kubelets reach the pods of their node by any policy, for probes and `kubectl port-forward`.
    """
    if cluster.spec.network_policy.mode == "None":
        return None
    name = naming.ingress_policy(cluster.metadata.name)
    return _policy(cluster, name, {"policyTypes": ["Ingress"], "ingress": _ingress(cluster, settings)})


def build_egress_policy(cluster: RealtimeCluster) -> JsonObject | None:
    """Build the policy of connections from the servers; None when the spec wants no restriction.

    It is an object of its own: kube-router, which K3s has, lets a rule for one direction count for the other one if
    both pods are selected by the same policy.
    """
    if cluster.spec.network_policy.mode == "None":
        return None
    name = naming.egress_policy(cluster.metadata.name)
    return _policy(cluster, name, {"policyTypes": ["Egress"], "egress": _egress(cluster)})


def _policy(cluster: RealtimeCluster, name: str, rules: JsonObject) -> JsonObject:
    return with_applied_hash(
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": metadata(cluster, name, naming.COMPONENT_SERVER),
            "spec": {
                "podSelector": {"matchLabels": component_selector(cluster, naming.COMPONENT_SERVER)},
                **rules,
            },
        }
    )


def _ingress(cluster: RealtimeCluster, settings: BuildSettings) -> list[JsonValue]:
    policy = cluster.spec.network_policy
    own_namespace: list[JsonValue] = [{"podSelector": {}}]
    admin = [*_operator(settings), *peers_of(policy.admin_from)]
    rules = [
        _rule("from", peers_of(policy.client_from), [tcp(naming.PORT_CLIENT)]),
        _rule("from", peers_of(policy.api_from) or own_namespace, [tcp(naming.PORT_API)]),
    ]
    return [*rules, *([_rule("from", admin, [tcp(naming.PORT_ADMIN)])] if admin else [])]


def _operator(settings: BuildSettings) -> list[JsonValue]:
    """Return the operator's pods as a peer; none when it runs in no pod."""
    if not settings.operator_namespace:
        return []
    return [
        {
            "namespaceSelector": {"matchLabels": {naming.LABEL_NAMESPACE_NAME: settings.operator_namespace}},
            "podSelector": {"matchLabels": {naming.LABEL_OPERATOR: "true"}},
        }
    ]


def _egress(cluster: RealtimeCluster) -> list[JsonValue]:
    """Return DNS at any address (its pods have other labels in every installation), Redis, and the spec's own rules.

    Servers that an update has not replaced yet may use the managed Redis when the spec has an external one.
    """
    redis: JsonObject = {"podSelector": {"matchLabels": component_selector(cluster, naming.COMPONENT_REDIS)}}
    return [
        _rule("to", [], [{"port": naming.PORT_DNS, "protocol": "UDP"}, tcp(naming.PORT_DNS)]),
        _rule("to", [redis], redis_ports()),
        *(_egress_rule(rule) for rule in cluster.spec.network_policy.egress),
    ]


def _egress_rule(rule: NetworkPolicyEgressRule) -> JsonObject:
    return _rule("to", peers_of(rule.to), [_port(port) for port in rule.ports])


def _rule(direction: str, peers: list[JsonValue], ports: list[JsonValue]) -> JsonObject:
    """Build a rule without empty lists, which the API server drops."""
    return {**({direction: peers} if peers else {}), **({"ports": ports} if ports else {})}


def redis_ports() -> list[JsonValue]:
    """Return the ports of the managed Redis, in any mode: after a change of it old servers still ask sentinels."""
    return [tcp(naming.PORT_REDIS), tcp(naming.PORT_SENTINEL)]


def tcp(port: int) -> JsonObject:
    """Return a TCP port of a rule."""
    return {"port": port, "protocol": "TCP"}


def _port(port: NetworkPolicyPort) -> JsonObject:
    number: JsonObject = {} if port.port is None else {"port": port.port}
    return {**number, **({} if port.end_port is None else {"endPort": port.end_port}), "protocol": port.protocol}


def peers_of(peers: Sequence[NetworkPolicyPeer]) -> list[JsonValue]:
    """Return the peers of a rule."""
    return [_peer(peer) for peer in peers]


def _peer(peer: NetworkPolicyPeer) -> JsonObject:
    if peer.ip_block is not None:
        left_out = peer.ip_block.except_
        return {"ipBlock": {"cidr": peer.ip_block.cidr, **({"except": [*left_out]} if left_out else {})}}
    return {
        **({} if peer.pod_selector is None else {"podSelector": _selector(peer.pod_selector)}),
        **({} if peer.namespace_selector is None else {"namespaceSelector": _selector(peer.namespace_selector)}),
    }


def _selector(selector: LabelSelector) -> JsonObject:
    expressions: list[JsonValue] = [
        {
            "key": requirement.key,
            "operator": requirement.operator,
            **({"values": [*requirement.values]} if requirement.values else {}),
        }
        for requirement in selector.match_expressions
    ]
    labels = {**selector.match_labels}
    return {
        **({"matchLabels": {**labels}} if labels else {}),
        **({"matchExpressions": expressions} if expressions else {}),
    }
