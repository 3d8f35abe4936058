"""Models of the part of the spec that becomes the pods: image, resources, placement, labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from realtime_operator.api import quantity
from realtime_operator.api.base import Check, Model, rule
from realtime_operator.api.fields import (
    Annotations,
    Labels,
    ObjectName,
    Quantity,
    Repository,
    Tag,
    Text,
    cel_is_quantity,
)
from realtime_operator.api.lists import ATOMIC, MAP_BY_NAME

RESERVED_LABELS_RULE = (
    "!has(self.labels) || self.labels.all(key, !key.startsWith('realtime.dev/') && !(key in ['app.kubernetes.io/name',"
    " 'app.kubernetes.io/instance', 'app.kubernetes.io/component', 'app.kubernetes.io/managed-by']))"
)
RESERVED_LABELS = frozenset(f"app.kubernetes.io/{name}" for name in ("name", "instance", "component", "managed-by"))


def is_reserved(key: str) -> bool:
    """Return True when a label or annotation belongs to the operator."""
    return key.startswith("realtime.dev/") or key in RESERVED_LABELS


class Image(Model):
    """Image of the servers. Absent fields come from the operator's defaults."""

    repository: Repository | None = None
    """Name of the image without a tag, like `ghcr.io/realtime-operator/server`. Defaults to the operator's server
    image."""
    tag: Tag | None = None
    """Tag of the image, like `1.4.2`. Defaults to the tag of the operator's server image."""
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


class Pod(Model):
    """Settings of the server pods: resources, placement, labels."""

    resources: Resources = Resources()
    """Resources of the server container. Defaults to requests of cpu 100m and memory 128Mi, and a memory limit of
    512Mi."""
    node_selector: Labels = Field(default_factory=dict)
    """Labels that a node must have to run a server."""
    tolerations: Annotated[tuple[Toleration, ...], Field(max_length=32), ATOMIC] = ()
    """Taints of nodes that server pods tolerate."""
    image_pull_secrets: ImagePullSecrets = ()
    """Secrets with credentials for the registry of the server image, added to the operator's defaults."""
    labels: Labels = Field(default_factory=dict)
    """Labels added to the server pods."""
    annotations: Annotations = Field(default_factory=dict)
    """Annotations added to the server pods."""

    @rule(
        RESERVED_LABELS_RULE,
        "labels that begin with realtime.dev/, and app.kubernetes.io/name, instance, component and managed-by,"
        " are reserved for the operator",
        field="labels",
    )
    def _labels_are_free(self) -> bool:
        return not any(is_reserved(key) for key in self.labels)

    @rule(
        "!has(self.annotations) || self.annotations.all(key, !key.startsWith('realtime.dev/'))",
        "annotations that begin with realtime.dev/ are reserved for the operator",
        field="annotations",
    )
    def _annotations_are_free(self) -> bool:
        return not any(key.startswith("realtime.dev/") for key in self.annotations)
