"""What a platform does for the operator: observe a cluster, and carry out a plan for it."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Protocol

from realtime_operator.api.base import JsonObject
from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.planning.plan import Plan
from realtime_operator.planning.world import World

SECRET_BYTES = 32


def random_credential() -> str:
    """A new credential: 256 random bits as URL-safe text."""
    return secrets.token_urlsafe(SECRET_BYTES)


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """Names one RealtimeCluster."""

    namespace: str
    name: str


class Platform(Protocol):
    """Every method raises PlatformError when the platform cannot be asked; nothing else."""

    async def read(self, key: Key) -> JsonObject | None:
        """The RealtimeCluster as it is stored, None when there is none."""

    async def observe(self, cluster: RealtimeCluster) -> World:
        """Everything that the cluster owns, as it is now; servers that do not answer have no report."""

    async def apply(self, owner: JsonObject, plan: Plan) -> None:
        """Carry out the actions in their order; `owner` is the stored object. Stops at the first action that fails."""
