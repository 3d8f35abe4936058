"""Models of the part of the spec that links the servers: Redis, managed or external."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from realtime_operator.api.base import Model, rule
from realtime_operator.api.fields import KEEPS_REVISION
from realtime_operator.api.v1alpha1_pod import ImagePullSecrets, RedisPod, Resources
from realtime_operator.api.v1alpha1_server import SecretValue


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
    pod: RedisPod = RedisPod()
    """Settings of the Redis pod: placement, labels, further containers and volumes."""


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
