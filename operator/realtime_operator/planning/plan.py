"""What is to be done: a list of actions that a platform carries out in order, and when to look again."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from realtime_operator.api.base import JsonObject
from realtime_operator.planning.world import ObjectKey


@dataclass(frozen=True, slots=True)
class ApplyObject:
    """Server-side apply the manifest (it has its owner reference and ANNOTATION_APPLIED already)."""

    manifest: JsonObject


@dataclass(frozen=True, slots=True)
class EnsureSecret:
    """Create the Secret, or add what is missing: `manifest` has everything but the data; each key gets a random value.

    Keys that exist keep their value.
    """

    manifest: JsonObject
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DeleteObject:
    """Delete an object (foreground of nothing: its own children go by owner reference). Absent is fine."""

    key: ObjectKey


@dataclass(frozen=True, slots=True)
class ScaleRevision:
    """Set the number of pods of a revision's ReplicaSet."""

    replica_set: str
    replicas: int


@dataclass(frozen=True, slots=True)
class Quiesce:
    """Take a server out of the endpoints: LABEL_SERVING "false" and ANNOTATION_QUIESCED_AT on its pod."""

    server: str


@dataclass(frozen=True, slots=True)
class Resume:
    """Put a quiesced server back: stop its drain, LABEL_SERVING "true", ANNOTATION_QUIESCED_AT removed."""

    server: str


@dataclass(frozen=True, slots=True)
class Drain:
    """Begin a drain, or change the rate of a running one: the server moves its connections away."""

    server: str
    connections_per_second: float


@dataclass(frozen=True, slots=True)
class SetDeletionCost:
    """Set ANNOTATION_DELETION_COST of a pod: the ReplicaSet controller deletes the lowest first."""

    server: str
    cost: int


@dataclass(frozen=True, slots=True)
class DeleteServer:
    """Delete one pod: only for pods that have failed for good; the ReplicaSet replaces it."""

    server: str


class EventType(StrEnum):
    """Type of a Kubernetes Event."""

    NORMAL = "Normal"
    WARNING = "Warning"


@dataclass(frozen=True, slots=True)
class EmitEvent:
    """Tell people, once, that something changed."""

    type: EventType
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class SetStatus:
    """Write the status subresource, whole. Only planned when it differs from the observed status."""

    status: JsonObject


Action = (
    ApplyObject
    | EnsureSecret
    | DeleteObject
    | ScaleRevision
    | Quiesce
    | Resume
    | Drain
    | SetDeletionCost
    | DeleteServer
    | EmitEvent
    | SetStatus
)


@dataclass(frozen=True, slots=True)
class Plan:
    """Actions in the order in which they are applied, and when to look again (None: at the next resync)."""

    actions: tuple[Action, ...] = ()
    look_again_seconds: float | None = None
