"""Execution of actions by the API server and the servers' admin API, one by one."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from realtime_operator import naming
from realtime_operator.api.base import JsonObject
from realtime_operator.api.document import object_at, text_at
from realtime_operator.api.v1alpha1_certificate import KEY_AUTHORITY
from realtime_operator.builders.redis.secret import KEY_AUTHORITY_KEY
from realtime_operator.errors import (
    ConflictError,
    NameTakenError,
    NotFoundError,
    PlatformError,
    UnreachableError,
)
from realtime_operator.metrics import Metrics
from realtime_operator.planning.model.plan import (
    Action,
    ApplyObject,
    CreateObject,
    DeleteObject,
    DeletePod,
    DeleteServer,
    Drain,
    EmitEvent,
    EnsureSecret,
    Failure,
    FailureKind,
    IssueCertificate,
    ProbeServer,
    Quiesce,
    ResizeClaim,
    Resume,
    RotateCredentials,
    RotationStep,
    ScaleRevision,
    SetDeletionCost,
    SetShare,
    SetStatus,
)
from realtime_operator.platforms.base import Key, random_credential, skipped
from realtime_operator.platforms.certificate_authority import issue
from realtime_operator.platforms.kubernetes.client import KubernetesClient, path_of
from realtime_operator.platforms.kubernetes.credential_memory import CredentialMemory
from realtime_operator.platforms.kubernetes.event_recorder import EventRecorder
from realtime_operator.platforms.kubernetes.ownership import claims_to_merge, is_owned, name_taken_message
from realtime_operator.platforms.kubernetes.secret_reader import SecretReader
from realtime_operator.pods.admin_client import AdminClient, ServerUnavailableError

logger = structlog.get_logger()

FAILURE_KINDS: Mapping[type[PlatformError], FailureKind] = {
    NameTakenError: FailureKind.NAME_TAKEN,
    ConflictError: FailureKind.OUTDATED,
    NotFoundError: FailureKind.OUTDATED,
}
"""Kind of failure by type of error; other errors are REFUSED."""


@dataclass(frozen=True, slots=True)
class ApplierTools:
    """Tools that all appliers of a process share."""

    client: KubernetesClient
    admin: AdminClient
    metrics: Metrics
    events: EventRecorder
    credentials: CredentialMemory
    secrets: SecretReader


class Applier:
    """Carries out actions for one cluster; `owner` is the stored RealtimeCluster."""

    def __init__(self, tools: ApplierTools, owner: JsonObject) -> None:
        self._client = tools.client
        self._admin = tools.admin
        self._metrics = tools.metrics
        self._events = tools.events
        self._credentials = tools.credentials
        self._secrets = tools.secrets
        self._owner = owner
        self._namespace = text_at(owner, "metadata", "namespace")
        self._name = text_at(owner, "metadata", "name")
        self._uid = text_at(owner, "metadata", "uid")

    async def apply(self, actions: Sequence[Action]) -> tuple[Failure, ...]:
        """See Platform.apply. Raises UnreachableError when the API server does not answer.

        A server that does not answer delays no other action; the next reconcile calls it again.
        """
        failures: list[Failure] = []
        for action in actions:
            failure = skipped(action, failures) or await self._try(action)
            if failure is not None:
                failures.append(failure)
            else:
                self._metrics.actions.labels(type(action).__name__).inc()
        return tuple(failures)

    async def _try(self, action: Action) -> Failure | None:
        try:
            await self._carry_out(action)
        except UnreachableError:
            raise
        except PlatformError as error:
            return Failure(action, FAILURE_KINDS.get(type(error), FailureKind.REFUSED), str(error))
        return None

    async def _carry_out(self, action: Action) -> None:
        logger.debug("action", kind=type(action).__name__, about=_about(action))
        match action:
            case CreateObject():
                await self._create(action.manifest)
            case ApplyObject():
                await self._apply(action.manifest, action.uid, merges_fields=action.merges_fields)
            case EnsureSecret() | RotateCredentials() | IssueCertificate():
                await self._write_secret(action)
            case DeleteObject() | DeleteServer() | DeletePod():
                await self._delete(action)
            case ScaleRevision():
                path = path_of("apps/v1", "ReplicaSet", self._namespace, action.replica_set)
                await self._client.patch(path, {"spec": {"replicas": action.replicas}}, action.uid)
            case Quiesce() | Resume() | SetDeletionCost():
                await self._mark(action)
            case Drain() | SetShare() | ProbeServer():
                await self._call(action)
            case ResizeClaim():
                path = path_of("v1", "PersistentVolumeClaim", self._namespace, action.name)
                size: JsonObject = {"resources": {"requests": {"storage": action.size}}}
                await self._client.patch(path, {"spec": size}, action.uid)
            case EmitEvent():
                await self._events.record(self._owner, action)
            case SetStatus():
                await self._set_status(action)

    def _path_of(self, manifest: JsonObject, *, collection: bool = False) -> str:
        name = "" if collection else text_at(manifest, "metadata", "name")
        return path_of(text_at(manifest, "apiVersion"), text_at(manifest, "kind"), self._namespace, name)

    async def _create(self, manifest: JsonObject) -> None:
        """Create an object that was not observed; an existing one is adopted only if the cluster owns it.

        A child without its labels is not observed, and gets them back here.
        """
        try:
            await self._client.create(self._path_of(manifest, collection=True), manifest)
        except ConflictError:
            live = await self._client.get(self._path_of(manifest))
            if not is_owned(live, self._uid):
                raise NameTakenError(name_taken_message(text_at(manifest, "kind"), live, self._name)) from None
            if text_at(live, "metadata", "deletionTimestamp"):
                raise
            await self._apply(manifest, text_at(live, "metadata", "uid"), merges_fields=True)

    async def _apply(self, manifest: JsonObject, uid: str, *, merges_fields: bool) -> None:
        """Apply to the object with this uid; raises ConflictError when there is another one or none.

        `merges_fields`: see ApplyObject.
        """
        path = self._path_of(manifest)
        if merges_fields:
            await self._merge_claims(path, uid)
        await self._client.apply(path, {**manifest, "metadata": {**object_at(manifest, "metadata"), "uid": uid}})

    async def _merge_claims(self, path: str, uid: str) -> None:
        live = await self._client.get(path)
        if text_at(live, "metadata", "uid") != uid:
            raise ConflictError(f"{path}: another object has this name now")
        claims = claims_to_merge(live)
        if claims is not None:
            version = text_at(live, "metadata", "resourceVersion")
            await self._client.patch(path, {"metadata": {"resourceVersion": version, "managedFields": claims}}, uid)

    async def _delete(self, action: DeleteObject | DeleteServer | DeletePod) -> None:
        if isinstance(action, DeleteObject):
            key, orphans = action.key, action.orphans_children
            path = path_of(key.api_version, key.kind, self._namespace, key.name)
            await self._client.delete(path, action.uid, action.resource_version, orphans_children=orphans)
            return
        name = action.server if isinstance(action, DeleteServer) else action.name
        await self._client.delete(path_of("v1", "Pod", self._namespace, name), action.uid)

    async def _write_secret(self, action: EnsureSecret | RotateCredentials | IssueCertificate) -> None:
        match action:
            case EnsureSecret():
                await self._ensure_secret(action)
            case RotateCredentials():
                await self._rotate(action)
            case IssueCertificate():
                await self._issue(action)

    async def _issue(self, action: IssueCertificate) -> None:
        """Write a new certificate; raises ConflictError when the Secret is not as it was observed."""
        path, secret = self._path_of(action.manifest), text_at(action.manifest, "metadata", "name")
        live = await self._client.get(path) if action.uid is not None else {}
        if text_at(live, "metadata", "resourceVersion") != action.resource_version:
            raise ConflictError(f"Secret {secret} has changed since it was observed")
        issued = issue(self._known_values(secret, object_at(live, "data")), action)
        data: JsonObject = {key: base64.b64encode(value).decode() for key, value in issued.values.items()}
        manifest: JsonObject = {**issued.manifest, "data": data}
        if action.uid is not None:
            await self._apply(manifest, action.uid, merges_fields=True)
            return
        try:
            await self._client.create(self._path_of(manifest, collection=True), manifest)
        except ConflictError:
            live = await self._client.get(path)
            if not is_owned(live, self._uid):
                raise NameTakenError(name_taken_message("Secret", live, self._name)) from None
            await self._apply(manifest, text_at(live, "metadata", "uid"), merges_fields=True)

    def _known_values(self, secret: str, data: JsonObject) -> dict[str, bytes]:
        """Return the values of a certificate's Secret, and those that were seen before of what is missing."""
        values: dict[str, bytes] = {}
        for key in (KEY_AUTHORITY, KEY_AUTHORITY_KEY):
            known = self._credentials.value(Key(self._namespace, self._name), self._uid, secret, key)
            text = data.get(key) or known
            if text is not None:
                values[key] = base64.b64decode(str(text))
        return values

    async def _ensure_secret(self, action: EnsureSecret) -> None:
        """Keep existing values, restore those that were seen before, and generate the missing ones."""
        path = self._path_of(action.manifest)
        present = object_at(await self._client.get(path), "data") if action.uid is not None else {}
        kept = {key: value for key, value in present.items() if key in action.keys}
        missing: JsonObject = {key: self._known_or_new(action, key) for key in action.keys if key not in kept}
        manifest: JsonObject = {**action.manifest, "data": {**kept, **missing}}
        if action.uid is None:
            await self._create_secret(manifest, action)
        else:
            await self._apply(manifest, action.uid, merges_fields=True)

    async def _rotate(self, action: RotateCredentials) -> None:
        """Write the values and the state at once; raises ConflictError when the Secret is not as it was observed."""
        path = path_of("v1", "Secret", self._namespace, action.secret)
        values = object_at(await self._client.get(path), "data")
        data: JsonObject = {}
        for key in action.keys:
            second = naming.alternate(key)
            if action.step is RotationStep.EXCHANGE:
                data |= {key: values[second], second: values[key]}
            else:
                data[second] = _random_value()
        annotations: JsonObject = {naming.ANNOTATION_ROTATION: action.annotation}
        metadata: JsonObject = {"resourceVersion": action.resource_version, "annotations": annotations}
        await self._client.patch(path, {"metadata": metadata, "data": data}, action.uid)

    def _known_or_new(self, action: EnsureSecret, key: str) -> str:
        secret = text_at(action.manifest, "metadata", "name")
        known = self._credentials.value(Key(self._namespace, self._name), self._uid, secret, key)
        if known is not None:
            logger.warning("credential restored", cluster=f"{self._namespace}/{self._name}", secret=secret, key=key)
        return known or _random_value()

    async def _create_secret(self, manifest: JsonObject, action: EnsureSecret) -> None:
        try:
            await self._client.create(self._path_of(manifest, collection=True), manifest)
        except ConflictError:
            live = await self._client.get(self._path_of(manifest))
            if not is_owned(live, self._uid):
                raise NameTakenError(name_taken_message("Secret", live, self._name)) from None
            await self._ensure_secret(EnsureSecret(action.manifest, action.keys, text_at(live, "metadata", "uid")))

    async def _mark(self, action: Quiesce | Resume | SetDeletionCost) -> None:
        if isinstance(action, Resume):
            await self._call(action)
        path = path_of("v1", "Pod", self._namespace, action.server)
        try:
            await self._client.patch(path, {"metadata": _marks(action)}, action.uid)
        except NotFoundError:
            return

    async def _call(self, action: Resume | Drain | SetShare | ProbeServer) -> None:
        """Call a server's admin API, if it has an address; the next reconcile repeats a call that failed."""
        admin = action.admin
        if admin is None:
            return
        secret = await self._secrets.get(Key(self._namespace, self._name), admin.secret)
        tokens = () if secret is None else secret.admin_tokens
        try:
            match action:
                case Resume():
                    await self._admin.resume(admin.address, tokens)
                case Drain():
                    await self._admin.drain(admin.address, tokens, action.connections_per_second)
                case SetShare():
                    await self._admin.set_share(admin.address, tokens, action.connections_per_second)
                case ProbeServer():
                    await self._admin.probe(admin.address, tokens)
        except ServerUnavailableError as error:
            logger.warning("server does not answer", server=action.server, call=type(action).__name__, error=str(error))

    async def _set_status(self, action: SetStatus) -> None:
        document: JsonObject = {
            "apiVersion": naming.API_VERSION,
            "kind": naming.KIND,
            "metadata": {"name": self._name, "namespace": self._namespace},
            "status": action.status,
        }
        path = path_of(naming.API_VERSION, naming.KIND, self._namespace, self._name, "status")
        try:
            await self._client.apply(path, document)
        except NotFoundError:
            return


def _random_value() -> str:
    return base64.b64encode(random_credential().encode()).decode()


def _marks(action: Quiesce | Resume | SetDeletionCost) -> JsonObject:
    if isinstance(action, Quiesce):
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return {"labels": {naming.LABEL_SERVING: "false"}, "annotations": {naming.ANNOTATION_QUIESCED_AT: now}}
    if isinstance(action, Resume):
        return {"labels": {naming.LABEL_SERVING: "true"}, "annotations": {naming.ANNOTATION_QUIESCED_AT: None}}
    cost = str(action.cost) if action.cost else None
    return {"annotations": {naming.ANNOTATION_DELETION_COST: cost}}


def _about(action: Action) -> str:
    if isinstance(action, CreateObject | ApplyObject | EnsureSecret | IssueCertificate):
        return f"{text_at(action.manifest, 'kind')} {text_at(action.manifest, 'metadata', 'name')}"
    if isinstance(action, EmitEvent | SetStatus):
        return ""
    return str(action)
