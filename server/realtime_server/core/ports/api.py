"""The contracts of what the HTTP APIs may ask of core."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from realtime_server.codes import DisconnectCode
from realtime_server.core.metrics.recent_events import RecentEvents
from realtime_server.core.model.grant import Grant
from realtime_server.core.model.values import (
    ClientInfo,
    HistoryPage,
    HistoryQuery,
    PresenceStats,
    StreamPosition,
)


@dataclass(frozen=True, slots=True)
class NodeInfo:
    """One worker, as the API method `info` shows it."""

    uid: str
    name: str
    version: str
    clients: int
    users: int
    channels: int
    uptime_seconds: int


@dataclass(frozen=True, slots=True)
class Connections:
    """Whom a call of the API is about: all connections of a user, or one of them.

    `client` and `session` both take the id of a connection, or the session that an emulated one was told.
    """

    user: str
    client: str = ""
    session: str = ""


@dataclass(frozen=True, slots=True)
class Message:
    """What the backend publishes: raw JSON, or any bytes if `binary`. For the rest see Broker.publish."""

    data: bytes
    binary: bool = False
    tags: Mapping[str, str] | None = None
    skip_history: bool = False
    idempotency_key: str = ""
    version: int = 0
    version_epoch: str = ""


@dataclass(frozen=True, slots=True)
class Revoking:
    """The tokens that a call of the API revokes: that with `jti`, or those of `user` ("": of all) issued before a time.

    `issued_before`: None for now. `expires_at`: when none of them is valid any more, None for unknown. Unix seconds.
    """

    jti: str = ""
    user: str = ""
    issued_before: float | None = None
    expires_at: float | None = None


class RealtimeApi(Protocol):
    """What the HTTP server API calls; core's ServerApi implements it. All raise CommandError or BackplaneError."""

    async def publish(self, channel: str, message: Message) -> StreamPosition | None:
        """Publish to a channel; the position, or None in a channel without history.

        CommandError NOT_AVAILABLE for a version where nothing is kept that it could be compared with.
        """

    async def presence(self, channel: str) -> Mapping[str, ClientInfo]:
        """Who is subscribed. CommandError NOT_AVAILABLE where the namespace has no presence."""

    async def presence_stats(self, channel: str) -> PresenceStats:
        """How many are subscribed. CommandError NOT_AVAILABLE where the namespace has no presence."""

    async def history(self, channel: str, query: HistoryQuery) -> HistoryPage:
        """Read the channel's stream. CommandError NOT_AVAILABLE where the namespace has no history."""

    async def history_remove(self, channel: str) -> None:
        """Drop what is kept of the channel."""

    async def subscribe(
        self, connections: Connections, channel: str, grant: Grant, *, since: StreamPosition | None = None
    ) -> None:
        """Subscribe connections on all servers.

        With `since` they get what they missed since then, or else begin at the end; CommandError NOT_AVAILABLE where
        the namespace has no recovery. As with the other calls about connections, it returns when all servers have been
        told; who is not connected is no error.
        """

    async def unsubscribe(self, connections: Connections, channel: str) -> None:
        """End the subscriptions of connections to a channel on all servers."""

    async def disconnect(
        self, connections: Connections, *, code: DisconnectCode | None = None, spared: Sequence[str] = ()
    ) -> None:
        """Close connections on all servers, but for the spared ones."""

    async def refresh(
        self, connections: Connections, *, expires_at: float | None = None, expired: bool = False
    ) -> None:
        """Let connections go on until a Unix time, for ever (None), or end as expired."""

    async def revoke(self, wanted: Revoking) -> float:
        """Revoke tokens on all servers: what they have let in ends, and they are refused from now on.

        Returns until when, in Unix seconds. CommandError BAD_REQUEST when no tokens are named, or with fields that
        contradict each other; LIMIT_EXCEEDED when too many revocations are kept.
        """

    async def channels(self, pattern: str) -> Mapping[str, int]:
        """Channels that have subscribers and match a pattern (`*`, `?`; empty: all), and how many there are.

        CommandError INTERNAL when a server does not answer, LIMIT_EXCEEDED when one has too many that match.
        """

    async def info(self) -> tuple[NodeInfo, ...]:
        """All workers of the cluster that reported in the last seconds, this one first."""


class ServingState(StrEnum):
    """Where a server is between accepting everything and having moved everything away."""

    SERVING = "serving"
    QUIESCED = "quiesced"
    DRAINING = "draining"
    DRAINED = "drained"


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """What a worker reports; the supervisor adds up those of all workers of a server.

    `seconds_since_last_accept` is None when nothing was accepted yet. `accept_cost_seconds` is the CPU time of one
    accepted connection, None until 20 were measured. `drain_rate` is in connections per second, None when no drain
    runs; `moved_total` counts connections that drains and sheds have moved; `recent` is about the last seconds.
    """

    state: ServingState
    connections: int
    accepted_total: int
    seconds_since_last_accept: float | None
    accept_cost_seconds: float | None
    drain_rate: float | None
    moved_total: int
    backplane_healthy: bool
    recent: RecentEvents


class WorkerControl(Protocol):
    """What the admin API calls; core implements it for one worker. Every call is idempotent."""

    def status(self) -> WorkerStatus:
        """What is now."""

    def quiesce(self) -> None:
        """Be not ready, so that no new connections are sent here; those that come are still accepted."""

    def resume(self) -> None:
        """Undo quiesce and drain."""

    def drain(self, connections_per_second: float) -> None:
        """Quiesce, and move all connections away (code 3011) at this rate; a running drain takes the new rate.

        Goes on until `resume` or `stop_drain`: a connection that arrives later is moved too.
        """

    def stop_drain(self) -> None:
        """Stop moving connections; stays quiesced."""

    def shed(self, connections: int, connections_per_second: float) -> None:
        """Move this many connections away (code 3011) at this rate, without being quiesced."""
