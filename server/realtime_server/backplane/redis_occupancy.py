"""Occupied channels, counted in Redis over all workers."""

from __future__ import annotations

from realtime_server.backplane import redis_scripts as scripts
from realtime_server.backplane.redis_partition import WORKER_SECONDS, Partition
from realtime_server.backplane.redis_reply import Word, as_bytes, as_int, as_list, milliseconds
from realtime_server.backplane.redis_router import Router
from realtime_server.backplane.redis_scripts import Script
from realtime_server.core.ports.backplane import OccupancyChanges

REMOVED_AT_ONCE = 1000
"""Channels of a worker that is gone that one script call removes, at most."""


class RedisOccupancy:
    """Occupancy of channels over Redis: implements ChannelOccupancy while the broker is started.

    A worker counts as gone after `Timing.silent` seconds without a sign of life.
    """

    def __init__(self, router: Router) -> None:
        self._router = router
        self._occupied: dict[str, None] = {}

    async def note_occupied(self, channel: str) -> bool:
        """See ChannelOccupancy."""
        self._occupied[channel] = None
        return await self._occupy(channel)

    async def note_vacated(self, channel: str) -> bool:
        """See ChannelOccupancy."""
        self._occupied.pop(channel, None)
        return await self._change(scripts.VACATE, channel)

    async def missed_changes(self) -> OccupancyChanges:
        """See ChannelOccupancy."""
        occupied: list[str] = []
        vacated: list[str] = []
        for partition in self._router.partitions:
            here, gone = await self._occupants(partition)
            if not here:
                occupied += await self._put_back(partition)
            for worker in gone:
                vacated += await self._remove_gone(partition, worker)
        return OccupancyChanges(tuple(occupied), tuple(vacated))

    async def _occupy(self, channel: str) -> bool:
        return await self._change(scripts.OCCUPY, channel, milliseconds(WORKER_SECONDS))

    async def _change(self, script: Script, channel: str, *more: Word) -> bool:
        partition, worker = self._router.channel_partition(channel), self._router.worker
        reply = await self._router.run(partition, script, self._keys(partition, worker), worker, channel, *more)
        return bool(as_int(reply))

    async def _occupants(self, partition: Partition) -> tuple[bool, list[str]]:
        """Return whether this worker is listed in the partition, and the workers that are gone."""
        worker, silent = self._router.worker, milliseconds(self._router.timing.silent)
        keys = (*self._keys(partition, worker), partition.seen)
        kept = milliseconds(WORKER_SECONDS)
        reply = await self._router.run(partition, scripts.OCCUPANTS, keys, worker, silent, kept)
        here, gone = as_list(reply)
        return bool(as_int(here)), [as_bytes(worker).decode() for worker in as_list(gone)]

    async def _put_back(self, partition: Partition) -> list[str]:
        """List this worker's channels again after it was taken for gone; return those that no other worker has."""
        mine = [channel for channel in self._occupied if self._router.channel_partition(channel) is partition]
        return [c for c in mine if c in self._occupied and await self._occupy(c)]

    async def _remove_gone(self, partition: Partition, worker: str) -> list[str]:
        keys = (*self._keys(partition, worker), partition.seen)
        silent = milliseconds(self._router.timing.silent)
        vacated: list[str] = []
        left = True
        while left:
            reply = await self._router.run(partition, scripts.REMOVE_GONE, keys, worker, silent, REMOVED_AT_ONCE)
            more, channels = as_list(reply)
            left = bool(as_int(more))
            vacated += [as_bytes(channel).decode() for channel in as_list(channels)]
        return vacated

    def _keys(self, partition: Partition, worker: str) -> tuple[bytes, bytes, bytes]:
        named, index = self._router.keys.named, partition.index
        return named(index, "occupied"), named(index, "occupies", worker), named(index, "occupants")
