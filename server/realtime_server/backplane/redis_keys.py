"""Names in Redis: the partition of a channel, and the names of its keys and pub/sub channels.

Every name is `{PREFIX:TAG}:KIND:...`. The braces enclose the hash tag of a partition: all names of a partition are in
one slot of a Redis Cluster, so that one script may use them together. Outside a cluster there is one partition. The
unit is a partition rather than a channel because all positions of a partition are invalidated at once, by one key that
every script of the partition reads: see scripts/greet.lua.

All channels of an ordered namespace are in one partition, whose counter of publications is their order.
"""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Collection
from typing import NamedTuple

from redis.crc import key_slot

from realtime_server.core.model.namespaces import DEFAULT, is_in, namespace_of

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
    ordered: bool


class Keys:
    """Names that begin with `prefix`, in `partitions` partitions (at least 1); `ordered` are namespaces."""

    def __init__(self, prefix: str, partitions: int, ordered: Collection[str] = ()) -> None:
        self.partitions = partitions
        self._ordered = frozenset(ordered)
        self._tags = _tags(prefix, partitions)
        self._channels: dict[str, ChannelKeys] = {}
        """Cache of the channels' names."""

    def channel(self, name: str) -> ChannelKeys:
        """Return the names of a channel, from a cache."""
        found = self._channels.get(name)
        if found is None:
            if len(self._channels) >= REMEMBERED:
                self._channels.clear()
            stream, position, messages = (self.of(name, kind) for kind in ("stream", "position", "channel"))
            ordered = is_in(name, self._ordered)
            found = self._channels[name] = ChannelKeys(self.partition_of(name), stream, position, messages, ordered)
        return found

    def partition_of(self, channel: str) -> int:
        """Return the index of a channel's partition."""
        if self._ordered and is_in(channel, self._ordered):
            channel = namespace_of(channel) or DEFAULT
        return self.partition_at(channel)

    def partition_at(self, text: str) -> int:
        """Return the index of the partition in which a text puts what belongs to no channel."""
        return zlib.crc32(text.encode()) % self.partitions if self.partitions > 1 else 0

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
