"""The local platform: objects in memory, servers and Redis as processes of one machine."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version

import structlog

from realtime_operator import naming
from realtime_operator.api.base import JsonObject
from realtime_operator.api.references import read_secrets
from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.builders import BuildSettings
from realtime_operator.planning.decisions.policies import PlannerSettings
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
    IssueCertificate,
    ProbeServer,
    Quiesce,
    ResizeClaim,
    Resume,
    RotateCredentials,
    ScaleRevision,
    SetDeletionCost,
    SetShare,
    SetStatus,
)
from realtime_operator.planning.model.world import Endpoints, ObjectKey, World, object_key
from realtime_operator.platforms.base import Key
from realtime_operator.platforms.certificate_authority import issue
from realtime_operator.platforms.local.fleet import Fleet
from realtime_operator.platforms.local.object_store import Event, ObjectStore
from realtime_operator.platforms.local.redis import LocalRedis
from realtime_operator.platforms.local.server import LocalServer
from realtime_operator.pods.admin_client import AdminClient, ServerUnavailableError

logger = structlog.get_logger()

SETTINGS = PlannerSettings(
    # Images mean nothing here: every server runs the release that is installed.
    BuildSettings(server_image="local", redis_image="local", operator_version=version("realtime-operator")),
    poll_seconds=0.25,
    autoscaling_poll_seconds=1.0,
)
"""Settings by which clusters are built and planned on this platform."""


@dataclass(frozen=True, slots=True)
class LocalPlatform:
    """Implements Platform for the one cluster of its store. `on_event` is called with every Event."""

    store: ObjectStore
    fleet: Fleet
    admin: AdminClient
    redis: LocalRedis | None
    on_event: Callable[[Event], None]
    _starting: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Serializes starting of processes: two concurrent comparisons would start everything twice."""

    async def read(self, key: Key) -> JsonObject | None:
        """See Platform."""
        cluster = self.store.cluster
        return copy.deepcopy(cluster) if cluster is not None and _key_of(cluster) == key else None

    def clusters(self) -> Iterable[tuple[JsonObject, Sequence[JsonObject]]]:
        """See Platform. There is one."""
        return () if self.store.cluster is None else ((self.store.cluster, tuple(self.store.objects.values())),)

    async def observe(self, cluster: RealtimeCluster) -> World:
        """See Platform. Processes that have ended by themselves are restarted first, as by Kubernetes' controllers."""
        async with self._starting:
            await self._sync(cluster)
        name = cluster.metadata.name
        token = self._admin_token(name)
        servers = await asyncio.gather(*(server.observe(self.admin, token) for server in self.fleet.servers))
        known = {key.name for key in self.store.objects if key.kind == "Secret"}
        known |= read_secrets(cluster)
        hashes = {secret: self.store.secret_hashes(secret) for secret in known}
        ports = self.fleet.files.ports
        by_sdk = cluster.spec.protocols.centrifuge.mode == "Enabled"
        return World(
            objects={key: copy.deepcopy(live) for key, live in self.store.objects.items()},
            servers=tuple(servers),
            secrets={secret: values for secret, values in hashes.items() if values},
            endpoints=Endpoints(ports.client_url if by_sdk else ports.client_origin, ports.api_url),
        )

    async def apply(self, owner: JsonObject, actions: Sequence[Action]) -> tuple[Failure, ...]:
        """See Platform. Never returns failures: the store has no other writers."""
        name = _key_of(owner).name
        for action in actions:
            await self._carry_out(action, name)
        if any(isinstance(action, CreateObject | ApplyObject | ScaleRevision | DeleteObject) for action in actions):
            async with self._starting:
                await self.fleet.sync()
        return ()

    async def _carry_out(self, action: Action, cluster: str) -> None:
        match action:
            case CreateObject() | ApplyObject():
                self.store.apply(action.manifest)
            case EnsureSecret():
                self.store.ensure_secret(action.manifest, action.keys)
            case IssueCertificate():
                self._issue(action)
            case DeleteObject():
                self.store.delete(action.key)
            case ScaleRevision():
                self.store.scale(action.replica_set, action.replicas)
            case SetStatus():
                self.store.set_status(action.status)
            case EmitEvent():
                self.on_event(self.store.record_event(action))
            case DeletePod() | ResizeClaim() | RotateCredentials():
                pass  # Redis is a process here, which is never tried and has no volume; and a file has no annotations
            case Quiesce() | Resume() | SetDeletionCost() | Drain() | SetShare() | ProbeServer() | DeleteServer():
                server = self.fleet.find(action.server)
                if server is not None:
                    await self._tell_server(server, action, self._admin_token(cluster))

    def _issue(self, action: IssueCertificate) -> None:
        """Write a new certificate, which nobody uses: Redis is a process on a Unix socket here."""
        name = object_key(action.manifest).name
        issued = issue({key: value.encode() for key, value in self.store.secret(name).items()}, action)
        self.store.put_secret(name, {key: value.decode() for key, value in issued.values.items()})
        self.store.apply(issued.manifest)

    async def _tell_server(
        self,
        server: LocalServer,
        action: Quiesce | Resume | SetDeletionCost | Drain | SetShare | ProbeServer | DeleteServer,
        token: str,
    ) -> None:
        """Carry out an action on a server; if it does not answer, the next reconcile repeats the action."""
        address = str(server.admin_socket)
        try:
            match action:
                case Quiesce():
                    server.quiesce()
                    await self.admin.quiesce(address, token)
                case Resume():
                    server.resume()
                    await self.admin.resume(address, token)
                case Drain():
                    await self.admin.drain(address, token, action.connections_per_second)
                case SetShare():
                    await self.admin.set_share(address, token, action.connections_per_second)
                case ProbeServer():
                    await self.admin.probe(address, token)
                case SetDeletionCost():
                    server.deletion_cost = action.cost
                case DeleteServer():
                    server.stop()
        except ServerUnavailableError as error:
            logger.warning("server does not answer", server=server.name, call=type(action).__name__, error=str(error))

    async def _sync(self, cluster: RealtimeCluster) -> None:
        key = ObjectKey("apps/v1", "StatefulSet", naming.redis(cluster.metadata.name))
        stateful_set = self.store.objects.get(key)
        if stateful_set is not None:
            if self.redis is not None:
                password = self.store.secret(naming.redis(cluster.metadata.name)).get(naming.KEY_REDIS_PASSWORD)
                if password is not None:  # else somebody has removed it, and another one is planned now
                    await self.redis.ensure(password)
            self.store.objects[key] = {**stateful_set, "status": {"readyReplicas": 1}}
        elif self.redis is not None:
            await self.redis.end()
        await self.fleet.sync()

    def _admin_token(self, cluster: str) -> str:
        return self.store.secret(naming.credentials_secret(cluster)).get(naming.KEY_ADMIN_TOKEN, "")


def _key_of(document: JsonObject) -> Key:
    metadata = document["metadata"]
    assert isinstance(metadata, dict)
    return Key(str(metadata["namespace"]), str(metadata["name"]))
