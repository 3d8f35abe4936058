"""A running cluster on this machine: `realtime up` with its own file, state folder and ports."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import TypeVar

import aiohttp
import yaml

from realtime_operator import naming
from realtime_operator.api.base import JsonObject, JsonValue
from tests.kit.api import ServerApi
from tests.kit.deadline import eventually
from tests.kit.document import dig, object_at, parse, text_at, whole_at
from tests.kit.kube import name_of
from tests.kit.realtime_command import RealtimeUp, contained, processes_that_name
from tests.kit.running_cluster import ClusterEvent, RunningServer, is_observed, is_settled
from tests.kit.tokens import connection_token

T = TypeVar("T")

READY_SECONDS = 45
TAKEN_SECONDS = 30
CALL_SECONDS = 15
EVERY_SECONDS = 0.05


class LocalCluster:
    """Implements RunningCluster; use `local_cluster`. `up` is the platform's process with its file and folder."""

    def __init__(self, up: RealtimeUp) -> None:
        self.up = up
        self.document: JsonObject = {}
        """Content of the file."""

    async def apply(self, document: JsonObject) -> None:
        """Write the file; start the platform if it is not running, and wait until it has read the file."""
        self.document = document
        self.save(document)
        if self.up.process is None:
            await self.start()
        await self._wait_for(self.get, lambda o: o.get("spec") == document.get("spec"), what="the file taken")

    def save(self, *documents: JsonObject) -> None:
        """Replace the file atomically, as editors do."""
        self.save_text(yaml.safe_dump_all(documents))

    def save_text(self, text: str) -> None:
        """Replace the file with any text."""
        new = self.up.file.with_suffix(".new")
        new.write_text(text)
        new.replace(self.up.file)

    async def start(self) -> None:
        """Start the platform, and wait until it answers."""
        await self.up.spawn()
        await self._wait_for(self._answers, bool, what="the platform answers")

    async def patch(self, **spec: object) -> None:
        """See RunningCluster."""
        status, answer = await self._control("PATCH", "cluster", parse(json.dumps({"spec": spec})))
        assert status == 200, answer

    async def get(self) -> JsonObject:
        """See RunningCluster."""
        return object_at(await self._read("cluster"))

    async def wait(self, fact: Callable[[JsonObject], bool], *, what: str, within: float = READY_SECONDS) -> JsonObject:
        """See RunningCluster."""
        return await self._wait_for(self.get, lambda o: is_observed(o) and fact(o), what=what, within=within)

    async def wait_ready(self, *, within: float = READY_SECONDS) -> JsonObject:
        """See RunningCluster."""
        return await self.wait(is_settled, what="Ready and settled", within=within)

    async def url(self) -> str:
        """See RunningCluster."""
        return text_at(await self._read("platform"), "client")

    async def api(self) -> ServerApi:
        """See RunningCluster."""
        address = text_at(await self._read("platform"), "api").removesuffix("/api")
        return ServerApi(address, await self.credential(naming.KEY_API))

    async def token(self, user: str) -> str:
        """See RunningCluster."""
        return connection_token(await self.credential(naming.KEY_TOKEN_SECRET), user)

    async def credential(self, key: str) -> str:
        """See RunningCluster."""
        return await self.secret(naming.credentials_secret(name_of(self.document)), key)

    async def secret(self, name: str, key: str) -> str:
        """Return a value of a Secret."""
        return text_at(await self._read(f"secrets/{name}"), key)

    async def servers(self) -> list[RunningServer]:
        """See RunningCluster; queries every server."""
        entries = await self._read("servers")
        assert isinstance(entries, list)
        headers = {"Authorization": f"Bearer {await self.credential(naming.KEY_ADMIN_TOKEN)}"}
        found = [await _ask(object_at(entry), headers) for entry in entries]
        return sorted(found, key=lambda server: server.name)

    async def connections(self) -> dict[str, int]:
        """See RunningCluster."""
        return {one.name: one.connections for one in await self.servers() if one.connections is not None}

    async def kill_server(self, name: str) -> None:
        """See RunningCluster."""
        processes = processes_that_name(str(self.up.state), f"{naming.ENV_SERVER_NAME}={name}\0")
        assert processes, f"server {name} has no processes"
        for process in processes:
            with contextlib.suppress(ProcessLookupError):  # it ends with its supervisor
                os.kill(process, signal.SIGKILL)

    async def kill_redis(self) -> None:
        """See RunningCluster."""
        process = whole_at(await self._read("platform"), "redis", "pid")
        assert process, "no Redis runs"
        os.kill(process, signal.SIGKILL)

    async def scale(self, replicas: int) -> None:
        """See RunningCluster."""
        await self.patch(replicas=replicas)

    async def put_secret(self, name: str, values: Mapping[str, str]) -> None:
        """Add the Secret to the file: the local platform reads Secrets from there."""
        self.document = {**self.document, "spec": (await self.get())["spec"]}
        metadata: JsonObject = {"name": name}
        self.save({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {**values}}, self.document)
        await self._wait_for(lambda: self._read(f"secrets/{name}"), lambda read: read == values, what=f"Secret {name}")

    async def events(self) -> list[ClusterEvent]:
        """See RunningCluster."""
        entries = await self._read("events")
        assert isinstance(entries, list)
        return [ClusterEvent(text_at(e, "type"), text_at(e, "reason"), text_at(e, "message")) for e in entries]

    async def writes(self) -> list[str]:
        """Return the lines of the platform's log about changes that it made."""
        return [line for line in self.up.log.read_text().splitlines() if "] reconcile " in line]

    async def _answers(self) -> bool:
        """Return True when the platform answers; fails when it has ended."""
        process = self.up.process
        assert process is not None
        assert process.returncode is None, self.up.log.read_text()
        try:
            return (await self.get()) != {}
        except aiohttp.ClientError:  # no socket yet, or that of an earlier run
            return False

    @property
    def control(self) -> Path:
        """Return the path of the platform's control socket."""
        return self.up.state / "run" / "control.sock"

    async def _wait_for(
        self, read: Callable[[], Awaitable[T]], fact: Callable[[T], bool], *, what: str, within: float = TAKEN_SECONDS
    ) -> T:
        return await eventually(read, fact, what=what, within=within, every=EVERY_SECONDS)

    async def server_entries(self) -> list[JsonObject]:
        """Return the platform's list of servers."""
        entries = await self._read("servers")
        assert isinstance(entries, list)
        return [object_at(entry) for entry in entries]

    async def _read(self, path: str) -> JsonValue:
        _, document = await self._control("GET", path)
        return document

    async def _control(self, method: str, path: str, body: JsonObject | None = None) -> tuple[int, JsonValue]:
        async with _session(str(self.control)) as session, session.request(method, f"/v1/{path}", json=body) as answer:
            document: JsonValue = await answer.json()
            return answer.status, document


def _session(socket: str, headers: Mapping[str, str] | None = None) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        "http://local",
        connector=aiohttp.UnixConnector(socket),
        timeout=aiohttp.ClientTimeout(total=CALL_SECONDS),
        headers=headers,
    )


async def _ask(entry: JsonObject, headers: Mapping[str, str]) -> RunningServer:
    """Return a server as observed; without an answer it is not ready."""
    ready, connections = False, None
    with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
        async with _session(text_at(entry, "admin_socket"), headers) as session:
            async with session.get("/health/ready") as answer:
                ready = answer.status == 200
            async with session.get("/admin/v1/status") as answer:
                connections = whole_at(await answer.json(), "connections")
    return RunningServer(
        name=text_at(entry, "name"),
        revision=text_at(entry, "revision"),
        ready=ready and dig(entry, "terminating") is False,
        serving=dig(entry, "serving") is True,
        connections=connections,
    )


@contextlib.asynccontextmanager
async def local_cluster() -> AsyncIterator[LocalCluster]:
    """Run a local cluster while the body runs; all of its processes have ended afterwards."""
    async with contained("", "--verbose") as up:
        yield LocalCluster(up)
