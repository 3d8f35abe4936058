"""The server processes of the local platform: as many of each revision as its ReplicaSet wants, as in Kubernetes."""

from __future__ import annotations

import asyncio
import random
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from realtime_operator import naming
from realtime_operator.api.base import JsonObject
from realtime_operator.api.document import object_at, objects_at, text_at
from realtime_operator.errors import PlatformError
from realtime_operator.planning.model.difference import label, revision_of
from realtime_operator.platforms.local.object_store import ObjectStore
from realtime_operator.platforms.local.process import Process
from realtime_operator.platforms.local.server import COMMAND, LocalServer
from realtime_operator.platforms.local.server_files import ServerFiles
from realtime_operator.platforms.local.state_folder import StateFolder

SUFFIX = "bcdfghjklmnpqrstvwxz2456789"
SUFFIX_LENGTH = 5
RETRY_SECONDS = (0.5, 30.0)
"""First and longest pause in seconds before a crashed server is replaced; the first crash has no pause."""
HEALTHY_SECONDS = 10.0
"""Lifetime in seconds after which a crashed server is replaced without a pause."""
POLL_SECONDS = 0.1
AT_ONCE_SECONDS = 15.0
"""Seconds for servers to end after a second request; their supervisors kill hanging workers slightly earlier."""
MOST_DOUBLINGS = 16


@dataclass(slots=True)
class Fleet:
    """Owner of the server processes, which run `command`. `on_change` is called whenever one has ended."""

    folder: StateFolder
    store: ObjectStore
    files: ServerFiles
    on_change: Callable[[], None]
    command: Sequence[str] = COMMAND
    servers: list[LocalServer] = field(default_factory=list)
    _crashes: dict[str, int] = field(default_factory=dict)

    def find(self, name: str) -> LocalServer | None:
        """Return the server of a name, None when there is none."""
        return next((server for server in self.servers if server.name == name), None)

    async def sync(self) -> None:
        """Start and stop processes to match the ReplicaSets; raises PlatformError when one cannot be started."""
        self._note_ends()
        wanted = {key.name: live for key, live in self.store.objects.items() if key.kind == "ReplicaSet"}
        for server in self.servers:
            if server.replica_set not in wanted:
                server.stop()
        for name, replica_set in wanted.items():
            self._refresh_files(name, replica_set)
            replicas = object_at(replica_set, "spec").get("replicas")
            assert isinstance(replicas, int)
            live = [server for server in self.servers if server.replica_set == name and not server.terminating]
            for server in sorted(live, key=_removal_order)[: max(0, len(live) - replicas)]:
                server.stop()
            for _ in range(replicas - len(live)):
                await self._start(name, replica_set)

    async def stop(self, say: Callable[[int], None], at_once: asyncio.Event) -> None:
        """Drain and end all servers; `say` is called repeatedly with the number of servers that are left.

        When `at_once` is set, servers close their connections, and those that hang are killed.
        """
        for server in self.servers:
            server.stop()
        deadline: float | None = None
        while running := [server for server in self.servers if server.process.running]:
            if at_once.is_set() and deadline is None:
                deadline = time.monotonic() + AT_ONCE_SECONDS
                for server in running:
                    server.process.terminate()
            if deadline is not None and time.monotonic() > deadline:
                self.kill()
            say(len(running))
            await asyncio.sleep(POLL_SECONDS)
        self._note_ends()

    def kill(self) -> None:
        """Kill all processes."""
        for server in self.servers:
            server.process.kill()

    def _note_ends(self) -> None:
        now = time.monotonic()
        for server in list(self.servers):
            if server.process.running:
                continue
            if server.crashed and server.retry_at is None:
                server.retry_at = now + self._pause(server)
            if not server.crashed or (server.retry_at is not None and now >= server.retry_at):
                self._forget(server)

    def _pause(self, server: LocalServer) -> float:
        """Return the seconds until a crashed server is replaced, and count the crash."""
        lived = (datetime.now(UTC) - server.created_at).total_seconds()
        crashes = 0 if lived > HEALTHY_SECONDS else self._crashes.get(server.revision, 0)
        self._crashes[server.revision] = crashes + 1
        return pause_seconds(crashes)

    def _forget(self, server: LocalServer) -> None:
        self.servers.remove(server)
        self._remove_files(server)

    def _remove_files(self, server: LocalServer) -> None:
        server.admin_socket.unlink(missing_ok=True)
        shutil.rmtree(self.folder.server(server.name), ignore_errors=True)

    async def _start(self, replica_set: str, manifest: JsonObject) -> None:
        name = f"{replica_set}-{''.join(random.choices(SUFFIX, k=SUFFIX_LENGTH))}"  # noqa: S311 - a name
        process = Process(name, self.folder.log(name), self.on_change)
        server = LocalServer(
            name=name,
            cluster=label(manifest, naming.LABEL_CLUSTER) or "",
            revision=revision_of(manifest) or "",
            replica_set=replica_set,
            process=process,
            admin_socket=self.folder.admin_socket(name),
            created_at=datetime.now(UTC),
            variables=_variables(manifest),
        )
        try:
            await server.start(self.command, self.files.write(name, manifest), self.folder.run)
        except PlatformError:
            self._remove_files(server)
            raise
        self.servers.append(server)

    def _refresh_files(self, replica_set: str, manifest: JsonObject) -> None:
        """Write changed Secrets for the running servers."""
        for server in self.servers:
            if server.replica_set == replica_set and server.process.running:
                self.files.write(server.name, manifest)


def _variables(replica_set: JsonObject) -> dict[str, str]:
    """Return the variables of the server's container whose values are in the template."""
    container = objects_at(replica_set, "spec", "template", "spec", "containers")[0]
    return {text_at(v, "name"): text_at(v, "value") for v in objects_at(container, "env") if "valueFrom" not in v}


def pause_seconds(crashes: int) -> float:
    """Return the pause in seconds before a server is replaced whose revision has crashed `crashes` times before."""
    first, longest = RETRY_SECONDS
    return min(longest, first * 2.0 ** min(crashes - 1, MOST_DOUBLINGS)) if crashes else 0.0


def _removal_order(server: LocalServer) -> tuple[int, bool, float]:
    """Sort key of removal by a ReplicaSet: lowest deletion cost, then never answered, then youngest."""
    return (server.deletion_cost, server.answered, -server.created_at.timestamp())
