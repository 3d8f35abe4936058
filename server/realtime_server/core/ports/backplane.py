"""Ports of core for a backplane.

One test suite, tests/contract, runs against all drivers. Every method may raise `BackplaneError` when the backplane
does not answer within its timeout, and nothing else.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from realtime_server.core.metrics.counters import LatencyHistogram
from realtime_server.core.model.revocation import Revocation
from realtime_server.core.model.values import (
    ClientInfo,
    HistoryOptions,
    HistoryPage,
    HistoryQuery,
    PresenceStats,
    Publication,
    SequencePosition,
    StreamPosition,
)


class BrokerEvents(Protocol):
    """Receiver of a broker's events, called on the event loop. Implementations must not block or raise."""

    def on_publication(self, channel: str, publication: Publication, epoch: str) -> None:
        """Handle a publication in a subscribed channel; in the order of the broker within a channel.

        At most once: a broker that loses its link loses the publications meanwhile, and then calls `on_gap`. `epoch` is
        "" when the channel has no history.
        """

    def on_control(self, message: bytes) -> None:
        """Handle a message of `publish_control`, to all workers or to this one."""

    def on_interrupted(self) -> None:
        """Handle that the next deliveries may follow a loss, which `on_gap` reports once positions can be checked."""

    def on_gap(self) -> None:
        """Handle a possible loss of deliveries up to now, after the link was away: positions must be checked."""


ROUNDTRIP_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
"""Upper bounds in seconds."""


@dataclass(frozen=True, slots=True)
class StoreState:
    """Memory of the store of histories, of the fullest one of several.

    `limit_bytes` is 0 without a limit. `evicts`: at the limit it deletes keys instead of refusing writes. `primary` is
    the address of the current primary as HOST:PORT, "" where it cannot change.
    """

    used_bytes: int = 0
    limit_bytes: int = 0
    evicts: bool = False
    primary: str = ""

    @property
    def used_part(self) -> float:
        """Part of the limit that is used; 0 without a limit."""
        return self.used_bytes / self.limit_bytes if self.limit_bytes else 0.0


class Broker(Protocol):
    """Publish/subscribe between servers, and the history of channels.

    In a namespace that the driver knows as ordered, publications with history are numbered across its channels, are
    delivered in the order of their numbers, and have them in histories too.
    """

    @property
    def roundtrips(self) -> LatencyHistogram:
        """Round-trip times of messages from this worker to itself, which the broker sends while it is started."""

    async def start(self, events: BrokerEvents, node: str = "") -> None:
        """Connect, and deliver to `events` from now on. Raises BackplaneError when the first connection fails.

        `node` is this worker's unique name, by which `publish_control` may address it.
        """

    async def stop(self) -> None:
        """Close all links. Idempotent."""

    @property
    def healthy(self) -> bool:
        """True when publications are known to arrive.

        That is: all links answer, histories can be trusted, and the last message of this worker to itself came back in
        time.
        """

    @property
    def store(self) -> StoreState | None:
        """State of the store of histories, some seconds old; None while it is not known or when there is none."""

    @property
    def immediate(self) -> bool:
        """True when no call ever suspends."""

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
        """Append to the history, if `history` is given, and deliver to all subscribed servers, in one atomic step.

        Returns the position of the publication, None without history. After an exception the publication may have been
        delivered all the same.
        With an `idempotency_key`, a second call for the channel with the same key within `idempotency_seconds` does
        nothing and returns the first result. With a `version` above 0 and history, a publication is skipped, and the
        current position returned, when the newest one of the same `version_epoch` has that version or a greater one; a
        version of another epoch counts as newer.
        """

    async def subscribe(self, channel: str) -> None:
        """Deliver the channel's publications to this server; those published after the call returned all arrive."""

    async def unsubscribe(self, channel: str) -> None:
        """Stop delivering the channel's publications to this server."""

    async def history(self, channel: str, query: HistoryQuery, options: HistoryOptions) -> HistoryPage:
        """Read a part of the stream and its position, as one consistent snapshot.

        A stream that does not exist gets an epoch and offset 0 by this call, so that a later call sees the same epoch
        unless the stream was lost in between. Positions outlive the publications by at least `ttl_seconds`.
        """

    async def missed(
        self, channel: str, known: StreamPosition, since: SequencePosition, options: HistoryOptions
    ) -> HistoryPage | None:
        """Read all that came in an ordered channel after `known` in its stream and `since` in the sequence, in order.

        Returns None when some may be missing: they were dropped, or one of the epochs is another one.
        """

    async def remove_history(self, channel: str) -> None:
        """Delete a channel's publications. Its position goes on counting."""

    async def publish_control(self, message: bytes, node: str = "") -> None:
        """Deliver a message to every worker of the cluster, this one included, or only to `node`.

        At most once: a worker that is absent does not get it, without an error.
        """


