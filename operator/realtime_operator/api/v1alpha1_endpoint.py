"""Models of the part of the spec by which clients reach the servers.

Names and meanings of the fields are those of the objects that they end up in: Service, Ingress, HTTPRoute, Certificate.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from realtime_operator.api import duration
from realtime_operator.api.base import Model, rule
from realtime_operator.api.fields import (
    KEEPS_REVISION,
    Annotations,
    Cidr,
    Duration,
    Hostname,
    ObjectName,
    UrlPath,
    cel_is_duration,
)
from realtime_operator.api.lists import ATOMIC, SET
from realtime_operator.api.v1alpha1_certificate import IngressTls, ServerTls

FREE_ANNOTATIONS_RULE = "!has(self.annotations) || self.annotations.all(key, !key.startsWith('realtime.dev/'))"
FREE_ANNOTATIONS = "annotations that begin with realtime.dev/ are reserved for the operator"


def _are_free(annotations: dict[str, str]) -> bool:
    return not any(key.startswith("realtime.dev/") for key in annotations)


class ClientService(Model):
    """Service that clients connect to."""

    type: Literal["ClusterIP", "NodePort", "LoadBalancer"] = "ClusterIP"
    """Type of the Service, as in a Service."""
    annotations: Annotations = Field(default_factory=dict)
    """Annotations added to the Service, for example for load balancers and DNS."""
    port: Annotated[int, Field(ge=1, le=65535)] = 8000
    """Port of the Service."""
    node_port: Annotated[int, Field(ge=1, le=65535)] | None = None
    """Port on every node, for the types NodePort and LoadBalancer. Chosen by Kubernetes when absent."""
    load_balancer_class: Annotated[str, Field(min_length=1, max_length=253)] | None = None
    """Class of the load balancer, for the type LoadBalancer, as in a Service. It cannot be changed while the Service
    has this type."""
    load_balancer_source_ranges: Annotated[tuple[Cidr, ...], Field(max_length=64), ATOMIC] = ()
    """Networks that may reach the load balancer, for the type LoadBalancer. All when empty."""
    external_traffic_policy: Literal["Cluster", "Local"] | None = None
    """Policy for traffic from outside, for the types NodePort and LoadBalancer. `Local` keeps the addresses of clients,
    and reaches nodes with servers only. Defaults to `Cluster`."""
    ip_family_policy: Literal["SingleStack", "PreferDualStack", "RequireDualStack"] | None = None
    """Policy for the families of addresses of the Service, as in a Service. When absent: `RequireDualStack` with two
    `ipFamilies`, else chosen by Kubernetes, which keeps the policy that an existing Service has."""
    ip_families: Annotated[tuple[Literal["IPv4", "IPv6"], ...], Field(max_length=2), SET] = ()
    """Families of addresses of the Service, the preferred one first. Chosen by Kubernetes when empty. The first one
    cannot be changed while the Service exists. Servers listen on all families."""

    @rule(FREE_ANNOTATIONS_RULE, FREE_ANNOTATIONS, field="annotations")
    def _annotations_are_free(self) -> bool:
        return _are_free(self.annotations)

    @rule(
        "self.type == 'LoadBalancer' || (!has(self.loadBalancerClass) &&"
        " (!has(self.loadBalancerSourceRanges) || self.loadBalancerSourceRanges.size() == 0))",
        "loadBalancerClass and loadBalancerSourceRanges need the type LoadBalancer",
        field="type",
    )
    def _balances(self) -> bool:
        wanted = self.load_balancer_class is not None or self.load_balancer_source_ranges
        return self.type == "LoadBalancer" or not wanted

    @rule(
        "self.type != 'ClusterIP' || (!has(self.nodePort) && !has(self.externalTrafficPolicy))",
        "nodePort and externalTrafficPolicy need the type NodePort or LoadBalancer",
        field="type",
    )
    def _is_external(self) -> bool:
        return self.type != "ClusterIP" or (self.node_port is None and self.external_traffic_policy is None)

    @rule(
        "!has(self.ipFamilyPolicy) || self.ipFamilyPolicy != 'SingleStack' || !has(self.ipFamilies)"
        " || self.ipFamilies.size() < 2",
        "ipFamilies must have one family when ipFamilyPolicy is SingleStack",
        field="ipFamilies",
    )
    def _families_fit(self) -> bool:
        return self.ip_family_policy != "SingleStack" or len(self.ip_families) < 2


Controller = Literal["IngressNginx", "NginxInc", "HAProxy", "HAProxyIngress", "Traefik", "Contour"]


class Ingress(Model):
    """Ingress in front of the Service, with the timeouts that long connections need. No session affinity is needed."""

    class_name: ObjectName | None = None
    """Name of the IngressClass. Defaults to the cluster's default class."""
    controller: Controller | None = None
    """Controller behind the class, whose annotations the Ingress gets: `IngressNginx` (kubernetes/ingress-nginx),
    `NginxInc` (nginx/kubernetes-ingress), `HAProxy` (haproxytech/kubernetes-ingress), `HAProxyIngress`
    (jcmoraisjr/haproxy-ingress), `Traefik`, `Contour`. Those of all of them when absent: each reads its own only."""
    annotations: Annotations = Field(default_factory=dict)
    """Annotations added to the Ingress. They replace the operator's own of the same key."""
    hosts: Annotated[tuple[Hostname, ...], Field(max_length=16), SET] = ()
    """Host names that the Ingress serves. Every host when empty."""
    paths: Annotated[tuple[UrlPath, ...], Field(min_length=1, max_length=16), SET] = ("/",)
    """Beginnings of paths that are passed on to the servers, unchanged. Clients of Centrifugo's protocol need
    `/connection`, and `/emulation` for SSE and HTTP streaming; those of Socket.IO its `path`; those of routes `/ws`."""
    tls: IngressTls | None = None
    """TLS between clients and the Ingress controller. None when absent. An empty object takes the controller's default
    certificate."""

    @rule(FREE_ANNOTATIONS_RULE, FREE_ANNOTATIONS, field="annotations")
    def _annotations_are_free(self) -> bool:
        return _are_free(self.annotations)

    @rule(
        "!has(self.tls) || !has(self.tls.certificate) || has(self.tls.certificate.dnsNames)"
        " || (has(self.hosts) && self.hosts.size() > 0)",
        "hosts must not be empty when tls.certificate has no dnsNames: a certificate is for names",
        field="hosts",
    )
    def _certificate_has_names(self) -> bool:
        certificate = None if self.tls is None else self.tls.certificate
        return certificate is None or bool(certificate.dns_names) or bool(self.hosts)


