"""Models of the Redis that the operator runs."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from realtime_operator.api import quantity
from realtime_operator.api.base import Check, Model
from realtime_operator.api.fields import KEEPS_REVISION, ObjectName, Quantity, cel_is_quantity
from realtime_operator.api.v1alpha1_certificate import RedisServerTls
from realtime_operator.api.v1alpha1_pod import ImagePullSecrets, RedisPod, Resources

LEAST_STORAGE = "16Mi"
DEFAULT_MEMORY_LIMIT = "256Mi"

StorageSize = Annotated[
    Quantity,
    Check(
        f"!{cel_is_quantity('self')} || quantity(string(self)).compareTo(quantity('{LEAST_STORAGE}')) >= 0",
        f"must be at least {LEAST_STORAGE}: about four times the memory limit, like 1Gi",
        lambda value: quantity.parse(value) >= quantity.parse(LEAST_STORAGE),
    ),
]


class RedisPersistence(Model):
    """Persistent volume of Redis, one for each of its pods, in which it keeps an append-only file."""

    size: StorageSize
    """Size of a volume. A larger value expands existing volumes, if their storage class allows it; volumes cannot
    shrink."""
    storage_class_name: ObjectName | None = None
    """Name of the StorageClass, which cannot be changed later. Defaults to the default class of the Kubernetes
    cluster."""
    retention_policy: Literal["Retain", "Delete"] = "Retain"
    """Fate of the volumes when the cluster is deleted or has no managed Redis any more. `Retain`: the claims
    `data-CLUSTER-redis-N` stay, and a cluster of the same name uses them again. `Delete`: they are deleted with their
    data."""


class RedisExporter(Model):
    """Container beside Redis that shows its metrics to Prometheus: redis_exporter, or what reads the same variables."""

    image: Annotated[str, Field(min_length=1, max_length=255)] | None = None
    """Image of the exporter. Defaults to a release of oliver006/redis_exporter."""
    resources: Resources = Resources()
    """Resources of the container. Defaults to requests of cpu 10m and memory 32Mi, and a memory limit of 128Mi."""


class ManagedRedis(Model):
    """Redis that the operator runs. Without `persistence`, data is lost with the last pod that has it."""

    mode: Literal["Standalone", "Failover"] = "Standalone"
    """Kind of deployment. `Standalone`: one pod. `Failover`: a primary and two replicas, with a sentinel in each pod.
    Histories stay when `Failover` is set. The way back starts with empty ones, unless there is `persistence`."""
    image: Annotated[Annotated[str, Field(min_length=1, max_length=255)] | None, KEEPS_REVISION] = None
    """Image of Redis or Valkey that contains sh and sed. Defaults to the operator's Redis image."""
    image_pull_secrets: Annotated[ImagePullSecrets, KEEPS_REVISION] = ()
    """Secrets with credentials for the registry of the Redis image, added to the operator's defaults."""
    resources: Annotated[Resources, KEEPS_REVISION] = Resources()
    """Resources of the Redis container. Defaults to requests of cpu 100m and memory 128Mi, and a memory limit of
    256Mi."""
    pod: Annotated[RedisPod, KEEPS_REVISION] = RedisPod()
    """Settings of the Redis pods: placement, labels, further containers and volumes."""
    persistence: Annotated[RedisPersistence | None, KEEPS_REVISION] = None
    """Persistent volumes. Without them the data is on volumes of the pods' lifetime."""
    tls: RedisServerTls | None = None
    """TLS between servers, Redis and sentinels. `{}` is enough: the operator then makes the certificate. A change
    from or to none starts with empty histories, unless there is `persistence`."""
    exporter: Annotated[RedisExporter | None, KEEPS_REVISION] = None
    """Metrics of Redis itself, on port 9121 of its pods. Without it there are those that servers report of Redis."""
