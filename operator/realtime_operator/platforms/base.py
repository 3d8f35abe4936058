"""Port of a platform: observe a cluster, and carry out actions for it."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from realtime_operator.api.base import JsonObject
from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.planning.plan import Action, ApplyObject, CreateObject, EnsureSecret, Failure, FailureKind
from realtime_operator.planning.world import ObjectKey, World, object_key

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

    async def apply(self, owner: JsonObject, actions: Sequence[Action]) -> tuple[Failure, ...]:
        """Carry out the actions in their order; `owner` is the stored object.

        An action that fails does not keep the others from being carried out, but for those that require it. Returns
        what was not carried out.
        """


def skipped(action: Action, failures: Sequence[Failure]) -> Failure | None:
    """The failure of an action that requires one that has failed before it; None when it may be carried out."""
    if not isinstance(action, CreateObject | ApplyObject):
        return None
    failed = {made for failure in failures if (made := made_by(failure.action)) is not None}
    for required in action.requires:
        if required in failed:
            return Failure(action, FailureKind.SKIPPED, f"needs {required.kind} {required.name}, which is missing")
    return None


def made_by(action: Action) -> ObjectKey | None:
    """The object that an action makes or changes as a whole; None for other actions."""
    return object_key(action.manifest) if isinstance(action, CreateObject | ApplyObject | EnsureSecret) else None
