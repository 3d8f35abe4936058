"""RealtimeCluster, version v1alpha1: what a user asks for. The CRD and its reference are generated from these models.

Every field has a default or may be absent, so an empty spec is a small working cluster. Optional means absent, never
null. Durations and sizes are text as in Kubernetes; the properties that end in `_seconds` and `_bytes` are numbers.
"""

from __future__ import annotations

import json
from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, ValidationError

from realtime_operator.api import duration, quantity
from realtime_operator.api.base import JsonObject, Model, rule
from realtime_operator.api.errors import InvalidCluster, findings_of
from realtime_operator.api.fields import (
    Duration,
    NamespaceName,
    ObjectName,
    Quantity,
    Rate,
    Repository,
    SecretKey,
    Share,
    Size,
    Tag,
    Text,
    cel_is_duration,
    cel_is_quantity,
)
from realtime_operator.api.v1alpha1_status import RealtimeClusterStatus

LIST_TYPE = "x-kubernetes-list-type"
MAP_TYPE = "x-kubernetes-map-type"
SET: dict[str, str | list[str]] = {LIST_TYPE: "set"}
ATOMIC: dict[str, str | list[str]] = {LIST_TYPE: "atomic"}
BY_NAME: dict[str, str | list[str]] = {LIST_TYPE: "map", "x-kubernetes-list-map-keys": ["name"]}

RESERVED_LABELS_RULE = (
    "!has(self.labels) || self.labels.all(key, !key.startsWith('realtime.dev/') && !(key in ['app.kubernetes.io/name',"
    " 'app.kubernetes.io/instance', 'app.kubernetes.io/component', 'app.kubernetes.io/managed-by']))"
)
RESERVED_LABELS = frozenset(f"app.kubernetes.io/{name}" for name in ("name", "instance", "component", "managed-by"))

Labels = Annotated[dict[str, Annotated[str, Field(max_length=63)]], Field(max_length=32)]
Annotations = Annotated[dict[str, Annotated[str, Field(max_length=16384)]], Field(max_length=32)]


def is_reserved(key: str) -> bool:
    """Whether a label or annotation belongs to the operator."""
    return key.startswith("realtime.dev/") or key in RESERVED_LABELS


class SecretReference(Model):
    """A key of a Secret in the cluster's namespace."""

    name: ObjectName
    """Name of the Secret."""
    key: SecretKey
    """Key in the Secret's data."""


class Image(Model):
    """The server's image. What is absent comes from the operator's own release."""

    repository: Repository | None = None
    """Image without tag, like `ghcr.io/realtime-operator/server`. Absent: the operator's default server image."""
    tag: Tag | None = None
    """Tag of the image. Absent: the tag of the operator's default server image."""
    pull_policy: Literal["Always", "IfNotPresent", "Never"] | None = None
    """When the kubelet pulls the image. Absent: the operator's default (`IfNotPresent`)."""
    pull_secrets: Annotated[tuple[ObjectName, ...], Field(max_length=8, json_schema_extra={**SET})] = ()
    """Names of Secrets with credentials for the registry, in addition to the operator's defaults."""


class Heartbeat(Model):
    """How a dead connection is found."""

    interval: Duration = "25s"
    """Time between two pings on a connection. Must be shorter than the idle timeout of every proxy in between."""
    timeout: Duration = "8s"
    """How long a client may take to answer a ping before its connection is closed."""

    @rule(
        f"!{cel_is_duration('self.timeout')} || !{cel_is_duration('self.interval')}"
        " || duration(self.timeout) < duration(self.interval)",
        "timeout must be shorter than interval: a ping has to be answered before the next one is sent",
        field="timeout",
    )
    def _timeout_is_shorter(self) -> bool:
        return self.timeout_seconds < self.interval_seconds

    @property
    def interval_seconds(self) -> int:
        """`interval` in seconds."""
        return duration.seconds(self.interval)

    @property
    def timeout_seconds(self) -> int:
        """`timeout` in seconds."""
        return duration.seconds(self.timeout)


class Limits(Model):
    """What one server accepts."""

    connections: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000
    """Connections of one server (pod), divided over its workers. Above, a handshake is refused with HTTP 503."""
    channels_per_connection: Annotated[int, Field(ge=1, le=100_000)] = 128
    """Channels that one connection may be subscribed to."""
    message_bytes: Size = "64Ki"
    """Largest message from a client, in bytes (a quantity)."""
    messages_per_second: Annotated[int, Field(ge=1, le=100_000)] = 100
    """Messages per second that one connection may send. Above, it is closed."""
    outbox_bytes: Size = "1Mi"
    """What may wait to be sent to one connection, in bytes (a quantity). Above, it is closed as too slow."""

    @rule(
        f"!{cel_is_quantity('self.messageBytes')} || !{cel_is_quantity('self.outboxBytes')}"
        " || quantity(string(self.messageBytes)).compareTo(quantity(string(self.outboxBytes))) <= 0",
        "outboxBytes must be at least messageBytes: else a single message is too much for every connection",
        field="outboxBytes",
    )
    def _a_message_fits(self) -> bool:
        return self.message_bytes_number <= self.outbox_bytes_number

    @property
    def message_bytes_number(self) -> int:
        """`message_bytes` as a number."""
        return quantity.whole(self.message_bytes)

    @property
    def outbox_bytes_number(self) -> int:
        """`outbox_bytes` as a number."""
        return quantity.whole(self.outbox_bytes)


