"""Routing of commands to the primary of a partition: on one Redis, with Sentinel, or in a cluster."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import replace
from typing import Protocol

import structlog
from redis.crc import key_slot
from redis.exceptions import AskError, ClusterDownError, ResponseError, TryAgainError

from realtime_server.backplane.redis_cluster import ClusterMap, NodeTarget, SlotMap, SlotTarget
from realtime_server.backplane.redis_keys import Keys
from realtime_server.backplane.redis_link import Link, Target, Timing
from realtime_server.backplane.redis_partition import Partition, PubSub
from realtime_server.backplane.redis_reply import Reply, Word
from realtime_server.backplane.redis_scripts import Script
from realtime_server.backplane.redis_sentinel import SentinelTarget, SentinelWatch
from realtime_server.backplane.redis_shard import Shard
from realtime_server.backplane.redis_supervisor import LinkSupervisor
from realtime_server.backplane.redis_target import Address, Endpoint, EndpointReader, Mode
from realtime_server.backplane.redis_usage import RedisUsage
from realtime_server.core.model.errors import BackplaneError
from realtime_server.core.ports.backplane import StoreState

logger = structlog.get_logger()

RETRY_SECONDS = 0.02
"""First pause before a command is repeated whose slot has moved or whose partition is settling; it doubles each time.
"""
RETRY_MOST_SECONDS = 0.25
HURRY_SECONDS = 0.25
"""Interval of reading the slot map while a primary does not answer."""
PASSING = (AskError, TryAgainError, ClusterDownError)
"""Transient errors of a cluster; MovedError is an AskError."""


class RouterEvents(Protocol):
    """Receiver of what a router reports."""

    def on_message(self, name: bytes, message: bytes) -> None:
        """Handle a pub/sub message: the name of its channel and its payload."""

    def on_interrupted(self) -> None:
        """Handle that a link subscribes anew: what arrives from now on may follow a loss. `on_gap` is called later."""

    def on_gap(self) -> None:
        """Handle a possible loss of publications, which can be read again from the history."""


class Router:
    """Router of commands to the current primary of each partition. `keys` requires a start.

    `ordered` are the names of the ordered namespaces.
    """

    def __init__(
        self, reader: EndpointReader, prefix: str, timing: Timing, worker: str, ordered: Collection[str] = ()
    ) -> None:
        self.timing = timing
        self.worker = worker
        self._reader = reader
        self._prefix = prefix
        self._ordered = ordered
        self._keys: Keys | None = None
        self._events: RouterEvents | None = None
        self.pubsub = PubSub(sharded=False)
        self.partitions: list[Partition] = []
        self._owners: list[Shard | None] = []
        self._shards: dict[Address | None, Shard] = {}
        self._sentinel: SentinelTarget | None = None
        self._sentinels: SentinelWatch | None = None
        self._map: ClusterMap | None = None
        self._slots: SlotMap | None = None
        self._target: NodeTarget | SentinelTarget | None = None
        self._further: list[tuple[LinkSupervisor, SlotTarget | None]] = []
        """Links besides those of the shards; with a target of their own in a cluster."""
        self._follower: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()

    # life

    async def start(self, events: RouterEvents) -> None:
        """Connect to every primary. Raises BackplaneError when one does not answer."""
        self._events = events
        try:
            await self._start(self._reader.read())
        except BaseException:
            await self.stop()
            raise

    async def _start(self, endpoint: Endpoint) -> None:
        if self._keys is None or self._keys.partitions != endpoint.partitions:
            self._keys = Keys(self._prefix, endpoint.partitions, self._ordered)
        self.pubsub = PubSub(sharded=endpoint.mode is Mode.CLUSTER)
        indexes = range(endpoint.partitions)
        self.partitions = [Partition(index, self._keys, self.worker, self.timing, self.pubsub) for index in indexes]
        self._owners = [None] * endpoint.partitions
        if endpoint.mode is Mode.CLUSTER:
            self._map = ClusterMap(self._reader, self.timing)
            await self._follow_map(required=True)
            self._follower = asyncio.create_task(self._follow(), name="redis-cluster-map")
            return
        sentinel = SentinelTarget(self._reader, self.timing) if endpoint.mode is Mode.SENTINEL else None
        self._sentinel = sentinel
        self._target = sentinel or NodeTarget(self._reader, self.timing, endpoint.mode)
        shard = self._shard("redis", self._target, self.partitions)
        self._shards[None] = shard
        await shard.start()
        self._owners = [shard] * len(self._owners)
        if sentinel is not None:
            self._sentinels = SentinelWatch(self._reader, self.timing, self._switch)
            self._sentinels.start()

    async def stop(self) -> None:
        """Close all links. Idempotent."""
        self._events = None
        self._further.clear()
        if self._follower is not None:
            self._follower.cancel()
            await asyncio.gather(self._follower, return_exceptions=True)
            self._follower = None
        if self._sentinels is not None:
            await self._sentinels.stop()
            self._sentinels = None
        shards = list(self._shards.values())
        self._shards.clear()
        await asyncio.gather(*(shard.stop() for shard in shards))

    @property
    def healthy(self) -> bool:
        """True when publications in every partition are known to arrive."""
        return (
            bool(self._shards)
            and all(owner is not None for owner in self._owners)
            and all(shard.healthy for shard in self._shards.values())
        )

    @property
    def store(self) -> StoreState | None:
        """State of the fullest Redis; None before it was read."""
        fullest = max((usage.memory for usage in self.usage.values()), key=lambda one: one.used_part, default=None)
        primary = "" if self._sentinel is None else self._sentinel.primary
        return None if fullest is None else replace(fullest, primary=primary)

    @property
    def keys(self) -> Keys:
        """Names of all keys. Raises BackplaneError before the first start."""
        if self._keys is None:
            raise BackplaneError("not connected to Redis yet")
        return self._keys

    @property
    def usage(self) -> dict[str, RedisUsage]:
        """Use of each primary when it was read last, by the name of the links to it."""
        return {shard.name: shard.usage for shard in self._shards.values() if shard.usage is not None}

    def channel_partition(self, channel: str) -> Partition:
        """Return the partition of a channel. Raises BackplaneError before the first start."""
        return self.partitions[self.keys.partition_of(channel)]

    # commands

    async def run(self, partition: Partition, script: Script, keys: Sequence[bytes], *arguments: Word) -> Reply:
        """Run a script on the partition's primary. Raises BackplaneError."""
        return await self._ask(lambda: self._owner(partition).commands.link.run(script, keys, *arguments))

    async def call(self, partition: Partition, *words: Word) -> Reply:
        """Run a command on the partition's primary. Raises BackplaneError."""
        return await self._ask(lambda: self._owner(partition).commands.link.call(*words))

    async def subscribe(self, partition: Partition, name: bytes) -> None:
        """Subscribe to a pub/sub channel, and again after each loss of the link. Raises BackplaneError."""
        known = name in partition.wanted
        partition.wanted[name] = None
        try:
            await self._ask(lambda: self._owner(partition).messages.link.call(self.pubsub.subscribe, name))
        except BaseException:
            if not known:
                self.unsubscribe(partition, name)
            raise

    def unsubscribe(self, partition: Partition, name: bytes) -> None:
        """Unsubscribe from a pub/sub channel without waiting for Redis; it is not subscribed to after a reconnect."""
        if name in partition.wanted:
            del partition.wanted[name]
            with contextlib.suppress(BackplaneError):
                self._owner(partition).messages.link.forget(self.pubsub.unsubscribe, name)

    def note_gap(self, partition: Partition, message: bytes) -> None:
        """Handle a message of the partition's channel for gaps."""
        with contextlib.suppress(BackplaneError):
            self._owner(partition).receive(partition, message)

    def _owner(self, partition: Partition) -> Shard:
        owner = self._owners[partition.index]
        if owner is None:
            raise BackplaneError("no primary of the Redis Cluster has this channel")
        return owner

    async def _ask(self, attempt: Callable[[], Awaitable[Reply]]) -> Reply:
        deadline, pause = 0.0, RETRY_SECONDS
        while True:
            try:
                return await attempt()
            except ResponseError as error:
                now = asyncio.get_running_loop().time()
                deadline = deadline or now + self.timing.call
                if now >= deadline or not (isinstance(error, PASSING) or str(error).startswith("SETTLING")):
                    raise BackplaneError(f"Redis refused: {error}") from error
                if isinstance(error, PASSING):
                    self._changed.set()
            await asyncio.sleep(pause)
            pause = min(2 * pause, RETRY_MOST_SECONDS)

    # links besides those of the shards

    def link_to(
        self,
        key: bytes,
        name: str,
        *,
        greet: Callable[[Link], Awaitable[None]],
        on_up: Callable[[], None],
        on_message: Callable[[bytes, bytes], None] | None = None,
    ) -> LinkSupervisor:
        """Return the supervisor of one more link, to the primary of a key, which it follows.

        The caller begins and stops it, within the life of the router. See LinkSupervisor for the arguments.
        """
        target: Target | None = self._target
        own = None
        if target is None:
            slot = key_slot(key)
            target = own = SlotTarget(self._reader, self.timing, lambda: self._primary_of(slot))
        supervisor = LinkSupervisor(
            name, target, self.timing,
            greet=greet, on_up=on_up, on_lost=self._changed.set, on_message=on_message,
        )  # fmt: skip
        self._further.append((supervisor, own))
        return supervisor

    def _primary_of(self, slot: int) -> Address:
        if self._slots is None:
            raise BackplaneError("the slots of the Redis Cluster are not known yet")
        return self._slots.primary_of(slot)

    def note_moved(self) -> None:
        """Record that a primary has refused a command for a slot that it has no longer."""
        self._changed.set()

    def _switch(self, reason: str) -> None:
        """Connect anew, because the primary was replaced."""
        for shard in self._shards.values():
            shard.switch(reason)
        for supervisor, _ in self._further:
            supervisor.switch(reason)

    # shards

    def _shard(self, name: str, target: NodeTarget | SentinelTarget, partitions: Sequence[Partition]) -> Shard:
        events = self._events
        assert events is not None
        return Shard(
            name, target, self.timing, partitions,
            on_message=events.on_message, on_interrupted=events.on_interrupted, on_gap=self._report_gap,
            on_lost=self._changed.set,
        )  # fmt: skip

    def _cluster_shards(self) -> list[tuple[Address, Shard]]:
        return [(address, shard) for address, shard in self._shards.items() if address is not None]

    def _report_gap(self) -> None:
        if self._events is not None:
            self._events.on_gap()
            if any(shard.interrupted for shard in self._shards.values()):
                self._events.on_interrupted()  # for others the gap is still to come

    async def _follow(self) -> None:
        """Read the slot map of the cluster at intervals, and soon after a sign that it has changed."""
        while True:
            quiet = all(shard.linked for shard in self._shards.values())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.timing.topology if quiet else HURRY_SECONDS):
                    await self._changed.wait()
            self._changed.clear()
            try:
                await self._follow_map()
            except BackplaneError as error:
                logger.info("redis cluster has changed, its new topology cannot be read yet", reason=str(error))
            await asyncio.sleep(RETRY_SECONDS)

    async def _follow_map(self, *, required: bool = False) -> None:
        """Assign every partition to its primary, and close links to the others.

        Raises BackplaneError when the map cannot be read or, if `required`, when a primary does not answer.
        """
        assert self._map is not None
        found = await self._map.read({address: shard.commands for address, shard in self._cluster_shards()})
        self._slots = found
        for supervisor, target in self._further:
            if target is not None and target.has_moved:
                supervisor.switch("its slot has another primary")
        wanted: dict[Address, list[Partition]] = {}
        for partition in self.partitions:
            wanted.setdefault(found.primary_of(partition.slot), []).append(partition)
        outcomes = await asyncio.gather(
            *(self._give(address, partitions) for address, partitions in wanted.items()), return_exceptions=True
        )
        for address, shard in self._cluster_shards():
            if address not in wanted:
                del self._shards[address]
                await shard.stop()
        for outcome in outcomes:
            if isinstance(outcome, BaseException) and (required or not isinstance(outcome, BackplaneError)):
                raise outcome

    async def _give(self, address: Address, partitions: Sequence[Partition]) -> None:
        shard = self._shards.get(address)
        moved = [partition for partition in partitions if shard is None or self._owners[partition.index] is not shard]
        for partition in moved:
            previous = self._owners[partition.index]
            if previous is not None:
                previous.partitions.pop(partition.index, None)
        if shard is not None:
            for partition in moved:
                await shard.adopt(partition)
                self._owners[partition.index] = shard
            return
        shard = self._shard(
            f"{address[0]}:{address[1]}", NodeTarget(self._reader, self.timing, Mode.CLUSTER, address), moved
        )
        try:
            await shard.start()
        except BackplaneError:
            if any(self._owners[partition.index] is not None for partition in moved):
                self._report_gap()  # ends the interruption, which may come without a move
            raise
        self._shards[address] = shard
        for partition in moved:
            again = self._owners[partition.index] is not None
            self._owners[partition.index] = shard
            if again:
                shard.note_gap()
