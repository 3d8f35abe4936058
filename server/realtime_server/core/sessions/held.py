"""Publications that wait because their subscriber reads too slowly, where the namespace allows to drop some.

What is dropped is told: the next publication that the subscriber gets of the channel says in its tags how many are
missing before it.
"""

from __future__ import annotations

from collections import Counter

import msgspec

from realtime_server.core.model.channel_options import SlowConsumer
from realtime_server.core.model.publication import Content

DROPPED_TAG = "realtime.dropped"
"""How many publications of the channel were dropped before this one."""
CONFLATED_TAG = "realtime.conflated"
"""How many older publications with the same key this one stands for."""
KEY_TAG = "key"
"""What tells publications apart that replace one another; without it a channel has one key."""
ITEM_BYTES = 200
"""What a publication takes besides its data, about."""


class HeldItem:
    """A publication that waits. `dropped` were left out before it, `conflated` are older ones with its key."""

    __slots__ = ("channel", "conflated", "content", "dropped", "offset")

    def __init__(self, channel: str, content: Content, offset: int) -> None:
        self.channel = channel
        self.content = content
        self.offset = offset
        self.dropped = 0
        self.conflated = 0

    @property
    def size(self) -> int:
        """Bytes that it takes, about."""
        tags = self.content.tags or {}
        return len(self.content.data) + sum(map(len, tags)) + sum(map(len, tags.values())) + ITEM_BYTES

    def with_drop_tags(self) -> Content:
        """Return the content with what is missing in its tags."""
        if not self.dropped and not self.conflated:
            return self.content
        tags = dict(self.content.tags or {})
        if self.dropped:
            tags[DROPPED_TAG] = str(self.dropped)
        if self.conflated:
            tags[CONFLATED_TAG] = str(self.conflated)
        return msgspec.structs.replace(self.content, tags=tags)


class Held:
    """What waits for one connection, bounded in bytes."""

    __slots__ = ("_counts", "_dropped", "_items", "_limit", "_next", "dropped", "size")

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._items: dict[tuple[str, str | int], HeldItem] = {}
        self._next = 0
        self._counts: Counter[str] = Counter()
        """How many wait of each channel."""
        self._dropped: dict[str, int] = {}
        """How many were dropped of a channel that nothing else waits of."""
        self.size = 0
        self.dropped = 0
        """How many were dropped or replaced since the beginning."""

    def __bool__(self) -> bool:
        """Whether something waits, or was dropped and is still to be told."""
        return bool(self._items or self._dropped)

    @property
    def waits(self) -> bool:
        """Whether a publication waits."""
        return bool(self._items)

    def put(self, channel: str, policy: SlowConsumer, content: Content, offset: int) -> None:
        """Add a publication. Under `conflate` it replaces the one with its key; over the limit the oldest goes."""
        key = self._key_of(channel, policy, content)
        item = HeldItem(channel, content, offset)
        if key in self._items:
            self.dropped += 1
            item.conflated = self._remove(key).conflated + 1
        self._items[key] = item
        self._counts[channel] += 1
        self.size += item.size
        while self.size > self._limit and len(self._items) > 1:
            self._drop_oldest()

    def take(self, size: int) -> list[HeldItem]:
        """What has waited longest: one at least, and more up to about `size` bytes."""
        taken: list[HeldItem] = []
        while self._items and (not taken or size > 0):
            item = self._remove(next(iter(self._items)))
            item.dropped = self._dropped.pop(item.channel, 0)
            size -= item.size
            taken.append(item)
        return taken

    def forget(self, channel: str) -> None:
        """Drop what waits of a channel whose subscription has ended."""
        for key in [key for key in self._items if key[0] == channel]:
            self._remove(key)
        self._dropped.pop(channel, None)

    def _key_of(self, channel: str, policy: SlowConsumer, content: Content) -> tuple[str, str | int]:
        if policy is SlowConsumer.CONFLATE:
            return channel, (content.tags or {}).get(KEY_TAG, "")
        self._next += 1
        return channel, self._next

    def _remove(self, key: tuple[str, str | int]) -> HeldItem:
        item = self._items.pop(key)
        self.size -= item.size
        self._counts[item.channel] -= 1
        if not self._counts[item.channel]:
            del self._counts[item.channel]
        return item

    def _drop_oldest(self) -> None:
        """The oldest of a channel of which more waits, which then tells of it; the oldest at all if there is none."""
        oldest = next(iter(self._items))
        item = self._remove(next((key for key in self._items if self._counts[key[0]] > 1), oldest))
        self.dropped += 1
        self._dropped[item.channel] = self._dropped.get(item.channel, 0) + item.conflated + 1
