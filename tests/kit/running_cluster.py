"""A running RealtimeCluster, whatever it runs on: what scenarios need of it, in terms that every platform has."""

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

QUICKSTART = Path(__file__).parents[2] / "examples" / "quickstart.yaml"
READY_SECONDS = 60
RESYNC_SECONDS = 5
"""The operator looks at a cluster at least so often."""
LOOK_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class RunningServer:
    """A server, whatever its state. `connections` is None when the server has not told."""

    name: str
    revision: str
    ready: bool
    serving: bool
    connections: int | None

    @property
    def available(self) -> bool:
        """Whether new connections reach it."""
        return self.ready and self.serving


@dataclass(frozen=True, slots=True)
class ToldEvent:
    """What was told to people about the cluster."""

    type: str
    reason: str
    message: str


class RunningCluster(Protocol):
    """One cluster. Nothing of it runs before the first `apply`."""

    async def apply(self, document: JsonObject) -> None:
        """Create the cluster or change it, as a person with a file does."""

    async def patch(self, **spec: object) -> None:
        """Merge-patch fields of the spec; None removes one."""

    async def get(self) -> JsonObject:
        """The object as it is stored now."""

    async def wait(self, fact: Callable[[JsonObject], bool], *, what: str, within: float = READY_SECONDS) -> JsonObject:
        """Wait until a fact holds for the object as the operator has last reported on this generation."""

    async def wait_ready(self, *, within: float = READY_SECONDS) -> JsonObject:
        """Wait until the cluster is Ready with its last spec and nothing moves any more."""

    async def url(self) -> str:
        """Where clients connect."""

    async def api(self) -> ServerApi:
        """The HTTP API, with the generated key."""

    async def token(self, user: str) -> str:
        """A connection token, signed with the generated secret."""

    async def credential(self, key: str) -> str:
        """A generated credential."""

    async def servers(self) -> list[RunningServer]:
        """The servers that are there, also those that start or go away, by name."""

    async def kill_server(self, name: str) -> None:
        """SIGKILL all processes of a server; nobody is told beforehand."""

    async def kill_redis(self) -> None:
        """SIGKILL the cluster's own Redis."""

    async def scale(self, replicas: int) -> None:
        """Ask for so many servers."""

    async def put_secret(self, name: str, values: Mapping[str, str]) -> None:
        """Create a Secret that the user owns."""

    async def events(self) -> list[ToldEvent]:
        """What was told about the cluster."""

    async def writes(self) -> object:
        """Something that is different after every write to the cluster and to what it owns."""


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
    """Whether the operator has reported on this generation of the spec."""
    return dig(document, "status", "observedGeneration") == dig(document, "metadata", "generation")


def is_settled(document: JsonObject) -> bool:
    """Whether the cluster is ready, with one revision, and nothing is being rolled out."""
    status = object_at(document, "status")
    return (
        status.get("phase") == "Ready"
        and has_condition(document, "Ready")
        and has_condition(document, "Progressing", "False")
        and status.get("currentRevision") == status.get("targetRevision")
        and is_observed(document)
    )


async def available_servers(cluster: RunningCluster) -> list[RunningServer]:
    """The servers that new connections reach."""
    return [server for server in await cluster.servers() if server.available]


async def wait_for_servers(
    cluster: RunningCluster, fact: Callable[[Sequence[RunningServer]], bool], *, what: str, within: float
) -> None:
    """Wait until a fact holds for the list of servers."""
    await eventually(cluster.servers, fact, what=what, within=within)


@contextlib.asynccontextmanager
async def never_fewer_available_than(cluster: RunningCluster, least: int) -> AsyncIterator[None]:
    """Fail if at any look during the body fewer servers were available."""
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
