"""Backplane within one process: for a single worker, for development, and as the reference for the other drivers."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from realtime_server.core.metrics.counters import LatencyHistogram
from realtime_server.core.model.namespaces import is_in
from realtime_server.core.model.values import (
    HistoryOptions,
    HistoryPage,
    HistoryQuery,
    Publication,
    SequencePosition,
    StreamPosition,
)
from realtime_server.core.ports.backplane import ROUNDTRIP_BUCKETS, BrokerEvents, StoreState

POSITION_SECONDS = 86_400.0
"""Minimum time that a position is kept after its last use, so that clients that were away can recover."""

SWEEP_SECONDS = 30.0
"""Interval of the removal of expired entries from unused channels."""

MAX_IDEMPOTENCY_KEYS = 100_000
"""Maximum number of idempotency keys that are remembered; the oldest are forgotten first."""


@dataclass(slots=True)
class _Stream:
    epoch: str
    forgotten_at: float
    offset: int = 0
    kept: deque[tuple[float, Publication]] = field(default_factory=deque)
    """Pairs of expiry time and publication, oldest first."""
    dropped: Publication | None = None
    """Newest of those that were kept and are no more."""
    version: int = 0
    version_epoch: str = ""

    def is_old(self, version: int, version_epoch: str) -> bool:
        """Return True when this version or a newer one of the same version epoch was published."""
        return 0 < version <= self.version and version_epoch == self.version_epoch

    def drop_expired(self, now: float) -> None:
        while self.kept and self.kept[0][0] <= now:
            self.drop()

    def drop(self) -> None:
        """Drop the oldest publication that is kept."""
        self.dropped = self.kept.popleft()[1]


class MemoryBroker:
    """Broker within one process: implements Broker.

    `publish` delivers before it returns. `clock` is monotonic seconds, `ordered` the names of the ordered namespaces.
    """

    immediate = True
    store: StoreState | None = None
    """Histories are in the memory of this process."""

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        position_seconds: float = POSITION_SECONDS,
        ordered: Collection[str] = (),
    ) -> None:
        self._clock = clock
        self._ordered = frozenset(ordered)
        self._sequence = SequencePosition(0, secrets.token_hex(4))
        """Number of the newest publication in ordered namespaces."""
        self._position_seconds = position_seconds
        self.roundtrips = LatencyHistogram(ROUNDTRIP_BUCKETS)
        """Always empty: there is no round trip to measure."""
        self._events: BrokerEvents | None = None
        self._node = ""
        self._subscribed: set[str] = set()
        self._streams: dict[str, _Stream] = {}
        self._once: OrderedDict[tuple[str, str], tuple[float, StreamPosition | None]] = OrderedDict()
        """Expiry time and returned position of each channel and idempotency key."""
        self._sweeper: asyncio.TimerHandle | None = None

    async def start(self, events: BrokerEvents, node: str = "") -> None:
        """Deliver to `events` from now on."""
        self._events = events
        self._node = node
        self._sweep()

    async def stop(self) -> None:
        """Stop delivering events."""
        self._events = None
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None

    @property
    def healthy(self) -> bool:
        """True while started: there is no link that could break."""
        return self._events is not None

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
        """Append and deliver; see Broker."""
        now, once = self._clock(), (channel, idempotency_key)
        if idempotency_key and once in self._once and self._once[once][0] > now:
            return self._once[once][1]
        position = self._publish(channel, encoded, history, version, version_epoch)
        if idempotency_key:
            self._once.pop(once, None)
            self._once[once] = (now + idempotency_seconds, position)
            if len(self._once) > MAX_IDEMPOTENCY_KEYS:
                self._once.popitem(last=False)
        return position

    def _publish(
        self, channel: str, encoded: bytes, history: HistoryOptions | None, version: int, version_epoch: str
    ) -> StreamPosition | None:
        if history is None:
            self._deliver(channel, Publication(encoded), "")
            return None
        stream = self._stream(channel, history)
        if stream.is_old(version, version_epoch):
            return StreamPosition(stream.offset, stream.epoch)
        if version:
            stream.version, stream.version_epoch = version, version_epoch
        stream.offset += 1
        publication = Publication(encoded, stream.offset, self._number(channel))
        stream.kept.append((self._clock() + history.ttl_seconds, publication))
        while len(stream.kept) > history.size:
            stream.drop()
        self._deliver(channel, publication, stream.epoch)
        return StreamPosition(publication.offset, stream.epoch)

    def _number(self, channel: str) -> SequencePosition | None:
        """Return the position of the next publication, None where the namespace is not ordered."""
        if not self._ordered or not is_in(channel, self._ordered):
            return None
        self._sequence = SequencePosition(self._sequence.number + 1, self._sequence.epoch)
        return self._sequence

    async def subscribe(self, channel: str) -> None:
        """Deliver the channel's publications from now on."""
        self._subscribed.add(channel)

    async def unsubscribe(self, channel: str) -> None:
        """Stop delivering the channel's publications."""
        self._subscribed.discard(channel)

    async def history(self, channel: str, query: HistoryQuery, options: HistoryOptions) -> HistoryPage:
        """Read a part of the stream; see Broker."""
        stream = self._stream(channel, options)
        publications = _select([publication for _, publication in stream.kept], query)
        ordered = self._ordered and is_in(channel, self._ordered)
        position = StreamPosition(stream.offset, stream.epoch)
        return HistoryPage(publications, position, self._sequence if ordered else None)

    async def missed(
        self, channel: str, known: StreamPosition, since: SequencePosition, options: HistoryOptions
    ) -> HistoryPage | None:
        """Read what was published after both positions; see Broker."""
        stream, newest = self._stream(channel, options), self._sequence
        if (known.epoch, since.epoch) != (stream.epoch, newest.epoch):
            return None
        if known.offset > stream.offset or since.number > newest.number:
            return None
        if stream.dropped is not None and _is_after(stream.dropped, known, since):
            return None
        publications = tuple(one for _, one in stream.kept if _is_after(one, known, since))
        return HistoryPage(publications, StreamPosition(stream.offset, stream.epoch), newest)

    async def remove_history(self, channel: str) -> None:
        """Drop the channel's retained publications; its position stays."""
        stream = self._streams.get(channel)
        while stream is not None and stream.kept:
            stream.drop()

    async def publish_control(self, message: bytes, node: str = "") -> None:
        """Deliver the message if it is for all nodes or for this one: there are no others."""
        if self._events is not None and node in ("", self._node):
            self._events.on_control(message)

    def _deliver(self, channel: str, publication: Publication, epoch: str) -> None:
        if self._events is not None and channel in self._subscribed:
            self._events.on_publication(channel, publication, epoch)

    def _stream(self, channel: str, options: HistoryOptions) -> _Stream:
        """Return the stream without expired publications, created if needed; using it prolongs its position's life."""
        now = self._clock()
        forgotten_at = now + max(self._position_seconds, 2 * options.ttl_seconds)
        stream = self._streams.get(channel)
        if stream is None or stream.forgotten_at <= now:
            stream = self._streams[channel] = _Stream(secrets.token_hex(4), forgotten_at)
        stream.forgotten_at = max(stream.forgotten_at, forgotten_at)
        stream.drop_expired(now)
        return stream

    def _sweep(self) -> None:
        now = self._clock()
        for channel, stream in list(self._streams.items()):
            stream.drop_expired(now)
            if stream.forgotten_at <= now:
                del self._streams[channel]
        for once in [once for once, (expires_at, _) in self._once.items() if expires_at <= now]:
            del self._once[once]
        self._sweeper = asyncio.get_running_loop().call_later(SWEEP_SECONDS, self._sweep)


def _is_after(publication: Publication, known: StreamPosition, since: SequencePosition) -> bool:
    sequence = publication.sequence
    return publication.offset > known.offset and (sequence is None or sequence.number > since.number)


def _select(kept: list[Publication], query: HistoryQuery) -> tuple[Publication, ...]:
    if query.limit == 0:
        return ()
    since = query.since
    if query.reverse:
        kept.reverse()
        wanted = [p for p in kept if since is None or p.offset < since.offset]
    else:
        wanted = [p for p in kept if since is None or p.offset > since.offset]
    return tuple(wanted if query.limit < 0 else wanted[: query.limit])
