"""Port of the commands: a Kubernetes cluster or the platform of this machine, seen the same way."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from realtime_operator import naming
from realtime_operator.api.base import JsonObject
from realtime_operator.api.errors import Finding as SpecFinding
from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.api.v1alpha1_server import SecretKeySelector, Token
from realtime_operator.errors import InputError
from realtime_operator.planning.decisions.policies import PlannerSettings
from realtime_operator.planning.model.world import ObjectKey, Server

NO_HISTORY = "cannot export or import histories: bring the servers to the release of this program first"


@dataclass(frozen=True, slots=True)
class Event:
    """An Event about a cluster; `at` is RFC 3339."""

    at: str
    type: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class ClientEndpoint:
    """Endpoint for a WebSocket client: its URL, headers of the handshake, TLS."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    ssl_context: ssl.SSLContext | None = None


class Severity(StrEnum):
    """Severity of a finding."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Finding:
    """Result of one check: its name, what was found, and what to do about it."""

    check: str
    severity: Severity
    message: str
    advice: str = ""


class Target(Protocol):
    """One platform. Methods raise PlatformError when it does not answer, InputError for objects that do not exist."""

    description: str
    """Name of the platform, for people."""

    async def clusters(self) -> Sequence[JsonObject]:
        """Return all clusters, sorted by name."""

    async def patch(self, name: str, spec: JsonObject) -> JsonObject:
        """Merge-patch the spec (RFC 7396) and return the new object. Raises InputError with the reason of a refusal."""

    async def events(self, name: str) -> Sequence[Event]:
        """Return the Events about a cluster, oldest first."""

    async def secret(self, name: str) -> Mapping[str, str]:
        """Return the values of a Secret; empty when it does not exist."""

    async def servers(self, name: str) -> Sequence[Server]:
        """Return the servers of a cluster with their reports, sorted by name."""

    async def replica_sets(self, name: str) -> Mapping[ObjectKey, JsonObject]:
        """Return the ReplicaSets of a cluster, one for each revision."""

    async def planner_settings(self, name: str) -> PlannerSettings:
        """The settings with which the operator makes its decisions about a cluster."""

    async def refused(self, cluster: RealtimeCluster) -> Sequence[SpecFinding]:
        """Return what the platform would refuse in the pods of a cluster; empty when it cannot be asked."""

    async def why_no_pod(self, pod: JsonObject) -> str | None:
        """Return why the platform would not admit this pod now: a quota, a LimitRange, a webhook.

        None when it would, and when it cannot be asked. Whether a node has room is found out by starting it only.
        """

    async def annotate(self, name: str, annotations: Mapping[str, str]) -> None:
        """Set annotations of a cluster. Raises InputError on a platform that keeps none."""

    async def restore(
        self, document: JsonObject, own: Mapping[str, Mapping[str, str]], others: Mapping[str, Mapping[str, str]]
    ) -> Sequence[str]:
        """Create a cluster with the values of its generated Secrets (`own`), and Secrets that its spec refers to.

        Returns the names of `others` that existed and were kept. Raises InputError when the cluster or one of its own
        Secrets exists, and leaves nothing behind then.
        """

    async def drain(self, name: str, server: Server) -> None:
        """Request the replacement of a server: it is quiesced and drained within the budget; a new one is started."""

    async def shed(self, name: str, server: Server, connections: int, connections_per_second: float) -> None:
        """Move connections away from a server, which goes on serving."""

    async def metrics(self, server: Server) -> str:
        """Return a server's metrics in Prometheus' text format."""

    def export_history(self, name: str, server: Server) -> AsyncIterator[bytes]:
        """Yield the histories of all channels, as a server exports them (docs/reference/admin-api.md), in pieces.

        Raises InputError when the server cannot export them.
        """

    async def import_history(self, name: str, server: Server, lines: bytes, *, replace: bool) -> JsonObject:
        """Have a server store some lines of an export; return what became of them. Raises InputError, as for export."""

    async def call_api(self, name: str, method: str, body: JsonObject) -> JsonObject:
        """Call the server API (docs/guides/publish.md) with the API key; return the answer, also one with an error."""

    async def client_endpoint(self, name: str, server: Server | None = None) -> ClientEndpoint:
        """Return where clients connect: the cluster's endpoint, or one server where the platform has such a way."""

    def logs(self, server: Server, *, lines: int, follow: bool) -> AsyncIterator[str]:
        """Yield the last lines of a server's log, and with `follow` new ones as they are written."""

    async def check(self) -> Sequence[Finding]:
        """Return the findings of checks that only this platform can make."""

    async def close(self) -> None:
        """Close all connections."""


async def find(target: Target, name: str | None) -> JsonObject:
    """Return the cluster of a name, or the only one. Raises InputError that names the existing clusters."""
    clusters = await target.clusters()
    names = [name_of(cluster) for cluster in clusters]
    if name is not None:
        if name not in names:
            raise InputError(f"{target.description} has no cluster {name}{_but(names)}")
        return clusters[names.index(name)]
    if not clusters:
        raise InputError(f"{target.description} has no {naming.KIND}: create one, or choose another namespace")
    if len(clusters) > 1:
        raise InputError(f"there are {len(clusters)} clusters; name one of them: {', '.join(names)}")
    return clusters[0]


async def find_server(target: Target, cluster: str, name: str) -> Server:
    """Return a server by its name or a suffix of it. Raises InputError that names the existing servers."""
    servers = await target.servers(cluster)
    found = [server for server in servers if server.name == name] or [s for s in servers if s.name.endswith(name)]
    if len(found) != 1:
        known = ", ".join(server.name for server in servers) or "none"
        what = "more than one server" if found else "no server"
        raise InputError(f"cluster {cluster} has {what} {name}: there are {known}")
    return found[0]


def read_cluster(document: JsonObject) -> RealtimeCluster:
    """Parse a stored object; raises InvalidCluster."""
    return RealtimeCluster.from_object(document)


def name_of(document: JsonObject) -> str:
    """Return the object's name."""
    metadata = document["metadata"]
    assert isinstance(metadata, dict)
    return str(metadata["name"])


def _but(names: Sequence[str]) -> str:
    return f", but {', '.join(names)}" if names else ", and no other"


def signing_token(cluster: RealtimeCluster) -> Token:
    """Return the first token key of the spec that can sign (HMAC). Raises InputError when there is none."""
    for token in cluster.spec.auth.tokens:
        if token.algorithm.startswith("HS"):
            return token
    raise InputError(
        f"tokens of {cluster.metadata.name} are signed with a private key that this program does not have: add an HS256"
        " secret to spec.auth.tokens for development"
    )


async def credential(target: Target, cluster: RealtimeCluster, key: str) -> str:
    """Return a cluster's API key or token secret: the generated one, or the one that the spec refers to.

    Raises InputError when it does not exist, or when tokens are signed with private keys, which only backends have.
    """
    name, entry = naming.credentials_secret(cluster.metadata.name), key
    own: SecretKeySelector | None = None
    if key == naming.KEY_API and cluster.spec.api.key is not None:
        own = cluster.spec.api.key.secret_key_ref
    if key == naming.KEY_TOKEN_SECRET and cluster.spec.auth.tokens:
        own = signing_token(cluster).secret_key_ref
    if own is not None:
        name, entry = own.name, own.key
    value = (await target.secret(name)).get(entry)
    if value is None:
        raise InputError(
            f"the Secret {name} has no key {entry}: check that the cluster runs and that you may read Secrets"
        )
    return value
