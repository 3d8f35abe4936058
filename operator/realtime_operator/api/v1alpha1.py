"""RealtimeCluster, version v1alpha1: what a user asks for. The CRD and its reference are generated from these models.

Every field has a default or may be absent, so an empty spec is a small working cluster. Optional means absent, never
null. Durations and sizes are text as in Kubernetes; the properties that end in `_seconds` and `_bytes` are numbers.
"""

from __future__ import annotations

import json
import re
from typing import Annotated, Self

from pydantic import ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from realtime_operator import naming
from realtime_operator.api.base import JsonObject, Model, rule
from realtime_operator.api.errors import Finding, FindingReason, InvalidCluster, findings_of
from realtime_operator.api.fields import KEEPS_REVISION
from realtime_operator.api.lists import ATOMIC, MAP_BY_NAME
from realtime_operator.api.v1alpha1_backplane import Backplane
from realtime_operator.api.v1alpha1_disruption_budget import DisruptionBudget
from realtime_operator.api.v1alpha1_endpoint import Endpoint
from realtime_operator.api.v1alpha1_hooks import Hooks
from realtime_operator.api.v1alpha1_maintenance import Maintenance
from realtime_operator.api.v1alpha1_message_brokers import Consumer, MessageBroker
from realtime_operator.api.v1alpha1_metadata import CommonMetadata
from realtime_operator.api.v1alpha1_monitoring import Monitoring
from realtime_operator.api.v1alpha1_namespace import Namespace
from realtime_operator.api.v1alpha1_network_policy import NetworkPolicy
from realtime_operator.api.v1alpha1_pod import Image, Pod
from realtime_operator.api.v1alpha1_protocols import CENTRIFUGE_PATH, ROUTES_PATH, Protocols
from realtime_operator.api.v1alpha1_rollout import Autoscaling, Rollout
from realtime_operator.api.v1alpha1_server import Authentication, Server, ServerApi
from realtime_operator.api.v1alpha1_status import RealtimeClusterStatus
from realtime_operator.api.v1alpha1_tracing import Tracing

HOOKS = ("connect", "refresh", "subscribe", "sub_refresh", "publish", "rpc", "events")
EGRESS_IS_NEEDED = (
    "!has(self.spec) || !has(self.spec.networkPolicy) || !has(self.spec.networkPolicy.mode)"
    " || self.spec.networkPolicy.mode != 'Restricted'"
    " || (has(self.spec.networkPolicy.egress) && self.spec.networkPolicy.egress.size() > 0)"
    " || !((has(self.spec.backplane) && has(self.spec.backplane.redis) && has(self.spec.backplane.redis.external))"
    " || (has(self.spec.auth) && has(self.spec.auth.jwks)) || has(self.spec.tracing)"
    " || (has(self.spec.brokers) && self.spec.brokers.size() > 0)"
    " || (has(self.spec.protocols) && has(self.spec.protocols.webSocket) && has(self.spec.protocols.webSocket.routes)"
    " && self.spec.protocols.webSocket.routes.exists(route, has(route.actions)"
    " && route.actions.exists(action, has(action.hook))))"
    f" || (has(self.spec.hooks) && ({' || '.join(f'has(self.spec.hooks.{to_camel(name)})' for name in HOOKS)})))"
)
ROOMS_HAVE_CHANNELS = (
    "!has(self.spec) || !has(self.spec.protocols) || !has(self.spec.protocols.socketIO)"
    " || !has(self.spec.protocols.socketIO.namespaces)"
    " || self.spec.protocols.socketIO.namespaces.all(each, !has(each.channelNamespace)"
    " || each.channelNamespace == 'default'"
    " || (has(self.spec.namespaces) && self.spec.namespaces.exists(one, one.name == each.channelNamespace)))"
)
_BEGINS = "(path.endsWith('/') ? path : path + '/')"
_SOCKET_IO_PATH = "(has(self.spec.protocols.socketIO.path) ? self.spec.protocols.socketIO.path : '/socket.io/')"
CLIENTS_GET_THROUGH = (
    "!has(self.spec) || !has(self.spec.endpoint) || !has(self.spec.endpoint.ingress)"
    " || !has(self.spec.endpoint.ingress.paths) || (has(self.spec.endpoint.ingress.annotations)"
    " && self.spec.endpoint.ingress.annotations.size() > 0)"
    " || self.spec.endpoint.ingress.paths.exists(path, path == '/'"
    f" || ({_BEGINS}.startsWith('{CENTRIFUGE_PATH}') && (!has(self.spec.protocols)"
    " || !has(self.spec.protocols.centrifuge) || !has(self.spec.protocols.centrifuge.mode)"
    " || self.spec.protocols.centrifuge.mode == 'Enabled'))"
    f" || ({_BEGINS}.startsWith('{ROUTES_PATH}') && has(self.spec.protocols) && has(self.spec.protocols.webSocket)"
    " && has(self.spec.protocols.webSocket.routes) && self.spec.protocols.webSocket.routes.size() > 0)"
    " || (has(self.spec.protocols) && has(self.spec.protocols.socketIO) && has(self.spec.protocols.socketIO.mode)"
    " && self.spec.protocols.socketIO.mode == 'Enabled'"
    f" && ({_BEGINS}.startsWith({_SOCKET_IO_PATH}) || {_SOCKET_IO_PATH}.startsWith({_BEGINS}))))"
)
TOO_DEEP = Finding("spec", FindingReason.INVALID_FIELD, "is nested too deeply")
CLUSTER_NAME = "^[a-z]([-a-z0-9]*[a-z0-9])?$"