@dataclass(frozen=True, slots=True)
class Renewal:
    """Result of a renewal of presence.

    `departed`: some of the announced connections that have expired and whose leave was not published. `returned`: ids
    of renewed connections whose leave had been published.
    """

    departed: tuple[ClientInfo, ...] = ()
    returned: tuple[str, ...] = ()


class PresenceStore(Protocol):
    """Presence of connections in channels, across all servers.

    Of an `announced` connection others are told when it joins and leaves. The caller of `remove` publishes the leave of
    that connection; the leave of one that expires is published by the worker that finds it among the `departed` of a
    renewal, where it stays until `publish_leaves`.
    """

    async def add(
        self, channel: str, client: str, info: ClientInfo, ttl_seconds: float, *, announced: bool = False
    ) -> None:
        """Add a connection or renew it; it expires `ttl_seconds` after its last renewal."""

    async def renew(
        self, channel: str, clients: Sequence[ClientInfo], ttl_seconds: float, announced: Container[str] = ()
    ) -> Renewal:
        """Add or renew many connections, as `add` does each, at a fraction of the cost of that many calls.

        `announced` contains the ids of the announced ones. Without connections, this only reports the departed.
        """

    async def publish_leaves(self, channel: str, leaves: Mapping[str, bytes]) -> None:
        """Publish, without history, the encoded leave of each connection that has departed and not returned.

        Each in one atomic step: of several callers one publishes, and a returning connection is reported as `returned`.
        """

    async def remove(self, channel: str, client: str) -> bool:
        """Remove a connection; return False if its leave was published already. Idempotent."""

    async def members(self, channel: str) -> Mapping[str, ClientInfo]:
        """Return all connections that have not expired, by client id."""

    async def stats(self, channel: str) -> PresenceStats:
        """Count connections and distinct users; the cost does not depend on their number.

        Where thousands have just expired at once, this call and the next ones may still count some of their users.
        """


@dataclass(frozen=True, slots=True)
class RevocationPage:
    """Part of the stored revocations, in the order in which they were added or extended.

    `position`: where the next page begins. `from_start`: the page begins with the oldest, because no position was given
    or the store has lost data since it issued it. `complete`: nothing follows.
    """

    position: str
    revocations: tuple[Revocation, ...]
    from_start: bool
    complete: bool


class RevocationStore(Protocol):
    """Store of revocations of tokens, for all servers, until they expire. All methods may raise BackplaneError.

    Revocations with the same subject are merged, and the latest times apply. Their number is bounded.
    """

    async def add(self, revocations: Sequence[Revocation]) -> bool:
        """Store revocations; return False, and store none of them, when there would be too many. Idempotent."""

    async def read(self, since: str = "") -> RevocationPage:
        """Read revocations that were added or extended since a position; "" for all."""


@dataclass(frozen=True, slots=True)
class OccupancyChanges:
    """Channels that became occupied or vacant without a caller having been told."""

    occupied: tuple[str, ...] = ()
    vacated: tuple[str, ...] = ()


class ChannelOccupancy(Protocol):
    """Counter of the workers with subscribers in each channel. All methods may raise BackplaneError.

    Every change of a channel between vacant and occupied is reported to exactly one caller, as long as the backplane
    keeps its data. A worker that died counts until another one's `missed_changes` finds it.
    """

    async def note_occupied(self, channel: str) -> bool:
        """Record that the worker has subscribers in the channel; return True if no worker had. Idempotent."""

    async def note_vacated(self, channel: str) -> bool:
        """Record that the worker has no subscribers in the channel; return True if no other has. Idempotent."""

    async def missed_changes(self) -> OccupancyChanges:
        """Remove workers that were silent for too long, one atomic step each, and return the changes by that.

        Every worker must call this every few seconds. A worker that was removed by mistake adds its own channels again
        by it.
        """


@dataclass(frozen=True, slots=True)
class QueuedEvent:
    """Event taken from a queue; pass `ident` to `done`."""

    ident: str
    event: bytes


class EventQueue(Protocol):
    """Queue of events in order, each handled at least once by one of several consumers.

    An event stays until `done`: one that a consumer took and never finished is given to another by `reclaim`. All
    methods may raise BackplaneError, and nothing else. An `append` that raised may have appended all the same.
    """

    async def append(self, event: bytes) -> bool:
        """Add an event; return False when the queue was full and its oldest event was dropped."""

    async def take(self, consumer: str, count: int, wait_seconds: float) -> Sequence[QueuedEvent]:
        """Take at most `count` events that no consumer has taken, oldest first.

        Waits up to `wait_seconds` for the first event, then returns none. `consumer` is unique among all workers. One
        call at a time per queue object.
        """

    async def done(self, idents: Sequence[str]) -> None:
        """Remove handled events; unknown ones are ignored."""

    async def reclaim(self, consumer: str, idle_seconds: float, count: int = 100) -> Sequence[QueuedEvent]:
        """Take at most `count` events again that were taken `idle_seconds` ago and are not done, oldest first.

        This includes the consumer's own: `idle_seconds` must exceed the time that handling an event takes.
        """

    async def size(self) -> int:
        """Return the number of events that are not done."""
