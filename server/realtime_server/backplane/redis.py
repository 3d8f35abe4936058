"""Redis backplane: pub/sub between servers, streams as history; on one Redis, with Sentinel, or on a Redis Cluster.

Names are made by redis_keys and begin with `{PREFIX:TAG}:`. Per channel: `stream:CHANNEL`, `position:CHANNEL`,
`once:LENGTH:KEY:CHANNEL`, `presence:KIND:CHANNEL`, `import:CHANNEL`. Per partition: `generation`, `seen`, `awaited`,
`occupied`, `occupants`, `occupies:WORKER`, `sessions:KIND`; in the first one also `revocations:KIND`. Per queue:
`queue:NAME`. Pub/sub channels: `channel:CHANNEL`, `gap`, `echo:WORKER`, `control`, `node:NODE`. A message of a channel
is `OFFSET:EPOCH:NUMBER`, a line feed, and the encoded publication; the part before the line feed is empty for a channel
without history. NUMBER counts the publications of the partition; in an ordered namespace a fourth part is its epoch.

scripts/greet.lua decides whether positions are still valid after a restart or a failover of Redis.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
import random
import secrets
from collections.abc import Callable, Collection

from msgspec import structs

from realtime_server import settings
from realtime_server.backplane import redis_scripts as scripts
from realtime_server.backplane.redis_link import Timing
from realtime_server.backplane.redis_partition import Partition
from realtime_server.backplane.redis_reply import Reply, Word, as_bytes, as_int, as_list, milliseconds
from realtime_server.backplane.redis_router import Router
from realtime_server.backplane.redis_target import EndpointReader
from realtime_server.core.metrics.counters import LatencyHistogram
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
MOST = 2**62
"""Upper bound to which offsets and limits are clamped."""
MOST_NUMBER = 2**53
"""Upper bound of what the numbers of Lua can hold."""
MOST_VERSION = 10**20 - 1
ORDERED = (b"1",)
"""Last argument of the scripts of streams in an ordered namespace."""
LONG_KEY = 64
"""Length in bytes above which an idempotency key is stored as its digest."""


def open_router(
    redis: settings.Redis, prefix: str, timing: Timing | None = None, ordered: Collection[str] = ()
) -> Router:
    """Return a router to Redis, not connected yet; `ordered` are the names of the ordered namespaces."""
    return Router(EndpointReader(redis), prefix, timing or Timing(), secrets.token_hex(8), ordered)


class RedisBroker:
    """Broker over Redis: implements Broker. It starts and stops the router, which other ports may share."""

    immediate = False

    def __init__(self, router: Router, *, position_seconds: float = POSITION_SECONDS) -> None:
        self.roundtrips = LatencyHistogram(ROUNDTRIP_BUCKETS)
        self._router = router
        self._position_seconds = position_seconds
        self._random = random.Random()  # noqa: S311 - seeded by the system; nobody gains by guessing an epoch
        self._events: BrokerEvents | None = None
        self._channels: dict[bytes, tuple[str, Partition]] = {}
        self._special: dict[bytes, Callable[[bytes], None]] = {}
        """Handlers of the pub/sub channels that carry no publications: gaps, echoes and control messages."""

    # life

    async def start(self, events: BrokerEvents, node: str = "") -> None:
        """Connect; see Broker."""
        self._events = events
        self._channels.clear()
        await self._router.start(self)
        router = self._router
        self._special = {}
        for partition in router.partitions:
            self._special[partition.gaps] = functools.partial(router.note_gap, partition)
            self._special[partition.echo] = functools.partial(self._note_echo, partition)
        for name in self._control_names(node):
            self._special[name] = self._note_control
        try:
            for name in self._control_names(node):
                await router.subscribe(router.partitions[0], name)
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Close all links."""
        self._events = None
        await self._router.stop()

    @property
    def healthy(self) -> bool:
        """See Broker."""
        return self._events is not None and self._router.healthy

    @property
    def store(self) -> StoreState | None:
        """See Broker."""
        return self._router.store

    # what core asks for

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
        """Append and deliver in one script; see Broker."""
        router = self._router
        names = router.keys.channel(channel)
        partition, command = router.partitions[names.partition], router.pubsub.publish
        once: tuple[bytes, ...] = ()
        once_for = 0
        if idempotency_key:
            once = (router.keys.of(channel, "once", *_bounded(idempotency_key)),)
            once_for = milliseconds(idempotency_seconds)
        if history is None:
            message = b"\n" + encoded
            if once:
                await router.run(partition, scripts.PUBLISH_ONCE, once, command, names.messages, message, once_for)
            else:
                await router.call(partition, command, names.messages, message)
            return None
        reply = await router.run(
            partition, scripts.PUBLISH, (names.stream, names.position, partition.generation, *once),
            command, names.messages, encoded, history.size, *self.lifetimes(history), self._candidate(),
            once_for, b"%020d" % min(version, MOST_VERSION) if version > 0 else b"", version_epoch,
            *(ORDERED if names.ordered else ()),
        )  # fmt: skip
        offset, epoch, number = as_list(reply)
        partition.note(as_int(number))
        return StreamPosition(as_int(offset), as_bytes(epoch).decode())

    async def subscribe(self, channel: str) -> None:
        """Subscribe; return once Redis has confirmed. See Broker."""
        names = self._router.keys.channel(channel)
        partition = self._router.partitions[names.partition]
        self._channels[names.messages] = (channel, partition)
        try:
            await self._router.subscribe(partition, names.messages)
        except BaseException:
            if names.messages not in partition.wanted:
                self._channels.pop(names.messages, None)
            raise

    async def unsubscribe(self, channel: str) -> None:
        """Stop delivering at once, and unsubscribe in Redis without waiting for its reply."""
        names = self._router.keys.channel(channel)
        if self._channels.pop(names.messages, None) is not None:
            self._router.unsubscribe(self._router.partitions[names.partition], names.messages)

    async def history(self, channel: str, query: HistoryQuery, options: HistoryOptions) -> HistoryPage:
        """Read in one script; see Broker."""
        since: Word = b"" if query.since is None else max(0, min(query.since.offset, MOST))
        limit = max(-1, min(query.limit, MOST))
        if query.reverse and since == 0:
            limit = 0  # nothing is before the beginning
        names = self._router.keys.channel(channel)
        partition = self._router.partitions[names.partition]
        reply = await self._router.run(
            partition, scripts.HISTORY, (names.stream, names.position, partition.generation),
            limit, since, int(query.reverse), *self.lifetimes(options), self._candidate(),
            *(ORDERED if names.ordered else ()),
        )  # fmt: skip
        if names.ordered:
            newest, epoch, found, number, sequence = as_list(reply)
            return _ordered_page(newest, epoch, found, SequencePosition(as_int(number), as_bytes(sequence).decode()))
        newest, epoch, found = as_list(reply)
        pairs = iter(as_list(found))
        publications = tuple(
            Publication(as_bytes(encoded), as_int(offset)) for offset, encoded in zip(pairs, pairs, strict=True)
        )
        return HistoryPage(publications, StreamPosition(as_int(newest), as_bytes(epoch).decode()))

    async def missed(
        self, channel: str, known: StreamPosition, since: SequencePosition, options: HistoryOptions
    ) -> HistoryPage | None:
        """Read in one script; see Broker."""
        names = self._router.keys.channel(channel)
        partition = self._router.partitions[names.partition]
        number = max(0, min(since.number, MOST_NUMBER))
        answer = await self._router.run(
            partition, scripts.MISSED, (names.stream, names.position, partition.generation),
            max(0, min(known.offset, MOST_NUMBER)), known.epoch, number, since.epoch,
            *self.lifetimes(options), self._candidate(),
        )  # fmt: skip
        reply = as_list(answer)
        if not reply:
            return None
        newest, epoch, found, counted = reply
        page = _ordered_page(newest, epoch, found, SequencePosition(as_int(counted), since.epoch))
        return structs.replace(page, publications=page.publications[::-1])

    async def remove_history(self, channel: str) -> None:
        """Delete the stream; see Broker."""
        await self._router.call(
            self._router.channel_partition(channel), b"DEL", self._router.keys.of(channel, "stream")
        )

    async def publish_control(self, message: bytes, node: str = "") -> None:
        """Publish to all workers or to one; see Broker."""
        name = self._control_names(node)[-1]
        await self._router.call(self._router.partitions[0], self._router.pubsub.publish, name, message)

    # what arrives

    def on_message(self, name: bytes, message: bytes) -> None:
        """See RouterEvents."""
        if self._events is None:
            return
        found = self._channels.get(name)
        if found is None:
            special = self._special.get(name)
            if special is not None:
                special(message)
            return
        channel, partition = found
        head, _, encoded = message.partition(b"\n")
        if not head:
            self._events.on_publication(channel, Publication(encoded), "")
            return
        sequence = None
        try:
            offset, epoch, number = head.split(b":")
        except ValueError:  # costs nothing where it is not raised: the namespace is ordered
            offset, epoch, number, numbered_in = head.split(b":")
            sequence = SequencePosition(int(number), numbered_in.decode())
        partition.note(int(number))
        self._events.on_publication(channel, Publication(encoded, int(offset), sequence), epoch.decode())

    def on_interrupted(self) -> None:
        """See RouterEvents."""
        if self._events is not None:
            self._events.on_interrupted()

    def on_gap(self) -> None:
        """See RouterEvents."""
        if self._events is not None:
            self._events.on_gap()

    def _note_control(self, message: bytes) -> None:
        if self._events is not None:
            self._events.on_control(message)

    def _note_echo(self, partition: Partition, message: bytes) -> None:
        took = partition.canary.arrive(message, asyncio.get_running_loop().time())
        if took is not None:
            self.roundtrips.observe(took)

    # names

    def _control_names(self, node: str) -> list[bytes]:
        """Return the pub/sub channel of all workers, followed by that of one node if it is named."""
        named = self._router.keys.named
        return [named(0, "control"), *([named(0, "node", node)] if node else [])]

    def _candidate(self) -> str:
        """Return an epoch for a stream that has none; unique, but not secret."""
        return f"{self._random.getrandbits(32):08x}"

    def lifetimes(self, options: HistoryOptions) -> tuple[int, int]:
        """Return the lifetimes of publications and of the position in milliseconds."""
        return milliseconds(options.ttl_seconds), milliseconds(max(self._position_seconds, 2 * options.ttl_seconds))


def _ordered_page(newest: Reply, epoch: Reply, found: Reply, sequence: SequencePosition) -> HistoryPage:
    """Return a page of an ordered namespace; `found` is a flat list of offset, publication, number and so on."""
    parts = iter(as_list(found))
    publications = tuple(
        Publication(
            as_bytes(encoded),
            as_int(offset),
            SequencePosition(as_int(number), sequence.epoch) if as_int(number) else None,
        )
        for offset, encoded, number in zip(parts, parts, parts, strict=True)
    )
    return HistoryPage(publications, StreamPosition(as_int(newest), as_bytes(epoch).decode()), sequence)


def _bounded(idempotency_key: str) -> tuple[str, str]:
    """Return name parts of bounded length for a key; the first part tells where the second ends."""
    encoded = idempotency_key.encode()
    if len(encoded) <= LONG_KEY:
        return str(len(encoded)), idempotency_key
    return "sha256", hashlib.sha256(encoded).hexdigest()
