"""The meaning of NetworkPolicies: which connections they allow between pods and addresses. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from realtime_operator.api.base import JsonObject, JsonValue
from tests.kit.document import object_at, objects_at, text_at

NAMESPACE_NAME = "kubernetes.io/metadata.name"


@dataclass(frozen=True, slots=True)
class Peer:
    """One end of a connection: a pod by namespace and labels, or an address outside of the cluster."""

    namespace: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    address: str = ""
    ports: Mapping[str, int] = field(default_factory=dict)
    """Numbers of the pod's named ports."""


@dataclass(frozen=True, slots=True)
class Connection:
    """An attempt to connect to a port."""

    source: Peer
    target: Peer
    port: int
    protocol: str = "TCP"


def allowed(policies: Sequence[JsonObject], connection: Connection) -> bool:
    """Return True when the policies allow the connection at both ends."""
    leaves = _passes(policies, "Egress", connection.source, connection.target, connection)
    return leaves and _passes(policies, "Ingress", connection.target, connection.source, connection)


def _passes(policies: Sequence[JsonObject], direction: str, pod: Peer, other: Peer, connection: Connection) -> bool:
    """Return True when no policy selects the pod for this direction, or a rule of one that does matches."""
    selecting = [policy for policy in policies if _selects(policy, direction, pod)]
    peers, rules = ("from", "ingress") if direction == "Ingress" else ("to", "egress")
    matching = (
        _is_peer(policy, rule, peers, other) and _is_port(rule, connection)
        for policy in selecting
        for rule in objects_at(policy, "spec", rules)
    )
    return not selecting or any(matching)


def _selects(policy: JsonObject, direction: str, pod: Peer) -> bool:
    spec = object_at(policy, "spec")
    types = spec.get("policyTypes")
    here = pod.namespace != "" and pod.namespace == text_at(policy, "metadata", "namespace")
    return here and isinstance(types, list) and direction in types and _has(object_at(spec, "podSelector"), pod.labels)


def _is_peer(policy: JsonObject, rule: JsonObject, key: str, other: Peer) -> bool:
    peers = objects_at(rule, key)
    return not peers or any(_matches(peer, other, text_at(policy, "metadata", "namespace")) for peer in peers)


def _matches(peer: JsonObject, other: Peer, own_namespace: str) -> bool:
    if "ipBlock" in peer:
        block = object_at(peer, "ipBlock")
        left_out = block.get("except")
        ranges = [str(item) for item in left_out] if isinstance(left_out, list) else []
        return _is_in(other.address, text_at(block, "cidr")) and not any(_is_in(other.address, item) for item in ranges)
    if not other.namespace:
        return False
    if "namespaceSelector" in peer:
        right = _has(object_at(peer, "namespaceSelector"), {NAMESPACE_NAME: other.namespace})
    else:
        right = other.namespace == own_namespace
    return right and _has(object_at(peer, "podSelector"), other.labels)


def _is_in(address: str, cidr: str) -> bool:
    return address != "" and ipaddress.ip_address(address) in ipaddress.ip_network(cidr)


def _is_port(rule: JsonObject, connection: Connection) -> bool:
    ports = objects_at(rule, "ports")
    return not ports or any(_is_this_port(port, connection) for port in ports)


def _is_this_port(port: JsonObject, connection: Connection) -> bool:
    number: JsonValue = port.get("port")
    if isinstance(number, str):
        number = connection.target.ports.get(number, -1)
    last = port.get("endPort", number)
    if port.get("protocol", "TCP") != connection.protocol:
        return False
    return number is None or (isinstance(number, int) and isinstance(last, int) and number <= connection.port <= last)


def _has(selector: JsonObject, labels: Mapping[str, str]) -> bool:
    wanted = object_at(selector, "matchLabels")
    if any(labels.get(key) != value for key, value in wanted.items()):
        return False
    return all(_meets(requirement, labels) for requirement in objects_at(selector, "matchExpressions"))


def _meets(requirement: JsonObject, labels: Mapping[str, str]) -> bool:
    key, operator, values = text_at(requirement, "key"), text_at(requirement, "operator"), requirement.get("values")
    given = values if isinstance(values, list) else []
    match operator:
        case "In":
            return labels.get(key) in given
        case "NotIn":
            return labels.get(key) not in given
        case "Exists":
            return key in labels
        case _:
            return key not in labels
