"""Delivery of a channel's publications on this server: encoded once per codec, the same bytes to all subscribers.

Publications within a write delay are sent together: one write per subscriber, which is the main cost in the kernel.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import TypeAlias

from realtime_server.core.channels.delta import patch
from realtime_server.core.model.channel_options import ChannelOptions, SlowConsumer
from realtime_server.core.model.publication import Content
from realtime_server.core.model.pushes import Push
from realtime_server.core.ports.client import Connection, Encoder, Receiver
from realtime_server.core.ports.tracing import NO_TRACING, Delivery, Tracing

Item: TypeAlias = tuple[Content, int]
"""Publication and its offset, 0 for none."""
Group: TypeAlias = dict[Receiver, Connection]


class FanOut:
    """Subscribers of one channel.

    `ahead` maps subscribers to the offset up to which they have everything, where that exceeds what is still to be
    delivered.
    """

    __slots__ = (
        "_deliveries",
        "_deltas",
        "_fresh",
        "_groups",
        "_name",
        "_options",
        "_pending",
        "_previous",
        "_timer",
        "_tracing",
        "_watchers",
        "ahead",
    )

    def __init__(self, name: str, options: ChannelOptions, tracing: Tracing = NO_TRACING) -> None:
        self._name = name
        self._options = options
        self._tracing = tracing
        self._deliveries: list[Delivery] = []
        """Spans of the publications that are not sent yet."""
        self._groups: dict[Encoder, Group] = {}
        self._deltas: dict[Encoder, Group] = {}
        self._fresh: set[Receiver] = set()
        """Subscribers with delta compression that lack the publication that the next delta refers to."""
        self._previous: bytes | None = None
        self._watchers: Group = {}
        self._pending: list[Item] = []
        self._timer: asyncio.TimerHandle | None = None
        self.ahead: dict[Receiver, int] = {}

    def __bool__(self) -> bool:
        """Return True when there is a subscriber."""
        return any(self._groups.values()) or any(self._deltas.values())

    def __iter__(self) -> Iterator[Receiver]:
        """Iterate over all subscribers."""
        for groups in (self._groups, self._deltas):
            for group in groups.values():
                yield from group

    def __len__(self) -> int:
        """Return the number of subscribers."""
        return sum(map(len, (*self._groups.values(), *self._deltas.values())))

    def add(self, subscriber: Receiver, *, delta: bool, receives_join_leave: bool) -> None:
        """Add a subscriber, with deltas if `delta`, and with joins and leaves if `receives_join_leave`."""
        self.flush()
        groups = self._deltas if delta else self._groups
        groups.setdefault(subscriber.codec, {})[subscriber] = subscriber.connection
        if delta:
            self._fresh.add(subscriber)
        if receives_join_leave:
            self._watchers[subscriber] = subscriber.connection

    def remove(self, subscriber: Receiver) -> None:
        """Remove a subscriber. Idempotent."""
        for groups in (self._groups, self._deltas):
            group = groups.get(subscriber.codec)
            if group is not None and subscriber in group:
                del group[subscriber]
                if not group:
                    del groups[subscriber.codec]
        self._fresh.discard(subscriber)
        if not self._deltas:
            self._previous = None
        self._watchers.pop(subscriber, None)
        self.ahead.pop(subscriber, None)

    def deliver(self, content: Content, offset: int) -> None:
        """Send a publication to all subscribers, at once or within the channel's write delay."""
        if content.trace is not None:
            self._deliveries.append(self._tracing.delivering(self._name, content.trace, offset))
        delay = self._options.write_delay_seconds
        if not delay:
            self._send([(content, offset)])
            return
        self._pending.append((content, offset))
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(delay, self.flush)

    def flush(self) -> None:
        """Send the publications that the write delay holds back."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._pending:
            items, self._pending = self._pending, []
            self._send(items)

    def announce(self, push: Push) -> None:
        """Send a join or leave to the subscribers that receive them."""
        if self._watchers:
            self.flush()
        frames: dict[Encoder, bytes] = {}
        for watcher in self._watchers:
            codec = watcher.codec
            if codec not in frames:
                frames[codec] = codec.push(self._name, push)
            if frames[codec]:  # not all codecs have these
                watcher.connection.write(frames[codec])

    def _send(self, items: list[Item]) -> None:
        for codec, group in self._groups.items():
            frames = [codec.publication(self._name, content, offset) for content, offset in items]
            self._write(group, frames, items)
        if self._deltas:
            self._send_deltas(items)
        if self._deliveries:
            self._end_deliveries()

    def _end_deliveries(self) -> None:
        """End the spans after the connections' outboxes, which the writes have scheduled before, were flushed."""
        deliveries, self._deliveries = self._deliveries, []
        loop, subscribers = asyncio.get_running_loop(), len(self)
        for delivery in deliveries:
            loop.call_soon(delivery.end, subscribers)

    def _write(self, group: Group, frames: list[bytes], items: list[Item]) -> None:
        joined = frames[0] if len(frames) == 1 else b"".join(frames)
        policy = self._options.slow_consumer
        if not self.ahead and policy is SlowConsumer.DISCONNECT:
            for connection in group.values():
                connection.write(joined)
            return
        for subscriber in group:
            if policy is not SlowConsumer.DISCONNECT:
                self._write_or_hold(subscriber, policy, frames, items)
            elif subscriber in self.ahead:
                self._write_what_is_new(subscriber, frames, items)
            else:
                subscriber.connection.write(joined)

    def _write_or_hold(
        self, subscriber: Receiver, policy: SlowConsumer, frames: list[bytes], items: list[Item]
    ) -> None:
        """Write or hold the frames one by one: each may be the one that makes the subscriber lag."""
        for frame, (content, offset) in zip(frames, items, strict=True):
            if not self._is_new(subscriber, offset):
                continue
            if subscriber.lags():
                subscriber.hold(self._name, policy, content, offset)
            else:
                subscriber.connection.write(frame)

    def _write_what_is_new(self, subscriber: Receiver, frames: list[bytes], items: list[Item]) -> None:
        for frame, (_, offset) in zip(frames, items, strict=True):
            if self._is_new(subscriber, offset):
                subscriber.connection.write(frame)

    def _is_new(self, subscriber: Receiver, offset: int) -> bool:
        ahead = self.ahead.get(subscriber)
        if ahead is None or not offset:
            return True
        if offset >= ahead:
            del self.ahead[subscriber]
        return offset > ahead

    # differences

    def _send_deltas(self, items: list[Item]) -> None:
        for content, offset in items:
            previous, self._previous = self._previous, None if content.binary else content.data
            difference = None
            if previous is not None and not content.binary and len(self._fresh) < self._delta_count():
                difference = patch(previous, content.data)
            for codec, group in self._deltas.items():
                self._send_delta(codec, group, content, offset, difference)

    def _delta_count(self) -> int:
        return sum(map(len, self._deltas.values()))

    def _send_delta(
        self, codec: Encoder, group: Group, content: Content, offset: int, difference: bytes | None
    ) -> None:
        whole = codec.delta_publication(self._name, content, offset, None)
        short = whole if difference is None else codec.delta_publication(self._name, content, offset, difference)
        for subscriber in group:
            if not self._is_new(subscriber, offset):
                self._fresh.add(subscriber)  # the next difference is not to what it got last
            elif subscriber in self._fresh:
                self._fresh.discard(subscriber)
                subscriber.connection.write(whole)
            else:
                subscriber.connection.write(short)
