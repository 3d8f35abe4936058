"""Carries out a plan against the API server and the servers' admin API, action by action."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import UTC, datetime

import structlog

from realtime_operator import naming
from realtime_operator.api.base import JsonObject
from realtime_operator.api.document import dig, text_at
from realtime_operator.errors import NotFoundError, PlatformError
from realtime_operator.metrics import Metrics
from realtime_operator.planning.plan import (
    Action,
    ApplyObject,
    DeleteObject,
    DeleteServer,
    Drain,
    EmitEvent,
    EnsureSecret,
    Plan,
    Quiesce,
    Resume,
    ScaleRevision,
    SetDeletionCost,
    SetStatus,
)
from realtime_operator.platforms.base import random_credential
from realtime_operator.platforms.kubernetes.client import KubernetesClient, path_of
from realtime_operator.platforms.kubernetes.observe import admin_token
from realtime_operator.pods.admin_client import AdminClient, ServerUnavailableError

logger = structlog.get_logger()


class Applier:
    """Carries out one plan for one cluster; `owner` is the stored RealtimeCluster."""

    def __init__(self, client: KubernetesClient, admin: AdminClient, metrics: Metrics, owner: JsonObject) -> None:
        self._client = client
        self._admin = admin
        self._metrics = metrics
        self._owner = owner
        self._namespace = text_at(owner, "metadata", "namespace")
        self._name = text_at(owner, "metadata", "name")

    async def apply(self, plan: Plan) -> None:
        """Carry out all actions in their order; raises PlatformError at the first that fails.

        A server that does not answer holds up nothing but itself: it is asked again at the next look.
        """
        for action in plan.actions:
            await self._carry_out(action)
            self._metrics.actions.labels(type(action).__name__).inc()

    async def _carry_out(self, action: Action) -> None:
        logger.debug("action", kind=type(action).__name__, about=_about(action))
        match action:
            case ApplyObject():
                await self._client.apply(self._path_of(action.manifest), action.manifest)
            case EnsureSecret():
                await self._ensure_secret(action)
            case DeleteObject():
                key = action.key
                await self._client.delete(path_of(key.api_version, key.kind, self._namespace, key.name))
            case ScaleRevision():
                path = path_of("apps/v1", "ReplicaSet", self._namespace, action.replica_set)
                await self._client.patch(path, {"spec": {"replicas": action.replicas}})
            case Quiesce() | Resume() | SetDeletionCost():
                await self._mark(action)
            case Drain():
                await self._drain(action)
            case DeleteServer():
                await self._client.delete(path_of("v1", "Pod", self._namespace, action.server))
            case EmitEvent():
                await self._tell(action)
            case SetStatus():
                await self._set_status(action)

    def _path_of(self, manifest: JsonObject) -> str:
        name = text_at(manifest, "metadata", "name")
        return path_of(text_at(manifest, "apiVersion"), text_at(manifest, "kind"), self._namespace, name)

    async def _ensure_secret(self, action: EnsureSecret) -> None:
        path = self._path_of(action.manifest)
        try:
            present = dig(await self._client.get(path), "data")
        except NotFoundError:
            present = None
        kept = present if isinstance(present, dict) else {}
        missing = {key: _random_value() for key in action.keys if key not in kept}
        await self._client.apply(path, {**action.manifest, "data": {**_only(kept, action.keys), **missing}})

    async def _mark(self, action: Quiesce | Resume | SetDeletionCost) -> None:
        if isinstance(action, Resume):
            await self._resume(action.server)
        try:
            await self._client.patch(path_of("v1", "Pod", self._namespace, action.server), {"metadata": _marks(action)})
        except NotFoundError:
            return

    async def _resume(self, server: str) -> None:
        address, token = await self._access(server)
        if address:
            try:
                await self._admin.resume(address, token)
            except ServerUnavailableError as error:
                logger.warning("server does not answer", server=server, call="resume", error=str(error))

    async def _drain(self, action: Drain) -> None:
        address, token = await self._access(action.server)
        if address:
            try:
                await self._admin.drain(address, token, action.connections_per_second)
            except ServerUnavailableError as error:
                logger.warning("server does not answer", server=action.server, call="drain", error=str(error))

    async def _access(self, server: str) -> tuple[str, str]:
        """The server's address and the admin token; empty when the pod is gone."""
        try:
            pod = await self._client.get(path_of("v1", "Pod", self._namespace, server))
            path = path_of("v1", "Secret", self._namespace, naming.credentials_secret(self._name))
            return text_at(pod, "status", "podIP"), admin_token(await self._client.get(path))
        except NotFoundError:
            return "", ""

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

    async def _tell(self, action: EmitEvent) -> None:
        """Create an Event. One that cannot be told is not worth failing for."""
        logger.info("event", cluster=f"{self._namespace}/{self._name}", reason=action.reason, message=action.message)
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        document: JsonObject = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"generateName": f"{self._name}.", "namespace": self._namespace},
            "involvedObject": {
                "apiVersion": naming.API_VERSION,
                "kind": naming.KIND,
                "name": self._name,
                "namespace": self._namespace,
                "uid": text_at(self._owner, "metadata", "uid"),
            },
            "type": action.type.value,
            "reason": str(action.reason),
            "message": action.message[:1024],
            "source": {"component": naming.MANAGED_BY},
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }
        try:
            await self._client.create(path_of("v1", "Event", self._namespace), document)
        except PlatformError as error:
            logger.warning("event not told", error=str(error))


def _random_value() -> str:
    return base64.b64encode(random_credential().encode()).decode()


def _only(values: Mapping[str, object], keys: tuple[str, ...]) -> dict[str, str]:
    return {key: str(values[key]) for key in keys if key in values}


def _marks(action: Quiesce | Resume | SetDeletionCost) -> JsonObject:
    if isinstance(action, Quiesce):
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return {"labels": {naming.LABEL_SERVING: "false"}, "annotations": {naming.ANNOTATION_QUIESCED_AT: now}}
    if isinstance(action, Resume):
        return {"labels": {naming.LABEL_SERVING: "true"}, "annotations": {naming.ANNOTATION_QUIESCED_AT: None}}
    cost = str(action.cost) if action.cost else None
    return {"annotations": {naming.ANNOTATION_DELETION_COST: cost}}


def _about(action: Action) -> str:
    if isinstance(action, ApplyObject | EnsureSecret):
        return f"{text_at(action.manifest, 'kind')} {text_at(action.manifest, 'metadata', 'name')}"
    if isinstance(action, EmitEvent | SetStatus):
        return ""
    return str(action)
