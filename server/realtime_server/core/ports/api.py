"""Ports of core for the HTTP APIs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from msgspec import Struct

from realtime_server.codes import DisconnectCode
from realtime_server.core.metrics.recent_events import RecentEvents
from realtime_server.core.metrics.totals import Totals
from realtime_server.core.model.grant import Grant
from realtime_server.core.model.values import (
    ClientInfo,
    HistoryPage,
    HistoryQuery,
    PresenceStats,
    StreamPosition,
)
from realtime_server.core.ports.backplane import StoreState


@dataclass(frozen=True, slots=True)
class NodeInfo:
    """Worker, as the API method `info` shows it."""

    uid: str
    name: str
    version: str
    clients: int
    users: int
    channels: int
    uptime_seconds: int


@dataclass(frozen=True, slots=True)
class Connections:
    """Connections that an API call is about: all of a user, or one; without a `user`, one of any user by its id.

    `client` and `session` both accept the id of a connection, or the session secret of an emulated one.
    """

    user: str
    client: str = ""
    session: str = ""


@dataclass(frozen=True, slots=True)
class Message:
    """Publication of the backend: raw JSON, or arbitrary bytes if `binary`. For the rest see Broker.publish."""

    data: bytes
    binary: bool = False
    tags: Mapping[str, str] | None = None
    skip_history: bool = False
    idempotency_key: str = ""
    version: int = 0
    version_epoch: str = ""


@dataclass(frozen=True, slots=True)
class Revoking:
    """Tokens to revoke: that with `jti`, or those of `user` ("" for all users) issued before a time.

    `issued_before`: None for now. `expires_at`: the time after which none of them is valid, None for unknown. Unix
    seconds.
    """

    jti: str = ""
    user: str = ""
    issued_before: float | None = None
    expires_at: float | None = None


class RealtimeApi(Protocol):
    """Operations of the HTTP server API, implemented by ServerApi. All raise CommandError or BackplaneError."""

    async def publish(self, channel: str, message: Message) -> StreamPosition | None:
        """Publish to a channel; return the position, or None in a channel without history.

        Raises CommandError NOT_AVAILABLE for a version in a channel without history.
        """

    async def presence(self, channel: str) -> Mapping[str, ClientInfo]:
        """Return the subscribers by client id. Raises CommandError NOT_AVAILABLE without presence in the namespace."""

    async def presence_stats(self, channel: str) -> PresenceStats:
        """Count the subscribers. Raises CommandError NOT_AVAILABLE where the namespace has no presence."""

    async def history(self, channel: str, query: HistoryQuery) -> HistoryPage:
        """Read a part of the channel's stream. Raises CommandError NOT_AVAILABLE where there is no history."""

    async def history_remove(self, channel: str) -> None:
        """Delete the channel's history."""

    async def subscribe(
        self, connections: Connections, channel: str, grant: Grant, *, since: StreamPosition | None = None
    ) -> None:
        """Subscribe connections on all servers.

        With `since` they recover what they missed, without it they begin at the end. Raises CommandError NOT_AVAILABLE
        for `since` where the namespace has no recovery. Like the other calls about connections it returns when the
        message to all servers is sent; a user without connections is no error.
        """

    async def unsubscribe(self, connections: Connections, channel: str) -> None:
        """End the subscriptions of connections to a channel on all servers."""

    async def disconnect(
        self, connections: Connections, *, code: DisconnectCode | None = None, spared: Sequence[str] = ()
    ) -> None:
        """Close connections on all servers, except for the spared ones."""

    async def send(self, connections: Connections, message: Message) -> None:
        """Send a message to connections on all servers, without a channel. Of `message` only the data counts."""

    async def refresh(
        self, connections: Connections, *, expires_at: float | None = None, expired: bool = False
    ) -> None:
        """Set the expiry of connections to a Unix time or never (None), or end them as `expired`."""

    async def revoke(self, wanted: Revoking) -> float:
        """Revoke tokens on all servers: what they have let in ends, and they are refused from now on.

        Returns the expiry of the revocation in Unix seconds. Raises CommandError BAD_REQUEST when no tokens are named
        or fields contradict each other, LIMIT_EXCEEDED when too many revocations are stored.
        """

    async def channels(self, pattern: str) -> Mapping[str, int]:
        """Return the subscriber counts of the channels that match a pattern (`*`, `?`; empty: all).

        Raises CommandError INTERNAL when a server does not answer, LIMIT_EXCEEDED when too many channels match.
        """

    async def info(self) -> tuple[NodeInfo, ...]:
        """Return all workers of the cluster that reported in the last seconds, this one first."""


class ServingState(StrEnum):
    """State of service, from taking new connections to having moved all away."""

    SERVING = "serving"
    QUIESCED = "quiesced"
    DRAINING = "draining"
    DRAINED = "drained"


class ProbeResult(Struct, frozen=True):
    """Result of a probe: a client of the server's own that has connected `age_seconds` ago, and left.

    `code` is that of the answer: "" when it was let in, "timeout" when there was no answer in time, "other" for a code
    of the backend. `has_token`: it had a token.
    """

    code: str
    has_token: bool
    seconds: float
    age_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """Report of a worker; the admin process combines those of all workers of a server.

    `seconds_since_last_accept` is None before the first accept. `accept_cost_seconds` is the CPU time per accepted
    connection, None until 20 were measured. `drain_rate` is in connections per second, None without a drain;
    `moved_total` counts connections that drains and sheds have moved; `store` is the state of the store of
    histories, None when it is not known; `recent` covers the last seconds. `share` is the rate at which this worker
    begins a drain by itself, None until it was told one. `connect_p99_seconds` is the time from a connection to its
    connect reply, `loop_lag_p99_seconds` the delay of what should run at a given time: of 99% in the last seconds, None
    when there was none. `totals` are since the start; `probe` is the latest result of a probe, None before the first.
    """

    state: ServingState
    connections: int
    accepted_total: int
    seconds_since_last_accept: float | None
    accept_cost_seconds: float | None
    drain_rate: float | None
    moved_total: int
    backplane_healthy: bool
    store: StoreState | None
    recent: RecentEvents
    share: float | None = None
    connect_p99_seconds: float | None = None
    loop_lag_p99_seconds: float | None = None
    totals: Totals = field(default_factory=Totals)
    probe: ProbeResult | None = None


class WorkerControl(Protocol):
    """Control of one worker for the admin API. Every call is idempotent."""

    def status(self) -> WorkerStatus:
        """Return the current status."""

    def quiesce(self) -> None:
        """Become not ready, so that new connections go elsewhere; those that still arrive are accepted."""

    def resume(self) -> None:
        """Undo quiesce and drain."""

    def drain(self, connections_per_second: float) -> None:
        """Quiesce, and move all connections away (code 3011) at this rate; a drain under way takes the new rate.

        It goes on until `resume` or `stop_drain`: connections that arrive later are moved too. At a rate of 0 it waits
        for another one.
        """

    def stop_drain(self) -> None:
        """Stop moving connections; the worker stays quiesced."""

    def set_share(self, connections_per_second: float) -> None:
        """Set the rate at which the worker moves connections when it must stop and nobody sets another rate."""

    def shed(self, connections: int, connections_per_second: float) -> None:
        """Move this many connections away (code 3011) at this rate, without quiescing."""
