"""Models of the part of the spec that becomes the pods: image, resources, placement, containers, volumes, labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from realtime_operator.api import quantity
from realtime_operator.api.base import Check, Model, rule
from realtime_operator.api.fields import (
    Annotations,
    Digest,
    Labels,
    ObjectName,
    Quantity,
    Repository,
    Tag,
    Text,
    cel_is_quantity,
)
from realtime_operator.api.kubernetes_objects import (
    Affinity,
    Containers,
    ContainerSecurityContext,
    Environment,
    EnvironmentSources,
    PodSecurityContext,
    PodTemplate,
    SpreadConstraints,
    VolumeMounts,
    Volumes,
)
from realtime_operator.api.lists import ATOMIC, MAP_BY_NAME
from realtime_operator.api.v1alpha1_metadata import (
    RESERVED_ANNOTATIONS_MESSAGE,
    RESERVED_ANNOTATIONS_RULE,
    RESERVED_LABELS_MESSAGE,
    RESERVED_LABELS_RULE,
    is_reserved,
)


class Image(Model):
    """Image of the servers. Absent fields come from the operator's defaults."""

    repository: Repository | None = None
    """Name of the image without a tag, like `ghcr.io/realtime-operator/server`. Defaults to the operator's server
    image."""
    tag: Tag | None = None
    """Tag of the image, like `1.4.2`. Defaults to the tag of the operator's server image."""
    digest: Digest | None = None
    """Digest of the image, like `sha256:...`, which names one image for ever. The tag is then for people only."""
    pull_policy: Literal["Always", "IfNotPresent", "Never"] | None = None
    """Pull policy of the image. Defaults to the operator's (`IfNotPresent`)."""


class ImagePullSecret(Model):
    """Reference to a Secret of type kubernetes.io/dockerconfigjson in the cluster's namespace."""

    name: ObjectName
    """Name of the Secret."""


ImagePullSecrets = Annotated[tuple[ImagePullSecret, ...], Field(max_length=8), MAP_BY_NAME]


LEAST_MEMORY = "4Mi"
"""Minimum memory of a container; a smaller value has a wrong suffix, or none."""
TOO_MANY_CPUS = "100"
"""Number of CPUs that is taken for thousandths: a server has at most 64 workers."""


def _cel_of(name: str, holds: str) -> str:
    """Return CEL that is true for an absent or valid resource, and for one that is no quantity (refused elsewhere)."""
    value = f"self['{name}']"
    return f"!('{name}' in self) || !{cel_is_quantity(value)} || {holds}"


def _cel_compare(name: str, other: str) -> str:
    return f"quantity(string(self['{name}'])).compareTo(quantity('{other}'))"


def _is_enough_memory(quantities: Mapping[str, int | str]) -> bool:
    """Return True for enough memory; 0 stands for no request or no limit."""
    memory = quantity.parse(quantities.get("memory", 0))
    return memory == 0 or memory >= quantity.parse(LEAST_MEMORY)


def _are_few_cpus(quantities: Mapping[str, int | str]) -> bool:
    return quantity.parse(quantities.get("cpu", 0)) < quantity.parse(TOO_MANY_CPUS)


Quantities = Annotated[
    dict[str, Quantity],
    Field(max_length=16),
    Check(
        _cel_of("memory", f"{_cel_compare('memory', '0')} == 0 || {_cel_compare('memory', LEAST_MEMORY)} >= 0"),
        f"memory must be 0 or at least {LEAST_MEMORY} (did you mean 512Mi? 512 is 512 bytes, and 512m half a byte)",
        _is_enough_memory,
    ),
    Check(
        _cel_of("cpu", f"{_cel_compare('cpu', TOO_MANY_CPUS)} < 0"),
        f"cpu must be below {TOO_MANY_CPUS} (did you mean 500m? 500 is 500 CPUs)",
        _are_few_cpus,
    ),
]


class Resources(Model):
    """Compute resources of a container, as in a pod."""

    requests: Quantities = Field(default_factory=dict)
    """Resources reserved for the container, by name (`cpu`, `memory`)."""
    limits: Quantities = Field(default_factory=dict)
    """Resources that the container may use at most, by name (`cpu`, `memory`)."""

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


