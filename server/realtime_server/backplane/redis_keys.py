"""Names in Redis: the partition of a channel, and the names of its keys and pub/sub channels.

Every name is `{PREFIX:TAG}:KIND:...`. The braces enclose the hash tag of a partition: all names of a partition are in
one slot of a Redis Cluster, so that one script may use them together. Outside a cluster there is one partition. The
unit is a partition rather than a channel because all positions of a partition are invalidated at once, by one key that
every script of the partition reads: see scripts/greet.lua.
"""

from __future__ import annotations

import itertools
import zlib
from typing import NamedTuple

from redis.crc import key_slot

SLOTS = 16_384
"""Number of slots of every Redis Cluster."""
REMEMBERED = 8192
"""Number of channels whose names are cached."""


class ChannelKeys(NamedTuple):
    """Names of a channel that each publication needs."""

    partition: int
    stream: bytes
    position: bytes
    messages: bytes
    """Name of its pub/sub channel."""


class Keys:
    """Names that begin with `prefix`, in `partitions` partitions (at least 1)."""

    def __init__(self, prefix: str, partitions: int) -> None:
        self.partitions = partitions
        self._tags = _tags(prefix, partitions)
        self._channels: dict[str, ChannelKeys] = {}
        """Cache of the channels' names."""

    def channel(self, name: str) -> ChannelKeys:
        """Return the names of a channel, from a cache."""
        found = self._channels.get(name)
        if found is None:
            if len(self._channels) >= REMEMBERED:
                self._channels.clear()
            kinds = (self.of(name, kind) for kind in ("stream", "position", "channel"))
            found = self._channels[name] = ChannelKeys(self.partition_of(name), *kinds)
        return found

    def partition_of(self, channel: str) -> int:
        """Return the index of a channel's partition."""
        return zlib.crc32(channel.encode()) % self.partitions if self.partitions > 1 else 0

    def slot(self, partition: int) -> int:
        """Return the slot of all names of a partition."""
        return key_slot(self._tags[partition].encode())

    def named(self, partition: int, *parts: str) -> bytes:
        """Return a name in a partition."""
        return ":".join((self._tags[partition], *parts)).encode()

    def of(self, channel: str, *kinds: str) -> bytes:
        """Return a name of a channel, in its partition."""
        return self.named(self.partition_of(channel), *kinds, channel)


def _tags(prefix: str, partitions: int) -> list[str]:
    """Return the hash tags of all partitions, one in each equal share of the slots, to spread over the primaries."""
    found: dict[int, str] = {}
    for number in itertools.count():
        tag = f"{{{prefix}:{number}}}"
        found.setdefault(key_slot(tag.encode()) * partitions // SLOTS, tag)
        if len(found) == partitions:
            break
    return [found[share] for share in range(partitions)]
