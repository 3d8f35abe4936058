"""Actions that a platform carries out in their order, and its report on those that fail.

An action carries all that carrying it out needs, as it was observed; a platform reads again only what planning never
sees: the values of Secrets, and whose fields are whose. `uid` names the very object that was observed: one of the same
name that took its place is left for the next plan.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from realtime_operator.api.base import JsonObject
from realtime_operator.planning.model.world import AdminAccess, ObjectKey


@dataclass(frozen=True, slots=True)
class CreateObject:
    """Create the manifest's object, which has its owner reference and ANNOTATION_APPLIED.

    An object of that name that the cluster does not own is not touched: the action fails with FailureKind.NAME_TAKEN.
    `requires` are objects that must exist first: when one of them failed in the same plan, this action is skipped.
    """

    manifest: JsonObject
    requires: tuple[ObjectKey, ...] = ()


@dataclass(frozen=True, slots=True)
class ApplyObject:
    """Server-side apply the manifest to the observed object, identified by `uid`.

    `requires`: see CreateObject. `merges_fields`: the operator has set fields by other operations than Apply, such as
    the creation; they are moved to its Apply entry first, so that fields that the manifest no longer has are removed.
    """

    manifest: JsonObject
    uid: str
    requires: tuple[ObjectKey, ...] = ()
    merges_fields: bool = False


@dataclass(frozen=True, slots=True)
class EnsureSecret:
    """Create the Secret, or add missing keys with random values; existing keys keep their value.

    `manifest` has everything but the data. `uid` is that of the observed Secret, None when there was none: then a
    Secret of that name that the cluster does not own fails the action with FailureKind.NAME_TAKEN.
    """

    manifest: JsonObject
    keys: tuple[str, ...]
    uid: str | None = None


class RotationStep(StrEnum):
    """What a step of a rotation does to the two values of each credential."""

    RENEW = "renew"
    """Give the alternate value new random text."""
    EXCHANGE = "exchange"
    """Exchange the two values."""


@dataclass(frozen=True, slots=True)
class RotateCredentials:
    """Carry out a step on the Secret as it was observed; `annotation` becomes its ANNOTATION_ROTATION.

    Values and annotation are written at once, and only to this version of the Secret: no step is repeated.
    """

    secret: str
    uid: str
    resource_version: str
    step: RotationStep
    keys: tuple[str, ...]
    annotation: str


@dataclass(frozen=True, slots=True)
class IssueCertificate:
    """Issue a certificate for `names` by the authority in the Secret, which is made if it is missing or unusable.

    `manifest` has everything but the data and the record of it. With `renews_authority` the authority gets a new
    certificate for its key. `uid` and `resource_version` are those of the observed Secret, None and "" when there was
    none.
    """

    manifest: JsonObject
    names: tuple[str, ...]
    not_before: datetime
    not_after: datetime
    authority_not_after: datetime
    renews_authority: bool = False
    uid: str | None = None
    resource_version: str = ""


@dataclass(frozen=True, slots=True)
class DeleteObject:
    """Delete the observed object; its children are garbage-collected. Succeeds when it does not exist.

    `uid` and `resource_version` are preconditions: an object that has changed since is left for the next plan.
    `orphans_children`: the children stay, to be adopted by the object's successor.
    """

    key: ObjectKey
    uid: str
    resource_version: str
    orphans_children: bool = False


@dataclass(frozen=True, slots=True)
class ScaleRevision:
    """Set the number of pods of the ReplicaSet `replica_set`."""

    replica_set: str
    uid: str
    replicas: int


@dataclass(frozen=True, slots=True)
class Quiesce:
    """Take a server out of the endpoints: set LABEL_SERVING "false" and ANNOTATION_QUIESCED_AT on its pod."""

    server: str
    uid: str


@dataclass(frozen=True, slots=True)
class Resume:
    """Return a server to service: stop its drain, set LABEL_SERVING "true", remove ANNOTATION_QUIESCED_AT."""

    server: str
    uid: str
    admin: AdminAccess | None


@dataclass(frozen=True, slots=True)
class Drain:
    """Start a drain of a server, or change the rate of a running one; at a rate of 0 it waits."""

    server: str
    admin: AdminAccess | None
    connections_per_second: float


@dataclass(frozen=True, slots=True)
class SetShare:
    """Set the rate at which a server drains when it must stop and the operator is away."""

    server: str
    admin: AdminAccess | None
    connections_per_second: float


@dataclass(frozen=True, slots=True)
class ProbeServer:
    """Let a server probe itself; its next reports have the result."""

    server: str
    admin: AdminAccess | None


@dataclass(frozen=True, slots=True)
class SetDeletionCost:
    """Set ANNOTATION_DELETION_COST of a pod: the ReplicaSet controller deletes the lowest first."""

    server: str
    uid: str
    cost: int


@dataclass(frozen=True, slots=True)
class DeleteServer:
    """Delete a server's pod that has failed or is drained; its ReplicaSet replaces it."""

    server: str
    uid: str


@dataclass(frozen=True, slots=True)
class DeletePod:
    """Delete the observed pod of Redis, identified by uid: the pods of a StatefulSet reuse their names."""

    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class ResizeClaim:
    """Request another size of a PersistentVolumeClaim, as a quantity; its storage class must allow it."""

    name: str
    uid: str
    size: str


class EventType(StrEnum):
    """Type of a Kubernetes Event."""

    NORMAL = "Normal"
    WARNING = "Warning"


@dataclass(frozen=True, slots=True)
class EmitEvent:
    """Emit an Event."""

    type: EventType
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class SetStatus:
    """Write the whole status; planned only when it differs from the observed one."""

    status: JsonObject


Action = (
    CreateObject
    | ApplyObject
    | EnsureSecret
    | RotateCredentials
    | IssueCertificate
    | DeleteObject
    | ScaleRevision
    | Quiesce
    | Resume
    | Drain
    | SetShare
    | ProbeServer
    | SetDeletionCost
    | DeleteServer
    | DeletePod
    | ResizeClaim
    | EmitEvent
    | SetStatus
)


class FailureKind(StrEnum):
    """Kind of reason for which an action was not carried out."""

    NAME_TAKEN = "name taken"
    """An object of that name exists that the cluster does not own."""
    REFUSED = "refused"
    """The platform refuses the write: a permission, a quota, an admission webhook, an invalid field."""
    OUTDATED = "outdated"
    """The object has changed since it was observed; the next plan starts from its new state."""
    SKIPPED = "skipped"
    """An action that this one requires has failed."""


REFUSALS = frozenset({FailureKind.NAME_TAKEN, FailureKind.REFUSED})
"""Failures that a retry does not resolve by itself."""


@dataclass(frozen=True, slots=True)
class Failure:
    """An action that was not carried out, with the platform's message."""

    action: Action
    kind: FailureKind
    message: str
