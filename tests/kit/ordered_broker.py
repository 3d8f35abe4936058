"""A broker of an ordered namespace that tests drive step by step: the operations of Redis, in any order."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from realtime_server.backplane.memory import MemoryBroker
from realtime_server.core.metrics.counters import LatencyHistogram
from realtime_server.core.model.errors import BackplaneError
from realtime_server.core.model.values import (
    HistoryOptions,
    HistoryPage,
    HistoryQuery,
    Publication,
    SequencePosition,
    StreamPosition,
)
from realtime_server.core.ports.backplane import ROUNDTRIP_BUCKETS, BrokerEvents, StoreState

NAMESPACE = "rooms"


@dataclass(slots=True, eq=False)
class Call:
    """Call in two steps: the broker takes the snapshot (`page`), and later the answer is delivered."""

    read: Callable[[], Awaitable[HistoryPage | None]]
    answer: asyncio.Future[HistoryPage | None]
    is_read: bool = False
    page: HistoryPage | None = None


class OrderedBroker:
    """Implements Broker over histories that survive, with a link for messages that can be lost."""

    healthy = True
    immediate = False
    store: StoreState | None = None

    def __init__(self) -> None:
        self.roundtrips = LatencyHistogram(ROUNDTRIP_BUCKETS)
        self.calls: list[Call] = []
        self.on_the_way: deque[tuple[str, Publication, str]] = deque()
        self.linked = True
        self.gap_is_due = False
        self._events: BrokerEvents | None = None
        self._subscribed: set[str] = set()
        self._known: set[str] = set()
        self._kept = MemoryBroker(ordered=[NAMESPACE])

    async def start(self, events: BrokerEvents, node: str = "") -> None:
        """Deliver events to `events` from now on."""
        self._events = events
        await self._kept.start(self, node)

    async def stop(self) -> None:
        """Stop the timer of the histories."""
        await self._kept.stop()

    async def publish(
        self,
        channel: str,
        encoded: bytes,
        history: HistoryOptions | None,
        *,
        idempotency_key: str = "",
        idempotency_seconds: float = 300.0,  # noqa: ARG002 - no key
        version: int = 0,
        version_epoch: str = "",
    ) -> StreamPosition | None:
        """Append a publication, and queue its delivery."""
        assert (idempotency_key, version, version_epoch) == ("", 0, "")
        if channel not in self._known:
            self._known.add(channel)
            await self._kept.subscribe(channel)
        return await self._kept.publish(channel, encoded, history)

    async def subscribe(self, channel: str) -> None:
        """Queue the delivery of publications from now on."""
        if not self.linked:
            raise BackplaneError("no link")
        self._subscribed.add(channel)

    async def unsubscribe(self, channel: str) -> None:
        """Stop queueing; deliveries that are queued still arrive."""
        self._subscribed.discard(channel)

    async def history(self, channel: str, query: HistoryQuery, options: HistoryOptions) -> HistoryPage:
        """Wait for `read` and `answer`."""
        page = await self._call(lambda: self._kept.history(channel, query, options))
        assert page is not None
        return page

    async def missed(
        self, channel: str, known: StreamPosition, since: SequencePosition, options: HistoryOptions
    ) -> HistoryPage | None:
        """Wait for `read` and `answer`."""
        return await self._call(lambda: self._kept.missed(channel, known, since, options))

    async def _call(self, read: Callable[[], Awaitable[HistoryPage | None]]) -> HistoryPage | None:
        call = Call(read, asyncio.get_running_loop().create_future())
        self.calls.append(call)
        return await call.answer

    async def remove_history(self, channel: str) -> None:
        """Drop the publications of a channel."""
        await self._kept.remove_history(channel)

    async def publish_control(self, message: bytes, node: str = "") -> None:
        """Do nothing: there are no other nodes."""

    # what the histories report

    def on_publication(self, channel: str, publication: Publication, epoch: str) -> None:
        """Queue the delivery of a publication."""
        if self.linked and channel in self._subscribed:
            self.on_the_way.append((channel, publication, epoch))

    def on_control(self, message: bytes) -> None:
        """Raise AssertionError: there are none."""
        raise AssertionError(message)

    def on_interrupted(self) -> None:
        """Raise AssertionError: memory has no link."""
        raise AssertionError

    def on_gap(self) -> None:
        """Raise AssertionError: memory has no gaps."""
        raise AssertionError

    # steps of a test

    async def read(self, index: int) -> None:
        """Take the snapshot for a call."""
        waiting = [call for call in self.calls if not call.is_read]
        if waiting:
            call = waiting[index % len(waiting)]
            call.is_read, call.page = True, await call.read()

    def answer(self, index: int) -> None:
        """Deliver the answer of a call."""
        waiting = [call for call in self.calls if call.is_read]
        if waiting:
            call = waiting[index % len(waiting)]
            self.calls.remove(call)
            if not call.answer.done():
                call.answer.set_result(call.page)

    def deliver(self) -> None:
        """Deliver the next publication."""
        if self.on_the_way and self._events is not None:
            self._events.on_publication(*self.on_the_way.popleft())

    def cut_link(self) -> None:
        """Lose the link and all queued publications."""
        self.linked = False
        self.on_the_way.clear()

    def restore_link(self) -> None:
        """Subscribe again over a new link, which is announced before anything arrives."""
        if not self.linked and self._events is not None:
            self._events.on_interrupted()
            self.linked = self.gap_is_due = True

    def report_gap(self) -> None:
        """Report the loss of the former link, if the link for commands is up."""
        if self.gap_is_due and self.linked and self._events is not None:
            self.gap_is_due = False
            self._events.on_gap()

    async def forget(self) -> None:
        """Lose all data and the link, as a restart of Redis without its data does."""
        self.cut_link()
        assert self._events is not None
        await self._kept.stop()
        self._kept = MemoryBroker(ordered=[NAMESPACE])
        self._known.clear()
        await self._kept.start(self)
