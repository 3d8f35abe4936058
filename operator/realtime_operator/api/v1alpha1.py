"""RealtimeCluster, version v1alpha1: what a user asks for. The CRD and its reference are generated from these models.

Every field has a default or may be absent, so an empty spec is a small working cluster. Optional means absent, never
null. Durations and sizes are text as in Kubernetes; the properties that end in `_seconds` and `_bytes` are numbers.
"""

from __future__ import annotations

import json
import re
from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, ValidationError

from realtime_operator import naming
from realtime_operator.api import duration
from realtime_operator.api.base import JsonObject, Model, rule
from realtime_operator.api.errors import InvalidCluster, findings_of
from realtime_operator.api.fields import KEEPS_REVISION, Annotations, Duration, Rate, Share
from realtime_operator.api.lists import MAP_BY_NAME
from realtime_operator.api.v1alpha1_hooks import Hooks
from realtime_operator.api.v1alpha1_namespace import Namespace
from realtime_operator.api.v1alpha1_pod import Image, ImagePullSecrets, Pod, Resources
from realtime_operator.api.v1alpha1_server import Authentication, SecretValue, Server, ServerApi
from realtime_operator.api.v1alpha1_status import RealtimeClusterStatus

CLUSTER_NAME = "^[a-z]([-a-z0-9]*[a-z0-9])?$"


class ManagedRedis(Model):
    """Redis that the operator runs.

    It is one pod without a persistent volume: histories and presence are lost with the pod.
    """

    image: Annotated[str, Field(min_length=1, max_length=255)] | None = None
    """Image that contains redis-server and sh. Defaults to the operator's Redis image."""
    image_pull_secrets: ImagePullSecrets = ()
    """Secrets with credentials for the registry of the Redis image, added to the operator's defaults."""
    resources: Resources = Resources()
    """Resources of the Redis container. Defaults to requests of cpu 100m and memory 128Mi, and a memory limit of
    256Mi."""


class ExternalRedis(Model):
    """Redis that runs elsewhere."""

    url: SecretValue
    """URL of the Redis, like `redis://:PASSWORD@host:6379/0`, or `rediss://` for TLS."""


class Redis(Model):
    """Redis that links the servers: managed or external. Defaults to a managed one."""

    managed: Annotated[ManagedRedis | None, KEEPS_REVISION] = None
    """Settings of a Redis that the operator runs beside the servers."""
    external: ExternalRedis | None = None
    """Address of a Redis that exists already."""

    @rule(
        "!has(self.managed) || !has(self.external)",
        "set managed or external, not both: the servers use one Redis",
    )
    def _is_one(self) -> bool:
        return self.managed is None or self.external is None


class Backplane(Model):
    """Link between the servers, over which publications reach all of them."""

    redis: Redis = Redis()
    """Redis that carries publications and stores histories and presence."""

    @property
    def managed(self) -> ManagedRedis | None:
        """The Redis to run; None when an external one is used."""
        return None if self.redis.external else self.redis.managed or ManagedRedis()


class DrainSpec(Model):
    """Settings of a drain: moving a server's connections to others before it is removed."""

    connections_per_second: Annotated[Rate, KEEPS_REVISION] = "Auto"
    """Rate at which connections are moved, in connections per second for the whole cluster. `Auto` derives it from the
    measured cost of accepting a connection."""
    timeout: Duration = "10m"
    """Longest time of a drain. After it the server is removed even if it has connections left."""
    settle: Duration = "5s"
    """Time without new connections after which the drain of a quiesced server begins."""

    @property
    def fixed_rate(self) -> float | None:
        """`connections_per_second`; None for `Auto`."""
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
    """Settings of rollouts: how servers are replaced."""

    max_surge: Annotated[Share, KEEPS_REVISION] = "25%"
    """Servers that a rollout may add above the wanted number: a number, or a percentage of it, rounded up."""
    max_unavailable: Annotated[Share, KEEPS_REVISION] = 0
    """Servers that may be missing from the wanted number in a rollout: a number, or a percentage of it, rounded
    down."""
    drain: DrainSpec = DrainSpec()
    """Settings of drains: how connections are moved."""
    progress_deadline: Annotated[Duration, KEEPS_REVISION] = "10m"
    """Time from one step of a change to the next after which it is reported as stuck. The timeout of the drain is
    added."""

    @property
    def progress_deadline_seconds(self) -> int:
        """`progress_deadline` in seconds."""
        return duration.seconds(self.progress_deadline)

    @rule(
        "(self.maxSurge != 0 && self.maxSurge != '0%') || (self.maxUnavailable != 0 && self.maxUnavailable != '0%')",
        "maxSurge and maxUnavailable must not both be zero: no server could ever be replaced",
        field="maxSurge",
    )
    def _something_may_move(self) -> bool:
        return self.max_surge not in {0, "0%"} or self.max_unavailable not in {0, "0%"}


class Autoscaling(Model):
    """Autoscaling of the number of servers by the number of connections. `replicas` is ignored."""

    min_replicas: Annotated[int, Field(ge=1, le=1000)] = 2
    """Lower bound of the number of servers."""
    max_replicas: Annotated[int, Field(ge=1, le=1000)]
    """Upper bound of the number of servers."""
    connections_per_replica: Annotated[int, Field(ge=1, le=1_000_000)]
    """Target of the average number of connections per server; more add a server."""
    scale_down_stabilization: Duration = "5m"
    """Time for which fewer servers must have been enough before servers are removed."""

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
    """Service that clients connect to."""

    type: Literal["ClusterIP", "NodePort", "LoadBalancer"] = "ClusterIP"
    """Type of the Service, as in a Service."""
    annotations: Annotations = Field(default_factory=dict)
    """Annotations added to the Service, for example for load balancers and DNS."""

    @rule(
        "!has(self.annotations) || self.annotations.all(key, !key.startsWith('realtime.dev/'))",
        "annotations that begin with realtime.dev/ are reserved for the operator",
        field="annotations",
    )
    def _annotations_are_free(self) -> bool:
        return not any(key.startswith("realtime.dev/") for key in self.annotations)


class Endpoint(Model):
    """Access for clients."""

    service: ClientService = ClientService()
    """Service that clients connect to."""


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
    rollout: Rollout = Rollout()
    """Settings of rollouts: how servers are replaced."""
    autoscaling: Annotated[Autoscaling | None, KEEPS_REVISION] = None
    """Autoscaling by the number of connections. Off when absent: there are `replicas` servers."""
    endpoint: Annotated[Endpoint, KEEPS_REVISION] = Endpoint()
    """Access for clients."""
    pod: Pod = Pod()
    """Settings of the server pods: resources, placement, labels."""


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
