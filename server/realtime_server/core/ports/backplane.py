"""The contracts of what core needs from a backplane.

One test suite, tests/contract, runs against all drivers. Every method may raise `BackplaneError` when the backplane
does not answer within its timeout; nothing else.
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
    StreamPosition,
)


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


@dataclass(frozen=True, slots=True)
class Renewal:
    """What a renewal has found.

    `departed`: some of the announced connections that have expired and whose leave was not published. `returned`: ids
    of those that were renewed after their leave was published.
    """

    departed: tuple[ClientInfo, ...] = ()
    returned: tuple[str, ...] = ()


class PresenceStore(Protocol):
    """Who is subscribed to a channel, across all servers.

    Of an `announced` connection others are told when it joins and leaves. The leave of one that goes by `remove` is
    published by the caller, that of one that expires by whoever finds it: as `departed` of a renewal, which goes on
    until `publish_leaves`.
    """

    async def add(
        self, channel: str, client: str, info: ClientInfo, ttl_seconds: float, *, announced: bool = False
    ) -> None:
        """Add a connection or renew it; it is gone `ttl_seconds` after the last renewal."""

    async def renew(
        self, channel: str, clients: Sequence[ClientInfo], ttl_seconds: float, announced: Container[str] = ()
    ) -> Renewal:
        """Add or renew many connections, as `add` does each; for a fraction of what that many calls cost.

        `announced` has the ids of those that are. With no connections at all, look who has departed.
        """

    async def publish_leaves(self, channel: str, leaves: Mapping[str, bytes]) -> None:
        """Publish, without history, the encoded leave of each connection that has departed and not come back since.

        In one atomic step for each: of several callers one publishes, and a connection that returns is told so.
        """

    async def remove(self, channel: str, client: str) -> bool:
        """Remove a connection; False if its leave was published already. Idempotent."""

    async def members(self, channel: str) -> Mapping[str, ClientInfo]:
        """All connections that have not expired, by client id."""

    async def stats(self, channel: str) -> PresenceStats:
        """Count connections and different users; the work does not grow with their number.

        Where thousands have just expired at once, some of their users may be counted by this call and the next ones.
        """


@dataclass(frozen=True, slots=True)
class RevocationPage:
    """Some of the revocations that are kept, in the order in which they were added or extended.

    `position`: where the next page begins. `from_start`: they begin with the oldest, since no position was given or the
    store has lost data since it gave it. `complete`: nothing follows.
    """

    position: str
    revocations: tuple[Revocation, ...]
    from_start: bool
    complete: bool


class RevocationStore(Protocol):
    """Keeps revocations of tokens until they expire, for all servers. All methods may raise BackplaneError.

    Of several revocations with the same subject the latest times count. There is a bound of how many are kept.
    """

    async def add(self, revocations: Sequence[Revocation]) -> bool:
        """Keep revocations; False when there would be too many, and then none of these is kept. Idempotent."""

    async def read(self, since: str = "") -> RevocationPage:
        """Read those that were added or extended since a position; "" for all."""


@dataclass(frozen=True, slots=True)
class OccupancyChanges:
    """Channels that became occupied or vacated without anybody being told so far."""

    occupied: tuple[str, ...] = ()
    vacated: tuple[str, ...] = ()


class ChannelOccupancy(Protocol):
    """Counts the workers that have subscribers in a channel. All methods may raise BackplaneError.

    Every change of a channel between vacant and occupied is told to exactly one caller, as long as the backplane keeps
    its data. A worker that is gone without a word counts until another one's `missed_changes` finds it.
    """

    async def note_occupied(self, channel: str) -> bool:
        """The worker has subscribers in the channel; True if no worker had. Idempotent."""

    async def note_vacated(self, channel: str) -> bool:
        """The worker has no subscribers in the channel any more; True if no other worker has. Idempotent."""

    async def missed_changes(self) -> OccupancyChanges:
        """What changed without a call: workers that were silent for too long are struck out, in one atomic step each.

        To be called every few seconds by every worker. A worker that was taken for gone and is not puts its own
        channels back by it.
        """


@dataclass(frozen=True, slots=True)
class QueuedEvent:
    """An event that was taken; `ident` is what `done` wants."""

    ident: str
    event: bytes


class EventQueue(Protocol):
    """Events in order, each handled at least once by one of several consumers.

    An event stays until `done`: one that a consumer took and never finished is given to another by `reclaim`. All
    methods may raise BackplaneError, and nothing else. An `append` that raised may have appended all the same.
    """

    async def append(self, event: bytes) -> bool:
        """Add an event. False when the queue was full, so that its oldest event had to go."""

    async def take(self, consumer: str, count: int, wait_seconds: float) -> Sequence[QueuedEvent]:
        """At most `count` events that nobody has taken, oldest first; waits so long for the first, then returns none.

        `consumer` names who takes them, and is unique among all workers. One call at a time for each queue object.
        """

    async def done(self, idents: Sequence[str]) -> None:
        """These events were handled; unknown ones are ignored."""

    async def reclaim(self, consumer: str, idle_seconds: float, count: int = 100) -> Sequence[QueuedEvent]:
        """Take over at most `count` events that were taken so long ago and are not done, oldest first.

        Also for what this consumer has taken itself: `idle_seconds` must be longer than handling an event takes.
        """

    async def size(self) -> int:
        """How many events are not done."""