class Toleration(Model):
    """Toleration of a taint of nodes, as in a pod."""

    key: Text | None = None
    """Key of the taint. Absent with operator `Exists`: every key."""
    operator: Literal["Exists", "Equal"] | None = None
    """Relation of key and value. `Exists` tolerates any value. Defaults to `Equal`."""
    value: Text | None = None
    """Value of the taint."""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    """Effect of the taint. Every effect when absent."""
    toleration_seconds: Annotated[int, Field(ge=0, le=2_147_483_647)] | None = None
    """Time for which a `NoExecute` taint is tolerated, in seconds. For ever when absent."""


class PodSettings(Model):
    """Settings of the pods: placement, labels, further containers and volumes."""

    labels: Labels = Field(default_factory=dict)
    """Labels added to the pods."""
    annotations: Annotations = Field(default_factory=dict)
    """Annotations added to the pods."""
    node_selector: Labels = Field(default_factory=dict)
    """Labels that a node must have to run the pods."""
    tolerations: Annotated[tuple[Toleration, ...], Field(max_length=32), ATOMIC] = ()
    """Taints of nodes that the pods tolerate."""
    affinity: Affinity | None = None
    """Affinity of the pods, as in a pod."""
    topology_spread_constraints: SpreadConstraints | None = None
    """Constraints that spread the pods, as in a pod, instead of the operator's. A constraint without `labelSelector`
    is about the pods of the same revision. Servers are spread over zones and nodes when absent, and not at all by an
    empty list."""
    priority_class_name: ObjectName | None = None
    """Name of the PriorityClass of the pods."""
    runtime_class_name: ObjectName | None = None
    """Name of the RuntimeClass of the pods."""
    service_account_name: ObjectName | None = None
    """Name of a ServiceAccount of yours for the pods. Defaults to one without permissions, which the operator
    creates."""
    security_context: PodSecurityContext | None = None
    """Security context, as in a pod. Its fields replace those of the operator's, which satisfy the `restricted` Pod
    Security Standard."""
    container_security_context: ContainerSecurityContext | None = None
    """Security context of the operator's container, as in a container. Its fields replace those of the operator's."""
    env: Environment = ()
    """Environment variables added to the operator's container, as in a container."""
    env_from: EnvironmentSources = ()
    """ConfigMaps and Secrets whose keys become environment variables of the operator's container, as in a
    container. The operator's own variables win."""
    volumes: Volumes = ()
    """Volumes added to the pods, as in a pod."""
    volume_mounts: VolumeMounts = ()
    """Mounts added to the operator's container, as in a container."""
    init_containers: Containers = ()
    """Containers that run before the operator's, as in a pod. One with `restartPolicy: Always` is a sidecar: it starts
    before the operator's container and ends after it."""
    containers: Containers = ()
    """Containers that run beside the operator's, as in a pod. They are asked to end as soon as the drain begins: use
    a sidecar in `initContainers` for what the operator's container needs until its end."""
    template: PodTemplate | None = None
    """Strategic merge patch of the pod template (`metadata`, `spec`), applied last, for what has no field here. A
    patch that breaks what the operator needs is refused."""

    @rule(
        RESERVED_LABELS_RULE,
        RESERVED_LABELS_MESSAGE,
        field="labels",
    )
    def _labels_are_free(self) -> bool:
        return not any(is_reserved(key) for key in self.labels)

    @rule(
        RESERVED_ANNOTATIONS_RULE,
        RESERVED_ANNOTATIONS_MESSAGE,
        field="annotations",
    )
    def _annotations_are_free(self) -> bool:
        return not any(key.startswith("realtime.dev/") for key in self.annotations)

    @property
    def has_structures(self) -> bool:
        """True when a field with a structure of Kubernetes' own is set, which only the API server can validate."""
        given = (self.affinity, self.topology_spread_constraints, self.security_context, self.template)
        return any(
            (*given, self.container_security_context, self.env, self.env_from, self.volumes, self.volume_mounts)
        ) or bool(self.init_containers or self.containers)


class Pod(PodSettings):
    """Settings of the server pods: resources, placement, labels, further containers and volumes."""

    resources: Resources = Resources()
    """Resources of the server container. Defaults to requests of cpu 100m and memory 128Mi, and a memory limit of
    512Mi."""
    image_pull_secrets: ImagePullSecrets = ()
    """Secrets with credentials for the registry of the server image, added to the operator's defaults."""


class RedisPod(PodSettings):
    """Settings of the Redis pod: placement, labels, further containers and volumes."""