class RealtimeClusterSpec(Model):
    """Desired state of the cluster."""

    image: Image = Image()
    """Image of the servers."""
    replicas: Annotated[int, Field(ge=0, le=1000), KEEPS_REVISION] = 2
    """Number of servers (pods). Ignored when `autoscaling` is set."""
    paused: Annotated[bool, KEEPS_REVISION] = False
    """Pause of this cluster: while true, the operator changes nothing, and the servers keep running."""
    server: Server = Server()
    """Settings of every server."""
    protocols: Protocols = Protocols()
    """Protocols that clients may use."""
    namespaces: Annotated[tuple[Namespace, ...], Field(max_length=64), MAP_BY_NAME] = ()
    """Channel namespaces: the options of the channels whose names begin with `NAME:`."""
    auth: Authentication = Authentication()
    """Authentication of clients."""
    hooks: Hooks = Hooks()
    """Requests of the servers to your backend: questions and events."""
    api: ServerApi = ServerApi()
    """HTTP API for backends."""
    backplane: Backplane = Backplane()
    """Link between the servers, over which publications reach all of them."""
    brokers: Annotated[tuple[MessageBroker, ...], Field(max_length=16), MAP_BY_NAME] = ()
    """Message brokers of your backends."""
    consumers: Annotated[tuple[Consumer, ...], Field(max_length=32), ATOMIC] = ()
    """Queues of `brokers` whose messages become publications and other commands."""
    rollout: Rollout = Rollout()
    """Settings of rollouts: how servers are replaced."""
    maintenance: Annotated[Maintenance, KEEPS_REVISION] = Maintenance()
    """Times at which the operator may begin what is not urgent."""
    autoscaling: Annotated[Autoscaling | None, KEEPS_REVISION] = None
    """Autoscaling by the number of connections. Off when absent: there are `replicas` servers."""
    endpoint: Endpoint = Endpoint()
    """Access for clients."""
    network_policy: Annotated[NetworkPolicy, KEEPS_REVISION] = NetworkPolicy()
    """Restriction of the network traffic of the servers and the managed Redis."""
    monitoring: Annotated[Monitoring | None, KEEPS_REVISION] = None
    """Objects for Prometheus and Grafana. None are made when absent; `{}` makes all of them, as far as their kinds are
    installed."""
    tracing: Tracing | None = None
    """Export of traces to an OpenTelemetry collector. Off when absent."""
    pod: Pod = Pod()
    """Settings of the server pods: resources, placement, labels, further containers and volumes."""
    disruption_budget: Annotated[DisruptionBudget, KEEPS_REVISION] = DisruptionBudget()
    """Limit on the servers that evictions, like those of a node drain, may take away at once."""
    common_metadata: Annotated[CommonMetadata, KEEPS_REVISION] = CommonMetadata()
    """Labels and annotations of every object that the operator creates for this cluster. Those of pods are in `pod`."""


class ObjectMeta(Model):
    """The part of the object's metadata that the operator uses."""

    model_config = ConfigDict(extra="ignore")

    name: str
    """Name of the cluster."""
    namespace: str = "default"
    """Namespace that the cluster and all that it owns is in."""
    uid: str = ""
    """Identity of the object; empty before it is created."""
    generation: int = 0
    """Counts the changes of the spec."""
    creation_timestamp: str | None = None
    """When the object was created, RFC 3339."""
    deletion_timestamp: str | None = None
    """When deletion was asked for, RFC 3339."""
    labels: dict[str, str] = Field(default_factory=dict)
    """Labels of the object."""
    annotations: dict[str, str] = Field(default_factory=dict)
    """Annotations of the object."""


