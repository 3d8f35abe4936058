"""Models of the part of the spec that links the servers: Redis, managed or external."""

from __future__ import annotations

from typing import Annotated

from realtime_operator.api.base import Model, rule
from realtime_operator.api.fields import EMPTY_IS_ABSENT
from realtime_operator.api.v1alpha1_external_redis import ExternalRedis
from realtime_operator.api.v1alpha1_managed_redis import ManagedRedis


class Redis(Model):
    """Redis that links the servers: managed or external. Defaults to a managed one."""

    managed: Annotated[ManagedRedis | None, EMPTY_IS_ABSENT] = None
    """Settings of a Redis that the operator runs beside the servers."""
    external: ExternalRedis | None = None
    """Redis or Valkey that exists already."""

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

    @property
    def has_failover(self) -> bool:
        """True when the operator runs a Redis of several pods, one of them the primary that sentinels choose."""
        return self.managed is not None and self.managed.mode == "Failover"
