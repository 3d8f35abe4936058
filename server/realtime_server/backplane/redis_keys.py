"""Names in Redis: which partition a channel is in, and what its keys and pub/sub channels are called.

Every name is `{PREFIX:TAG}:KIND:...`. What stands in braces is the hash tag of a partition: all names of a partition
are in one slot of a Redis Cluster, so that one script may use them together. Outside a cluster there is one partition.
A partition, and not a channel, is the unit because positions of a whole partition become void at once, by one key that
every script of the partition reads, see scripts/greet.lua.
"""

from __future__ import annotations

import itertools
import zlib
from typing import NamedTuple

from redis.crc import key_slot

SLOTS = 16_384
"""Of every Redis Cluster."""
REMEMBERED = 8192
"""Channels whose names are kept made."""


class ChannelKeys(NamedTuple):
    """The names of a channel that every publication needs."""

    partition: int
    stream: bytes
    position: bytes
    messages: bytes
    """Its pub/sub channel."""


class Keys:
    """The names that begin with `prefix`, in `partitions` (at least 1)."""

    def __init__(self, prefix: str, partitions: int) -> None:
        self.partitions = partitions
        self._tags = _tags(prefix, partitions)
        self._channels: dict[str, ChannelKeys] = {}
        """Made before."""

    def channel(self, name: str) -> ChannelKeys:
        """The names of a channel; the same object again while it is in use."""
        found = self._channels.get(name)
        if found is None:
            if len(self._channels) >= REMEMBERED:
                self._channels.clear()
            kinds = (self.of(name, kind) for kind in ("stream", "position", "channel"))
            found = self._channels[name] = ChannelKeys(self.partition_of(name), *kinds)
        return found

    def partition_of(self, channel: str) -> int:
        """Which partition a channel is in."""
        return zlib.crc32(channel.encode()) % self.partitions if self.partitions > 1 else 0

    def slot(self, partition: int) -> int:
        """The slot that all names of a partition are in."""
        return key_slot(self._tags[partition].encode())

    def named(self, partition: int, *parts: str) -> bytes:
        """A name in a partition."""
        return ":".join((self._tags[partition], *parts)).encode()

    def of(self, channel: str, *kinds: str) -> bytes:
        """A name of a channel, in its partition."""
        return self.named(self.partition_of(channel), *kinds, channel)


def _tags(prefix: str, partitions: int) -> list[str]:
    """The tags of all partitions: one in each equal share of the slots, so that primaries have as many partitions."""
    found: dict[int, str] = {}
    for number in itertools.count():
        tag = f"{{{prefix}:{number}}}"
        found.setdefault(key_slot(tag.encode()) * partitions // SLOTS, tag)
        if len(found) == partitions:
            break
    return [found[share] for share in range(partitions)]
