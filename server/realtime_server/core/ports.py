"""The contracts at the edges of core: what it needs from a backplane, and what the HTTP APIs may ask of it.

One test suite, tests/contract, runs against all drivers of the backplane. Every method of the backplane's ports may
raise `BackplaneError` when the backplane does not answer within its timeout; nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from realtime_server.codes import DisconnectCode, ErrorCode, UnsubscribeCode
from realtime_server.core.commands import Command, Result
from realtime_server.core.grant import Grant
from realtime_server.core.latency import LatencyHistogram
from realtime_server.core.namespaces import SlowConsumer
from realtime_server.core.publication import Content
from realtime_server.core.pushes import Push
from realtime_server.core.recent_events import RecentEvents
from realtime_server.core.values import (
    ClientInfo,
    HistoryOptions,
    HistoryPage,
    HistoryQuery,
    PresenceStats,
    Publication,
    StreamPosition,
)


class BackplaneError(Exception):
    """The backplane could not be reached or did not answer in time."""


class BrokerEvents(Protocol):
    """What a broker reports. Called on the event loop, one call at a time; implementations must not block or raise."""

    def on_publication(self, channel: str, publication: Publication, epoch: str) -> None:
        """A publication arrived in a subscribed channel; per channel in the order of the broker.

        At most once: a broker that loses its link loses what was published meanwhile, and then calls `on_gap`.
        `epoch` is "" when the channel has no history.
        """

    def on_control(self, message: bytes) -> None:
        """A message of `publish_control` arrived: one for all workers, or for this one."""

    def on_gap(self) -> None:
        """Deliveries may have been lost up to now (the link was away and is back): positions must be checked."""


ROUNDTRIP_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
"""Upper bounds in seconds."""


class Broker(Protocol):
    """Publish/subscribe between servers, and the history of channels."""

    @property
    def roundtrips(self) -> LatencyHistogram:
        """How long messages of this worker to itself took; it sends some as long as it is started."""

    async def start(self, events: BrokerEvents, node: str = "") -> None:
        """Connect, and report to `events` from now on. Raises BackplaneError when the first connection fails.

        `node` is this worker's unique name, by which `publish_control` may address it.
        """

    async def stop(self) -> None:
        """Close all links. Idempotent."""

    @property
    def healthy(self) -> bool:
        """Whether what is published now is known to arrive.

        That is: all links answer, histories may be trusted, and the last message of this worker to itself came back
        in time.
        """

    @property
    def immediate(self) -> bool:
        """Whether all its calls are done at once, without waiting for anything."""

    async def publish(
        self,
        channel: str,
        encoded: bytes,
        history: HistoryOptions | None,
        *,
        idempotency_key: str = "",
        idempotency_seconds: float = 300.0,
        version: int = 0,
        version_epoch: str = "",
    ) -> StreamPosition | None:
        """Append to the history (if `history`) and deliver to all subscribed servers, in one atomic step.

        Returns the position that the publication got, None without history. A publication whose call raised may
        have been delivered all the same.

        With an `idempotency_key`, a second call for the channel with the same key within `idempotency_seconds` does
        nothing and returns what the first returned. With a `version` above 0 and history, a publication is skipped,
        and the present position returned, when the newest one of the same `version_epoch` has that version or a
        greater one; a version of another epoch counts as newer.
        """

    async def subscribe(self, channel: str) -> None:
        """Deliver the channel's publications to this server; those published after the call returned all arrive."""

    async def unsubscribe(self, channel: str) -> None:
        """Stop delivering the channel's publications to this server."""

    async def history(self, channel: str, query: HistoryQuery, options: HistoryOptions) -> HistoryPage:
        """Read a part of the stream and its position, as one consistent snapshot.

        A stream that does not exist yet gets an epoch and offset 0 by this call, so that a later call sees the same
        epoch unless the stream was lost in between. Positions outlive the publications by at least `ttl_seconds`.
        """

    async def remove_history(self, channel: str) -> None:
        """Drop what is kept of a channel. Its position goes on counting."""

    async def publish_control(self, message: bytes, node: str = "") -> None:
        """Deliver a message to every worker of the cluster, this one too; only to one when `node` names it.

        At most once: a worker that is not there does not get it, and nobody is told.
        """