class Server(Model):
    """What every server of the cluster does."""

    workers: Annotated[int, Field(ge=1, le=64)] = 1
    """Processes in one server; about one for each CPU core that a pod may use."""
    heartbeat: Heartbeat = Heartbeat()
    """Pings to clients."""
    limits: Limits = Limits()
    """Limits of a server and of a connection."""
    origins: Annotated[tuple[Text, ...], Field(max_length=64, json_schema_extra={**SET})] = ()
    """Origins (`https://app.example.com`) that browsers may connect from, compared exactly. Empty: all."""

    @rule(
        "!has(self.origins) || self.origins.all(origin, origin.matches('^[a-z][a-z0-9+.-]*://[^/?#*]+$'))",
        "origins are compared exactly: write scheme and host like https://app.example.com, without a path or *",
        field="origins",
    )
    def _origins_are_origins(self) -> bool:
        return all(_is_origin(origin) for origin in self.origins)


def _is_origin(text: str) -> bool:
    scheme, separator, host = text.partition("://")
    rest = scheme.replace("+", "").replace(".", "").replace("-", "")
    named = scheme[:1].isalpha() and rest.isascii() and rest.isalnum() and rest == rest.lower()
    return named and bool(separator) and bool(host) and not set(host) & set("/?#*")


class History(Model):
    """Publications that are kept for clients that come later."""

    size: Annotated[int, Field(ge=1, le=100_000)] = 100
    """How many publications a channel keeps."""
    ttl: Duration = "10m"
    """How long after the last publication a channel's history is kept."""

    @property
    def ttl_seconds(self) -> int:
        """`ttl` in seconds."""
        return duration.seconds(self.ttl)


class Namespace(Model):
    """Options of the channels whose names begin with `name:`; those of `default` hold for channels without a colon."""

    name: NamespaceName
    """What stands before the first colon of a channel's name."""
    history: History | None = None
    """Keep the last publications of each channel. Absent: keep none."""
    recovery: bool = False
    """Let clients that come back get what they missed. Needs `history`."""
    presence: bool = False
    """Let it be asked who is subscribed to a channel."""
    publish: Literal["nobody", "subscribers", "anyone"] = "nobody"
    """Which clients may publish. The HTTP API always may."""

    @rule(
        "!self.recovery || has(self.history)",
        "recovery needs history: what is not kept can't be recovered; set history, {} for its defaults",
        field="recovery",
    )
    def _recovery_has_history(self) -> bool:
        return not self.recovery or self.history is not None


class Token(Model):
    """A secret that connection tokens may be signed with (HS256)."""

    secret_ref: SecretReference
    """Where the secret is."""


class Authentication(Model):
    """Who may connect."""

    anonymous: bool = False
    """Let clients connect without a token."""
    tokens: Annotated[tuple[Token, ...], Field(max_length=8, json_schema_extra={**ATOMIC})] = ()
    """Secrets of connection tokens; all are tried, so one can be rotated. Empty: one is generated (`token-secret`)."""
    issuer: Text | None = None
    """What the claim `iss` of tokens must say. Absent: anything."""
    audience: Text | None = None
    """What the claim `aud` of tokens must contain. Absent: anything."""


class ServerApi(Model):
    """The HTTP API for backends."""

    key_secret_ref: SecretReference | None = None
    """Where the API key is. Absent: one is generated (Secret CLUSTER-credentials, key api-key)."""


class Resources(Model):
    """Resources of a container, as in a pod."""

    requests: Annotated[dict[str, Quantity], Field(max_length=16)] = Field(default_factory=dict)
    """What is reserved for the container, by resource (`cpu`, `memory`)."""
    limits: Annotated[dict[str, Quantity], Field(max_length=16)] = Field(default_factory=dict)
    """What the container may use at most, by resource (`cpu`, `memory`)."""

    @rule(
        "!has(self.requests) || !has(self.limits) || self.requests.all(name, !(name in self.limits)"
        f" || !{cel_is_quantity('self.requests[name]')} || !{cel_is_quantity('self.limits[name]')}"
        " || quantity(string(self.requests[name])).compareTo(quantity(string(self.limits[name]))) <= 0)",
        "requests must not be above limits",
        field="requests",
    )
    def _requests_are_within_limits(self) -> bool:
        return all(
            quantity.parse(value) <= quantity.parse(self.limits[name])
            for name, value in self.requests.items()
            if name in self.limits
        )


