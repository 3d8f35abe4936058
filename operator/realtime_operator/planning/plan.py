"""Actions that a platform carries out in their order, and its report on those that fail.

An action carries all that carrying it out needs, as it was observed; a platform reads again only what planning never
sees: the values of Secrets, and whose fields are whose. `uid` names the very object that was observed: one of the same
name that took its place is left for the next plan.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from realtime_operator.api.base import JsonObject
from realtime_operator.planning.world import AdminAccess, ObjectKey


@dataclass(frozen=True, slots=True)
class CreateObject:
    """Create the manifest's object; it has its owner reference and ANNOTATION_APPLIED already.

    An object of that name that the cluster does not own is left alone: the action fails with FailureKind.NAME_TAKEN.
    `requires`: objects without which this one must not be made; when one of them failed in the same plan, this action
    is not carried out.
    """

    manifest: JsonObject
    requires: tuple[ObjectKey, ...] = ()


@dataclass(frozen=True, slots=True)
class ApplyObject:
    """Server-side apply the manifest to the very object that was observed, known by its `uid`. `requires`: as above.

    `merges_fields`: the operator has set fields of it otherwise than by an apply, as a creation does; they have to be
    made fields of its applies first, so that those that the manifest no longer names go.
    """

    manifest: JsonObject
    uid: str
    requires: tuple[ObjectKey, ...] = ()
    merges_fields: bool = False


@dataclass(frozen=True, slots=True)
class EnsureSecret:
    """Create the Secret, or add what is missing: `manifest` has everything but the data; each key gets a random value.

    Keys that exist keep their value. `uid` is that of the Secret that was observed, None when there was none: then a
    Secret of that name that the cluster does not own fails the action with FailureKind.NAME_TAKEN.
    """

    manifest: JsonObject
    keys: tuple[str, ...]
    uid: str | None = None


@dataclass(frozen=True, slots=True)
class DeleteObject:
    """Delete the very object that was observed; its own children go by owner reference. Absent is fine.

    `uid` and `resource_version` are preconditions: an object that has changed since is left for the next plan.
    """

    key: ObjectKey
    uid: str
    resource_version: str


@dataclass(frozen=True, slots=True)
class ScaleRevision:
    """Set the number of pods of a revision's ReplicaSet, which is named by `replica_set`."""

    replica_set: str
    uid: str
    replicas: int


@dataclass(frozen=True, slots=True)
class Quiesce:
    """Take a server out of the endpoints: LABEL_SERVING "false" and ANNOTATION_QUIESCED_AT on its pod."""

    server: str
    uid: str


@dataclass(frozen=True, slots=True)
class Resume:
    """Put a quiesced server back: stop its drain, LABEL_SERVING "true", ANNOTATION_QUIESCED_AT removed."""

    server: str
    uid: str
    admin: AdminAccess | None


@dataclass(frozen=True, slots=True)
class Drain:
    """Begin a drain, or change the rate of a running one: the server moves its connections away."""

    server: str
    admin: AdminAccess | None
    connections_per_second: float


@dataclass(frozen=True, slots=True)
class SetDeletionCost:
    """Set ANNOTATION_DELETION_COST of a pod: the ReplicaSet controller deletes the lowest first."""

    server: str
    uid: str
    cost: int


@dataclass(frozen=True, slots=True)
class DeleteServer:
    """Delete one server's pod, which its ReplicaSet replaces: it has failed for good, or is drained."""

    server: str
    uid: str


@dataclass(frozen=True, slots=True)
class DeletePod:
    """Delete the very pod of Redis that was observed: those of a StatefulSet have the same name again."""

    name: str
    uid: str


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
    CreateObject
    | ApplyObject
    | EnsureSecret
    | DeleteObject
    | ScaleRevision
    | Quiesce
    | Resume
    | Drain
    | SetDeletionCost
    | DeleteServer
    | DeletePod
    | EmitEvent
    | SetStatus
)


class FailureKind(StrEnum):
    """Kind of reason for which an action was not carried out."""

    NAME_TAKEN = "name taken"
    """An object of that name is there, and the cluster does not own it."""
    REFUSED = "refused"
    """The platform does not let it be: a permission, a quota, an admission webhook, a field."""
    OUTDATED = "outdated"
    """The object has changed since it was observed: the next plan starts from what is."""
    SKIPPED = "skipped"
    """An action that this one requires has failed."""


REFUSALS = frozenset({FailureKind.NAME_TAKEN, FailureKind.REFUSED})
"""Failures that do not go away by looking again."""


@dataclass(frozen=True, slots=True)
class Failure:
    """An action that was not carried out, and why, in the platform's words."""

    action: Action
    kind: FailureKind
    message: str
