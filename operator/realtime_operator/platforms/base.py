"""Port of a platform: observe a cluster, and carry out actions for it."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from realtime_operator.api.base import JsonObject
from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.planning.model.plan import (
    Action,
    ApplyObject,
    CreateObject,
    EnsureSecret,
    Failure,
    FailureKind,
    IssueCertificate,
)
from realtime_operator.planning.model.world import ObjectKey, World, object_key

SECRET_BYTES = 32


def random_credential() -> str:
    """Return a new credential: 256 random bits as URL-safe text."""
    return secrets.token_urlsafe(SECRET_BYTES)


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """Namespace and name of a RealtimeCluster."""

    namespace: str
    name: str


class Platform(Protocol):
    """A place where clusters run. Methods raise PlatformError, and nothing else, when the platform does not answer."""

    async def read(self, key: Key) -> JsonObject | None:
        """Return the stored RealtimeCluster, None when it does not exist."""

    def clusters(self) -> Iterable[tuple[JsonObject, Sequence[JsonObject]]]:
        """Return all stored RealtimeClusters, each with its children, without asking the platform."""

    async def observe(self, cluster: RealtimeCluster) -> World:
        """Return the current state of all that the cluster owns; servers that do not answer have no report."""

    async def apply(self, owner: JsonObject, actions: Sequence[Action]) -> tuple[Failure, ...]:
        """Carry out the actions in order; return those that failed. `owner` is the stored RealtimeCluster.

        After a failure the other actions are still carried out, except those that require the failed one.
        """


def skipped(action: Action, failures: Sequence[Failure]) -> Failure | None:
    """Return the failure of an action that requires a failed one; None when the action may be carried out."""
    if not isinstance(action, CreateObject | ApplyObject):
        return None
    failed = {made for failure in failures if (made := made_by(failure.action)) is not None}
    for required in action.requires:
        if required in failed:
            return Failure(action, FailureKind.SKIPPED, f"needs {required.kind} {required.name}, which is missing")
    return None


def made_by(action: Action) -> ObjectKey | None:
    """Return the key of the object that an action creates or replaces; None for other actions."""
    if isinstance(action, CreateObject | ApplyObject | EnsureSecret | IssueCertificate):
        return object_key(action.manifest)
    return None