class ManagedRedis(Model):
    """A Redis that the operator runs: one pod without a persistent volume; histories end with the pod."""

    image: Annotated[str, Field(min_length=1, max_length=255)] | None = None
    """Image with redis-server and sh. Absent: the operator's default Redis image."""
    resources: Resources = Resources()
    """Resources of the Redis container. Absent ones: requests cpu 100m, memory 128Mi; limit memory 256Mi."""


class ExternalRedis(Model):
    """A Redis that runs elsewhere."""

    url_secret_ref: SecretReference
    """Where its URL is, like `redis://:PASSWORD@host:6379/0`, or `rediss://` for TLS."""


class Redis(Model):
    """Which Redis links the servers. Neither: a managed one with its defaults."""

    managed: ManagedRedis | None = None
    """Run a Redis beside the servers."""
    external: ExternalRedis | None = None
    """Use a Redis that is there already."""

    @rule(
        "!has(self.managed) || !has(self.external)",
        "set managed or external, not both: the servers use one Redis",
    )
    def _is_one(self) -> bool:
        return self.managed is None or self.external is None


class Backplane(Model):
    """The link between the servers."""

    redis: Redis = Redis()
    """The Redis that carries publications, histories and presence."""

    @property
    def managed(self) -> ManagedRedis | None:
        """The Redis to run; None when an external one is used."""
        return None if self.redis.external else self.redis.managed or ManagedRedis()


class DrainSpec(Model):
    """How the connections of a server are moved to others before it goes."""

    connections_per_second: Rate = "auto"
    """Connections per second that the whole cluster moves; `auto`: what the servers were measured to absorb."""
    timeout: Duration = "10m"
    """After this time a server goes even if it has connections left."""
    settle: Duration = "5s"
    """How long no new connection must have arrived at a quiesced server before its drain begins."""

    @property
    def fixed_rate(self) -> float | None:
        """`connections_per_second`; None for `auto`."""
        rate = self.connections_per_second
        return float(rate) if isinstance(rate, int) else None

    @property
    def timeout_seconds(self) -> int:
        """`timeout` in seconds."""
        return duration.seconds(self.timeout)

    @property
    def settle_seconds(self) -> int:
        """`settle` in seconds."""
        return duration.seconds(self.settle)


class Rollout(Model):
    """How servers are replaced."""

    max_surge: Share = "25%"
    """Servers above the wanted number during a rollout: a number, or a percentage rounded up."""
    max_unavailable: Share = 0
    """Servers that may be missing from the wanted number: a number, or a percentage rounded down."""
    drain: DrainSpec = DrainSpec()
    """How connections are moved."""

    @rule(
        "(self.maxSurge != 0 && self.maxSurge != '0%') || (self.maxUnavailable != 0 && self.maxUnavailable != '0%')",
        "maxSurge and maxUnavailable must not both be zero: no server could ever be replaced",
        field="maxSurge",
    )
    def _something_may_move(self) -> bool:
        return self.max_surge not in {0, "0%"} or self.max_unavailable not in {0, "0%"}


class Autoscaling(Model):
    """Follow the number of connections with the number of servers. `replicas` is not used then."""

    min_replicas: Annotated[int, Field(ge=1, le=1000)] = 2
    """Fewest servers."""
    max_replicas: Annotated[int, Field(ge=1, le=1000)]
    """Most servers."""
    connections_per_replica: Annotated[int, Field(ge=1, le=1_000_000)]
    """Connections that one server shall have at most on average."""
    scale_down_stabilization: Duration = "5m"
    """How long fewer servers must have been enough before servers are taken away."""

    @rule(
        "self.maxReplicas >= self.minReplicas",
        "maxReplicas must not be below minReplicas (2 when it is absent)",
        field="maxReplicas",
    )
    def _bounds_are_ordered(self) -> bool:
        return self.max_replicas >= self.min_replicas

    @property
    def scale_down_stabilization_seconds(self) -> int:
        """`scale_down_stabilization` in seconds."""
        return duration.seconds(self.scale_down_stabilization)


class ClientService(Model):
    """The Service that clients connect to."""

    type: Literal["ClusterIP", "NodePort", "LoadBalancer"] = "ClusterIP"
    """Type of the Service."""
    annotations: Annotations = Field(default_factory=dict)
    """Annotations of the Service, for load balancers and DNS."""

    @rule(
        "!has(self.annotations) || self.annotations.all(key, !key.startsWith('realtime.dev/'))",
        "annotations that begin with realtime.dev/ belong to the operator",
        field="annotations",
    )
    def _annotations_are_free(self) -> bool:
        return not any(key.startswith("realtime.dev/") for key in self.annotations)