class ParentReference(Model):
    """Reference to a Gateway."""

    name: ObjectName
    """Name of the Gateway."""
    namespace: ObjectName | None = None
    """Namespace of the Gateway. Defaults to the cluster's."""
    section_name: ObjectName | None = None
    """Name of the Gateway's listener. Every listener that fits when absent."""
    port: Annotated[int, Field(ge=1, le=65535)] | None = None
    """Port of the Gateway's listener. Every port when absent."""


class Gateway(Model):
    """Route of the Gateway API to the Service.

    It is a TLSRoute when the servers have certificates themselves (`endpoint.tls`), else an HTTPRoute.
    """

    parent_refs: Annotated[tuple[ParentReference, ...], Field(min_length=1, max_length=16), ATOMIC]
    """References to the Gateways that the route belongs to."""
    hostnames: Annotated[tuple[Hostname, ...], Field(max_length=16), SET] = ()
    """Host names that the route serves. Those of the listeners when empty; a TLSRoute needs some."""
    annotations: Annotations = Field(default_factory=dict)
    """Annotations added to the route."""

    @rule(FREE_ANNOTATIONS_RULE, FREE_ANNOTATIONS, field="annotations")
    def _annotations_are_free(self) -> bool:
        return _are_free(self.annotations)


class Proxies(Model):
    """Proxies between clients and servers, which tell whose connection it is."""

    trusted: Annotated[tuple[Cidr, ...], Field(max_length=64), SET] = ()
    """Networks of proxies that are believed. None when empty: the peer's address counts."""
    forwarded_header: Literal["XForwardedFor", "Forwarded"] = "XForwardedFor"
    """Header with the addresses of the client and of proxies: X-Forwarded-For, or Forwarded (RFC 7239)."""
    proxy_protocol: Literal["Disabled", "Required"] = "Disabled"
    """PROXY protocol, version 1 or 2. `Required`: trusted proxies begin every connection with it."""

    @rule(
        "self.proxyProtocol == 'Disabled' || (has(self.trusted) && self.trusted.size() > 0)",
        "proxyProtocol Required needs trusted: the networks of the proxies that send it",
        field="trusted",
    )
    def _proxies_are_known(self) -> bool:
        return self.proxy_protocol == "Disabled" or bool(self.trusted)


class Endpoint(Model):
    """Access for clients."""

    service: Annotated[ClientService, KEEPS_REVISION] = ClientService()
    """Service that clients connect to."""
    ingress: Annotated[Ingress | None, KEEPS_REVISION] = None
    """Ingress in front of the Service. None when absent."""
    gateway: Annotated[Gateway | None, KEEPS_REVISION] = None
    """Route of the Gateway API to the Service. None when absent."""
    tls: ServerTls | None = None
    """Certificate of the servers themselves. When absent they speak no TLS: a proxy in front of them may."""
    proxies: Proxies = Proxies()
    """Proxies between clients and servers, which tell whose connection it is."""
    handshake_timeout: Duration = "10s"
    """Time that a client may take from the TCP connection to the end of its HTTP request, TLS included."""

    @rule(
        "!has(self.tls) || !has(self.gateway) || (has(self.gateway.hostnames) && self.gateway.hostnames.size() > 0)",
        "gateway.hostnames must not be empty with tls: a TLSRoute finds the servers by the name that clients ask for",
        field="gateway",
    )
    def _route_has_names(self) -> bool:
        return self.tls is None or self.gateway is None or bool(self.gateway.hostnames)

    @rule(
        "!has(self.tls) || !has(self.tls.certificate) || has(self.tls.certificate.dnsNames)"
        " || (has(self.ingress) && has(self.ingress.hosts) && self.ingress.hosts.size() > 0)"
        " || (has(self.gateway) && has(self.gateway.hostnames) && self.gateway.hostnames.size() > 0)",
        "tls.certificate.dnsNames must not be empty: there are no host names of ingress or gateway to take",
        field="tls",
    )
    def _certificate_has_names(self) -> bool:
        certificate = None if self.tls is None else self.tls.certificate
        return certificate is None or bool(certificate.dns_names) or bool(self.hostnames)

    @rule(
        f"!{cel_is_duration('self.handshakeTimeout')} || duration(self.handshakeTimeout) <= duration('5m')",
        "handshakeTimeout must be at most 5m: idle sockets take the place of clients for that long",
        field="handshakeTimeout",
    )
    def _handshakes_end(self) -> bool:
        return self.handshake_seconds <= 300

    @property
    def handshake_seconds(self) -> int:
        """`handshake_timeout` in seconds."""
        return duration.seconds(self.handshake_timeout)

    @property
    def hostnames(self) -> tuple[str, ...]:
        """The host names of Ingress and Gateway, each once."""
        ingress = () if self.ingress is None else self.ingress.hosts
        gateway = () if self.gateway is None else self.gateway.hostnames
        return tuple(dict.fromkeys((*ingress, *gateway)))
