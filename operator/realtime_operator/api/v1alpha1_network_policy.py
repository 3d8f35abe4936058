"""Models of the part of the spec that restricts the network traffic of the pods, in the words of a NetworkPolicy."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field

from realtime_operator.api.base import Check, Model, rule
from realtime_operator.api.fields import Labels, PortNumberOrName, Text
from realtime_operator.api.lists import ATOMIC, SET

CIDR = "^[0-9a-fA-F.:]+/[0-9]{1,3}$"

Cidr = Annotated[
    str,
    Field(max_length=49),
    Check(
        f"self.matches('{CIDR}')",
        "must be a range of addresses like 10.0.0.0/8 or fd00::/8",
        lambda text: re.fullmatch(CIDR, text) is not None,
    ),
]


class LabelSelectorRequirement(Model):
    """Requirement on a label, as in a LabelSelector."""

    key: Text
    """Key of the label."""
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"]
    """Relation of the label to the values."""
    values: Annotated[tuple[Text, ...], Field(max_length=32), ATOMIC] = ()
    """Values that `In` and `NotIn` compare with."""

    @rule(
        "(self.operator in ['In', 'NotIn']) == (has(self.values) && self.values.size() > 0)",
        "values must be set for In and NotIn, and only for them",
        field="values",
    )
    def _values_fit(self) -> bool:
        return (self.operator in {"In", "NotIn"}) == bool(self.values)


class LabelSelector(Model):
    """Selection of objects by their labels, as everywhere in Kubernetes. An empty one selects all."""

    match_labels: Labels = Field(default_factory=dict)
    """Labels that an object must have."""
    match_expressions: Annotated[tuple[LabelSelectorRequirement, ...], Field(max_length=16), ATOMIC] = ()
    """Requirements that an object must meet."""


class IpBlock(Model):
    """Range of IP addresses, as in a NetworkPolicy."""

    cidr: Cidr
    """Range, like `10.0.0.0/8`."""
    except_: Annotated[tuple[Cidr, ...], Field(alias="except", max_length=32), SET] = ()
    """Ranges within `cidr` that are left out."""


class NetworkPolicyPeer(Model):
    """Other end of connections, as in a NetworkPolicy: pods, or a range of addresses."""

    pod_selector: LabelSelector | None = None
    """Selector of pods, in the namespaces that `namespaceSelector` selects. Without it, in the cluster's namespace."""
    namespace_selector: LabelSelector | None = None
    """Selector of namespaces. An empty one selects all. Without `podSelector`, all pods in them are meant."""
    ip_block: IpBlock | None = None
    """Range of IP addresses, for what is no pod."""

    @rule(
        "has(self.ipBlock) ? !has(self.podSelector) && !has(self.namespaceSelector)"
        " : has(self.podSelector) || has(self.namespaceSelector)",
        "set podSelector, namespaceSelector or both, or ipBlock alone",
    )
    def _is_one_kind(self) -> bool:
        pods = self.pod_selector is not None or self.namespace_selector is not None
        return pods != (self.ip_block is not None)


class NetworkPolicyPort(Model):
    """Port or range of ports, as in a NetworkPolicy."""

    protocol: Literal["TCP", "UDP", "SCTP"] = "TCP"
    """Protocol of the connections."""
    port: PortNumberOrName | None = None
    """Number of the port, or name of a container's port. All ports when absent."""
    end_port: Annotated[int, Field(ge=1, le=65_535)] | None = None
    """Last port of a range that begins with `port`."""

    @rule(
        "!has(self.endPort) || (has(self.port) && type(self.port) == int && self.port <= self.endPort)",
        "endPort must not be below port, which must be a number",
        field="endPort",
    )
    def _range_is_ordered(self) -> bool:
        return self.end_port is None or (isinstance(self.port, int) and self.port <= self.end_port)


Peers = Annotated[tuple[NetworkPolicyPeer, ...], Field(max_length=16), ATOMIC]


class NetworkPolicyEgressRule(Model):
    """Connections that servers may open, as in a NetworkPolicy."""

    to: Peers = ()
    """Targets of the connections. All when empty."""
    ports: Annotated[tuple[NetworkPolicyPort, ...], Field(max_length=16), ATOMIC] = ()
    """Ports of the targets. All when empty."""


class NetworkPolicy(Model):
    """Restriction of the network traffic of the servers and the managed Redis."""

    mode: Literal["None", "Restricted"] = "None"
    """Mode of the restriction. `None`: the operator creates no NetworkPolicy. `Restricted`: NetworkPolicies allow only
    what the fields below say, what the operator needs, DNS, and the managed Redis for the servers."""
    client_from: Peers = ()
    """Peers that may connect to the port for clients (8000). Everybody when empty."""
    api_from: Peers = ()
    """Peers that may connect to the port of the server API (8001). All pods of the cluster's namespace when empty."""
    admin_from: Peers = ()
    """Peers that may connect to the admin port (8002), beside the operator: what collects metrics."""
    egress: Annotated[tuple[NetworkPolicyEgressRule, ...], Field(max_length=16), ATOMIC] = ()
    """Connections that servers may open, beside DNS and the managed Redis: to the backend of hooks, to the key set of
    `auth.jwks` and to an external Redis."""

    @rule(
        "self.mode == 'Restricted'"
        " || !([has(self.clientFrom) && self.clientFrom.size() > 0, has(self.apiFrom) && self.apiFrom.size() > 0,"
        " has(self.adminFrom) && self.adminFrom.size() > 0, has(self.egress) && self.egress.size() > 0]"
        ".exists(given, given))",
        "mode must be Restricted for clientFrom, apiFrom, adminFrom and egress: with None everything is allowed",
        field="mode",
    )
    def _restrictions_are_in_force(self) -> bool:
        given = (self.client_from, self.api_from, self.admin_from, self.egress)
        return self.mode == "Restricted" or not any(given)
