"""Publications held back for a subscriber that reads too slowly, in a namespace that allows dropping some.

Drops are reported: the tags of the next publication that the subscriber receives on the channel say how many are
missing before it.
"""

from __future__ import annotations

from collections import Counter

import msgspec

from realtime_server.core.model.channel_options import SlowConsumer
from realtime_server.core.model.publication import Content

DROPPED_TAG = "realtime.dropped"
"""Tag with the number of publications of the channel that were dropped before this one."""
CONFLATED_TAG = "realtime.conflated"
"""Tag with the number of older publications with the same key that this one replaces."""
KEY_TAG = "key"
"""Tag with the key by which publications replace one another; a channel without it has a single key."""
ITEM_BYTES = 200
"""Approximate size of a held publication in addition to its data."""


class HeldItem:
    """Held publication: `dropped` publications were left out before it, `conflated` older ones had its key."""

    __slots__ = ("channel", "conflated", "content", "dropped", "offset")

    def __init__(self, channel: str, content: Content, offset: int) -> None:
        self.channel = channel
        self.content = content
        self.offset = offset
        self.dropped = 0
        self.conflated = 0

    @property
    def size(self) -> int:
        """Approximate size in bytes."""
        tags = self.content.tags or {}
        return len(self.content.data) + sum(map(len, tags)) + sum(map(len, tags.values())) + ITEM_BYTES

    def with_drop_tags(self) -> Content:
        """Return the content with the numbers of missing publications in its tags."""
        if not self.dropped and not self.conflated:
            return self.content
        tags = dict(self.content.tags or {})
        if self.dropped:
            tags[DROPPED_TAG] = str(self.dropped)
        if self.conflated:
            tags[CONFLATED_TAG] = str(self.conflated)
        return msgspec.structs.replace(self.content, tags=tags)


class Held:
    """Held publications of one connection, bounded in bytes."""

    __slots__ = ("_counts", "_dropped", "_items", "_limit", "_next", "dropped", "size")

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._items: dict[tuple[str, str | int], HeldItem] = {}
        self._next = 0
        self._counts: Counter[str] = Counter()
        """Number of held publications per channel."""
        self._dropped: dict[str, int] = {}
        """Number of dropped publications per channel, to be reported by the next publication of the channel."""
        self.size = 0
        self.dropped = 0
        """Number of publications that were dropped or replaced since the beginning."""

    def __bool__(self) -> bool:
        """Return True while a publication is held, or a drop is still to be reported."""
        return bool(self._items or self._dropped)

    @property
    def waits(self) -> bool:
        """True while a publication is held."""
        return bool(self._items)

    def put(self, channel: str, policy: SlowConsumer, content: Content, offset: int) -> None:
        """Add a publication; over the limit the oldest are dropped.

        With the policy CONFLATE it replaces the held one with its key.
        """
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
        """Remove and return the publications held longest: at least one, and more up to about `size` bytes."""
        taken: list[HeldItem] = []
        while self._items and (not taken or size > 0):
            item = self._remove(next(iter(self._items)))
            item.dropped = self._dropped.pop(item.channel, 0)
            size -= item.size
            taken.append(item)
        return taken

    def forget(self, channel: str) -> None:
        """Discard the held publications of a channel whose subscription has ended."""
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
        """Drop the oldest publication of a channel that has more, to report it; else the oldest of all."""
        oldest = next(iter(self._items))
        item = self._remove(next((key for key in self._items if self._counts[key[0]] > 1), oldest))
        self.dropped += 1
        self._dropped[item.channel] = self._dropped.get(item.channel, 0) + item.conflated + 1