class PresenceStore(Protocol):
    """Who is subscribed to a channel, across all servers."""

    async def add(self, channel: str, client: str, info: ClientInfo, ttl_seconds: float) -> None:
        """Add a connection or renew it; it is gone `ttl_seconds` after the last renewal."""

    async def renew(self, channel: str, clients: Sequence[ClientInfo], ttl_seconds: float) -> None:
        """Add or renew many connections, as `add` does each; for a fraction of what that many calls cost."""

    async def remove(self, channel: str, client: str) -> None:
        """Remove a connection. Idempotent."""

    async def members(self, channel: str) -> Mapping[str, ClientInfo]:
        """All connections that have not expired, by client id."""

    async def stats(self, channel: str) -> PresenceStats:
        """Count connections and different users; the work does not grow with their number.

        Where thousands have just expired at once, some of their users may be counted by this call and the next ones.
        """


class CommandError(Exception):
    """A command or an API call failed with a code of the catalogue; the connection or the caller goes on.

    `why` is for callers of the API: what is wrong, and what would be right.
    """

    def __init__(self, error: ErrorCode, why: str = "") -> None:
        super().__init__(error.message)
        self.error = error
        self.why = why


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
    """What the backend publishes: raw JSON, or any bytes if `binary`. For the rest see Broker.publish.

    `delta`: it is to come as a difference where subscribers take them.
    """

    data: bytes
    binary: bool = False
    tags: Mapping[str, str] | None = None
    skip_history: bool = False
    idempotency_key: str = ""
    version: int = 0
    version_epoch: str = ""
    delta: bool = False


class RealtimeApi(Protocol):
    """What the HTTP server API calls; core's ServerApi implements it. All raise CommandError or BackplaneError."""

    async def publish(self, channel: str, message: Message) -> StreamPosition | None:
        """Publish to a channel; the position, or None in a channel without history.

        CommandError NOT_AVAILABLE when differences are wanted where the namespace has none, or a version where
        nothing is kept that it could be compared with.
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


class Wire(Protocol):
    """What a client and this server speak: a protocol in the frames of a transport. One object for all its connections.

    Everything that it returns is ready to be written: encoded and framed, so that one publication is encoded and
    framed once, however many connections get it. `binary`: the data of publications may be any bytes, not just JSON.
    `native_pings`: pings are the transport's, and are answered by it; the client's protocol does not know of them.
    `unidirectional`: the client says who it is and then only listens; it sends no commands and answers no pings.
    """

    binary: bool
    native_pings: bool
    unidirectional: bool

    def decode(self, message: bytes) -> tuple[Command, ...] | None:
        """The commands of one message, None when it is malformed. Never raises."""

    def reply(self, command: int, result: Result) -> bytes:
        """The answer to a command."""

    def error(self, command: int, error: ErrorCode) -> bytes:
        """The answer to a command that failed."""

    def publication(self, channel: str, content: Content, offset: int) -> bytes:
        """A publication, pushed; an offset of 0 is none."""

    def delta_publication(self, channel: str, content: Content, offset: int, patch: bytes | None) -> bytes:
        """A publication, pushed to those who take differences: `patch` to the data before it, None for the whole."""

    def push(self, channel: str, push: Push) -> bytes:
        """Everything else that is pushed; `channel` is "" for what is in none."""

    def ping(self) -> bytes:
        """A ping."""


class Connection(Protocol):
    """The transport's side of one connection."""

    def write(self, frames: bytes) -> None:
        """Send what a Wire made, in order, joined with other writes.

        Over the outbox's bound the connection is closed with SLOW, but never within this call, so that it may be
        called while going through sessions. After `close` a write is ignored.
        """

    def close(self, code: DisconnectCode) -> None:
        """Send what waits, then the code; idempotent."""

    @property
    def congested(self) -> bool:
        """Whether more waits to be sent than the client takes at once; `Session.on_writable` is called after it."""


class Subscriber(Protocol):
    """What a channel delivers to: a session, seen from the channel. Compared by identity."""

    wire: Wire
    connection: Connection

    def info_in(self, channel: str) -> ClientInfo | None:
        """How others in a channel see it; None when it is not subscribed any more, or not to be seen."""

    def end_subscription(self, channel: str, code: UnsubscribeCode) -> None:
        """End its subscription and tell it; idempotent."""

    def lags(self) -> bool:
        """Whether it reads more slowly than it is written to."""

    def hold(self, channel: str, policy: SlowConsumer, content: Content, offset: int) -> None:
        """Keep a publication for one that lags, or drop some as the policy says."""