class RealtimeCluster(Model):
    """RealtimeCluster is a set of realtime servers with all that clients and backends need to use them.

    The operator creates the servers, the Redis between them, Services and credentials.
    """

    model_config = ConfigDict(extra="ignore")

    metadata: ObjectMeta
    """Standard object's metadata."""
    spec: RealtimeClusterSpec = RealtimeClusterSpec()
    """Desired state of the cluster. An empty spec is a small cluster with the defaults."""
    status: RealtimeClusterStatus | None = None
    """Observed state of the cluster, written by the operator."""

    @rule(
        f"self.metadata.name.size() <= {naming.MAX_CLUSTER_NAME_LENGTH}"
        f" && self.metadata.name.matches('{CLUSTER_NAME}')",
        f"the name must have at most {naming.MAX_CLUSTER_NAME_LENGTH} characters, begin with a letter, end with a"
        " letter or digit, and have only lower case letters, digits and - in it: Services and pods are named after it",
        field="metadata.name",
    )
    def _name_fits(self) -> bool:
        name = self.metadata.name
        return len(name) <= naming.MAX_CLUSTER_NAME_LENGTH and re.fullmatch(CLUSTER_NAME, name) is not None

    @rule(
        EGRESS_IS_NEEDED,
        "egress must allow what the servers connect to: an external Redis, the backend of hooks, the URL of auth.jwks,"
        " the endpoint of tracing, brokers; a NetworkPolicy has no host names, so it is not derived from their URLs",
        field="spec.networkPolicy.egress",
    )
    def _egress_is_named(self) -> bool:
        policy, hooks = self.spec.network_policy, self.spec.hooks
        asked = (self.spec.backplane.redis.external, self.spec.auth.jwks, self.spec.tracing)
        targets = (*asked, *(getattr(hooks, name) for name in HOOKS))
        has_more = self.spec.protocols.web_socket.has_hooks or bool(self.spec.brokers)
        is_needed = has_more or any(target is not None for target in targets)
        return policy.mode != "Restricted" or bool(policy.egress) or not is_needed

    @rule(
        "!has(self.spec) || !has(self.spec.rollout) || !has(self.spec.rollout.canary)"
        " || !has(self.spec.rollout.canary.traffic) || self.spec.rollout.canary.traffic != 'Route'"
        " || (has(self.spec.endpoint) && has(self.spec.endpoint.gateway) && !has(self.spec.endpoint.tls))",
        "traffic Route needs endpoint.gateway, and no endpoint.tls: only an HTTPRoute divides new connections without"
        " ending open ones",
        field="spec.rollout.canary.traffic",
    )
    def _traffic_has_a_route(self) -> bool:
        canary, endpoint = self.spec.rollout.canary, self.spec.endpoint
        if canary is None or canary.traffic != "Route":
            return True
        return endpoint.gateway is not None and endpoint.tls is None

    @rule(
        ROOMS_HAVE_CHANNELS,
        "channelNamespace must be default or one of spec.namespaces",
        field="spec.protocols.socketIO.namespaces",
    )
    def _rooms_have_channels(self) -> bool:
        known = {None, "default", *(namespace.name for namespace in self.spec.namespaces)}
        return all(each.channel_namespace in known for each in self.spec.protocols.socket_io.namespaces)

    @rule(
        CLIENTS_GET_THROUGH,
        "paths must have / or where clients of an enabled protocol connect: /connection, the path of socketIO, or /ws"
        " with a route, unless an annotation makes the controller rewrite another path",
        field="spec.endpoint.ingress.paths",
    )
    def _clients_get_through(self) -> bool:
        ingress, protocols = self.spec.endpoint.ingress, self.spec.protocols
        return ingress is None or bool(ingress.annotations) or any(map(protocols.is_reached_by, ingress.paths))

    @classmethod
    def from_object(cls, document: JsonObject) -> Self:
        """Read the object as the API server returns it; raises InvalidCluster.

        A status that can't be read counts as absent: it is written anew from what is observed.
        """
        try:
            cluster = cls.model_validate_json(json.dumps({**document, "status": None}))
        except RecursionError as error:
            raise InvalidCluster((TOO_DEEP,)) from error
        except ValidationError as error:
            # How deep is too deep for which of the two depends on the release of Python.
            too_deep = any("recursion limit" in str(one.get("ctx", {}).get("error")) for one in error.errors())
            raise InvalidCluster((TOO_DEEP,) if too_deep else findings_of(error)) from error
        return cluster.model_copy(update={"status": RealtimeClusterStatus.from_object(document.get("status"))})
