"""The interface of a running RealtimeCluster on any platform, for scenarios."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import yaml

from realtime_operator import naming
from realtime_operator.api.base import JsonObject
from tests.kit.api import ServerApi
from tests.kit.deadline import eventually
from tests.kit.document import dig, object_at, parse
from tests.kit.kube import has_condition
from tests.kit.raw_client import raw_client

QUICKSTART = Path(__file__).parents[2] / "examples" / "quickstart.yaml"
READY_SECONDS = 60
RESYNC_SECONDS = 5
"""Upper bound of the operator's resync interval in seconds."""
LOOK_SECONDS = 0.1
REACHED_SECONDS = 30
PROBES = 12
"""Connections with which each of a few servers is met, if all of them get new ones."""


@dataclass(frozen=True, slots=True)
class RunningServer:
    """A server in any state. `connections` is None when the server has not reported."""

    name: str
    revision: str
    ready: bool
    serving: bool
    connections: int | None

    @property
    def available(self) -> bool:
        """True when the server gets new connections."""
        return self.ready and self.serving


@dataclass(frozen=True, slots=True)
class ClusterEvent:
    """An Event about the cluster."""

    type: str
    reason: str
    message: str


class RunningCluster(Protocol):
    """One cluster, which runs from the first `apply` on."""

    async def apply(self, document: JsonObject) -> None:
        """Create the cluster or change it, as a user with a file does."""

    async def patch(self, **spec: object) -> None:
        """Merge-patch fields of the spec; None removes a field."""

    async def get(self) -> JsonObject:
        """Return the stored object."""

    async def wait(self, fact: Callable[[JsonObject], bool], *, what: str, within: float = READY_SECONDS) -> JsonObject:
        """Wait until `fact` holds for an object whose generation the operator has reported on."""

    async def wait_ready(self, *, within: float = READY_SECONDS) -> JsonObject:
        """Wait until the cluster is Ready with its latest spec and no rollout is in progress."""

    async def url(self) -> str:
        """Return the URL that clients connect to."""

    async def api(self) -> ServerApi:
        """Return a client of the server API with the generated key."""

    async def token(self, user: str) -> str:
        """Return a connection token, signed with the generated secret."""

    async def credential(self, key: str) -> str:
        """Return a generated credential."""

    async def servers(self) -> list[RunningServer]:
        """Return all servers, including starting and terminating ones, sorted by name."""

    async def connections(self) -> dict[str, int]:
        """Return the connections of each server that answers, by name."""

    async def kill_server(self, name: str) -> None:
        """SIGKILL all processes of a server without notice."""

    async def kill_redis(self) -> None:
        """SIGKILL the cluster's managed Redis."""

    async def scale(self, replicas: int) -> None:
        """Set the number of servers."""

    async def put_secret(self, name: str, values: Mapping[str, str]) -> None:
        """Create a Secret of the user."""

    async def events(self) -> list[ClusterEvent]:
        """Return the Events about the cluster."""

    async def writes(self) -> object:
        """Return a value that changes with every write to the cluster or to its objects."""


def manifest(name: str, **spec: object) -> JsonObject:
    """Return a small cluster with a recoverable namespace `chat`; `spec` replaces top-level fields of its spec."""
    chat = {"name": "chat", "history": {"size": 2000, "ttl": "10m"}, "recovery": "Stream", "presence": True}
    defaults: dict[str, object] = {
        "replicas": 2,
        "namespaces": [{**chat, "publish": "Subscribers"}],
        "rollout": {"maxSurge": 1, "maxUnavailable": 0, "drain": {"connectionsPerSecond": 20, "settle": "1s"}},
    }
    document = {
        "apiVersion": naming.API_VERSION,
        "kind": naming.KIND,
        "metadata": {"name": name},
        "spec": {**defaults, **spec},
    }
    return parse(json.dumps(document))


def manifests_of(path: Path) -> list[JsonObject]:
    """Return the objects of a YAML file."""
    return [parse(json.dumps(document)) for document in yaml.safe_load_all(path.read_text()) if document]


def is_observed(document: JsonObject) -> bool:
    """Return True when the operator has reported on this generation of the spec."""
    return dig(document, "status", "observedGeneration") == dig(document, "metadata", "generation")


def is_settled(document: JsonObject) -> bool:
    """Return True when the cluster is ready with one revision and no rollout is in progress."""
    status = object_at(document, "status")
    return (
        status.get("phase") == "Ready"
        and has_condition(document, "Ready")
        and has_condition(document, "Progressing", "False")
        and status.get("currentRevision") == status.get("targetRevision")
        and is_observed(document)
    )


async def available_servers(cluster: RunningCluster) -> list[RunningServer]:
    """Return the servers that get new connections."""
    return [server for server in await cluster.servers() if server.available]


async def every_server_is_reached(cluster: RunningCluster) -> None:
    """Wait until new connections reach every server; without it, clients may all be on one.

    On Kubernetes kube-proxy follows the endpoints up to some seconds after a server is ready.
    """
    url = await cluster.url()

    async def reached() -> list[int]:
        async with contextlib.AsyncExitStack() as stack:
            for _ in range(PROBES):
                await stack.enter_async_context(raw_client(url))
            return list((await cluster.connections()).values())

    await eventually(reached, all, what="every server has connections", within=REACHED_SECONDS)


async def busiest_server(cluster: RunningCluster) -> str:
    """Return the name of the server with the most connections."""
    connections = await cluster.connections()
    return max(connections, key=lambda name: connections[name])


async def wait_for_servers(
    cluster: RunningCluster, fact: Callable[[Sequence[RunningServer]], bool], *, what: str, within: float
) -> None:
    """Wait until `fact` holds for the list of servers."""
    await eventually(cluster.servers, fact, what=what, within=within)


@contextlib.asynccontextmanager
async def never_fewer_available_than(cluster: RunningCluster, least: int) -> AsyncIterator[None]:
    """Fail when fewer servers were available at any observation during the body."""
    seen: list[int] = []

    async def look() -> None:
        while True:
            seen.append(len(await available_servers(cluster)))
            await asyncio.sleep(LOOK_SECONDS)

    task = asyncio.create_task(look(), name="availability")
    try:
        yield
        assert not task.done(), "nobody looked any more"
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    assert min(seen) >= least, f"available servers over time: {seen}"