class Endpoint(Model):
    """Where clients connect."""

    service: ClientService = ClientService()
    """The Service that clients connect to."""


class Toleration(Model):
    """A taint of nodes that server pods tolerate, as in a pod."""

    key: Text | None = None
    """Key of the taint. Absent: every key, with operator Exists."""
    operator: Literal["Exists", "Equal"] | None = None
    """How key and value are compared. Absent: Equal."""
    value: Text | None = None
    """Value of the taint."""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    """Effect of the taint. Absent: every effect."""
    toleration_seconds: Annotated[int, Field(ge=0, le=2_147_483_647)] | None = None
    """How long a NoExecute taint is tolerated, in seconds. Absent: for ever."""


class Pod(Model):
    """What is added to the server pods."""

    resources: Resources = Resources()
    """Resources of the server container. Absent ones: requests cpu 100m, memory 128Mi; limit memory 512Mi."""
    node_selector: Labels = Field(default_factory=dict)
    """Labels that a node must have."""
    tolerations: Annotated[tuple[Toleration, ...], Field(max_length=32, json_schema_extra={**ATOMIC})] = ()
    """Taints of nodes that are tolerated."""
    labels: Labels = Field(default_factory=dict)
    """Labels added to the pods."""
    annotations: Annotations = Field(default_factory=dict)
    """Annotations added to the pods."""

    @rule(
        RESERVED_LABELS_RULE,
        "labels that begin with realtime.dev/, and app.kubernetes.io/name, instance, component and managed-by,"
        " belong to the operator",
        field="labels",
    )
    def _labels_are_free(self) -> bool:
        return not any(is_reserved(key) for key in self.labels)

    @rule(
        "!has(self.annotations) || self.annotations.all(key, !key.startsWith('realtime.dev/'))",
        "annotations that begin with realtime.dev/ belong to the operator",
        field="annotations",
    )
    def _annotations_are_free(self) -> bool:
        return not any(key.startswith("realtime.dev/") for key in self.annotations)


class RealtimeClusterSpec(Model):
    """What is wanted."""

    image: Image = Image()
    """The server's image."""
    replicas: Annotated[int, Field(ge=0, le=1000)] = 2
    """Number of servers. Not used when `autoscaling` is set."""
    paused: bool = False
    """Change nothing until this is false again. What runs goes on running."""
    server: Server = Server()
    """What every server does."""
    namespaces: Annotated[tuple[Namespace, ...], Field(max_length=64, json_schema_extra={**BY_NAME})] = ()
    """Kinds of channels and their options."""
    auth: Authentication = Authentication()
    """Who may connect."""
    api: ServerApi = ServerApi()
    """The HTTP API for backends."""
    backplane: Backplane = Backplane()
    """The link between the servers."""
    rollout: Rollout = Rollout()
    """How servers are replaced."""
    autoscaling: Autoscaling | None = None
    """Follow the number of connections. Absent: `replicas` servers."""
    endpoint: Endpoint = Endpoint()
    """Where clients connect."""
    pod: Pod = Pod()
    """What is added to the server pods."""


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
    deletion_timestamp: str | None = None
    """When deletion was asked for, RFC 3339."""
    labels: dict[str, str] = Field(default_factory=dict)
    """Labels of the object."""
    annotations: dict[str, str] = Field(default_factory=dict)
    """Annotations of the object."""


class RealtimeCluster(Model):
    """A fleet of realtime servers, the Redis between them, and what clients and backends need to use them."""

    model_config = ConfigDict(extra="ignore")

    metadata: ObjectMeta
    """Standard object's metadata."""
    spec: RealtimeClusterSpec = RealtimeClusterSpec()
    """What is wanted. Empty: a small cluster with the defaults."""
    status: RealtimeClusterStatus | None = None
    """What was observed last."""

    @rule(
        "self.metadata.name.size() <= 40 && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
        "the name must have at most 40 characters, begin with a letter, end with a letter or digit, and have only"
        " lower case letters, digits and - in it: Services and pods are named after it",
        field="metadata.name",
    )
    def _name_fits(self) -> bool:
        name = self.metadata.name
        legal = name.isascii() and name.replace("-", "").isalnum() and name == name.lower()
        return len(name) <= 40 and legal and name[0].isalpha() and name[-1] != "-"

    @classmethod
    def from_object(cls, document: JsonObject) -> Self:
        """Read the object as the API server returns it; raises InvalidCluster.

        A status that can't be read counts as absent: it is written anew from what is observed.
        """
        text = json.dumps({**document, "status": None})
        try:
            cluster = cls.model_validate_json(text)
        except ValidationError as error:
            raise InvalidCluster(findings_of(error)) from error
        return cluster.model_copy(update={"status": RealtimeClusterStatus.from_object(document.get("status"))})
