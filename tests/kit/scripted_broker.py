"""A broker that tests drive step by step: the operations of Redis, in any order that a network allows."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass

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


@dataclass(slots=True, eq=False)
class Read:
    """A history call in two steps: the broker takes the snapshot (`page`), and later the answer is delivered."""

    query: HistoryQuery
    answer: asyncio.Future[HistoryPage]
    page: HistoryPage | None = None


class ScriptedBroker:
    """Implements Broker for one channel with history. Publications are kept until `forget` is called."""

    healthy = True
    immediate = False
    store: StoreState | None = None

    def __init__(self) -> None:
        self.epoch = "epoch-1"
        self.stream: list[Publication] = []
        self.on_the_way: deque[tuple[Publication, str]] = deque()
        self.reads: list[Read] = []
        self.roundtrips = LatencyHistogram(ROUNDTRIP_BUCKETS)
        self._events: BrokerEvents | None = None
        self._subscribed = False

    async def start(self, events: BrokerEvents, node: str = "") -> None:  # noqa: ARG002 - there is one
        """Deliver events to `events` from now on."""
        self._events = events

    async def stop(self) -> None:
        """Do nothing."""

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
        assert history is not None, channel
        assert (idempotency_key, version, version_epoch) == ("", 0, "")
        publication = Publication(encoded, len(self.stream) + 1)
        self.stream.append(publication)
        if self._subscribed:
            self.on_the_way.append((publication, self.epoch))
        return StreamPosition(publication.offset, self.epoch)

    async def subscribe(self, channel: str) -> None:  # noqa: ARG002 - there is one channel
        """Queue the delivery of publications from now on."""
        self._subscribed = True

    async def unsubscribe(self, channel: str) -> None:  # noqa: ARG002 - there is one channel
        """Stop queueing; deliveries that are queued still arrive."""
        self._subscribed = False

    async def history(self, channel: str, query: HistoryQuery, options: HistoryOptions) -> HistoryPage:  # noqa: ARG002
        """Wait for `read` and `answer`."""
        read = Read(query, asyncio.get_running_loop().create_future())
        self.reads.append(read)
        return await read.answer

    async def missed(
        self, channel: str, known: StreamPosition, since: SequencePosition, options: HistoryOptions
    ) -> HistoryPage | None:
        """Raise NotImplementedError: the channel is not ordered."""
        raise NotImplementedError(channel, known, since, options)

    async def remove_history(self, channel: str) -> None:
        """Raise NotImplementedError: no test needs it."""
        raise NotImplementedError(channel)

    async def publish_control(self, message: bytes, node: str = "") -> None:
        """Do nothing: there are no other nodes."""

    # steps of a test

    def read(self, index: int) -> None:
        """Take the snapshot for a history call."""
        waiting = [read for read in self.reads if read.page is None]
        if waiting:
            read = waiting[index % len(waiting)]
            since = read.query.since
            wanted = [p for p in self.stream if since is None or p.offset > since.offset] if read.query.limit else []
            read.page = HistoryPage(tuple(wanted), StreamPosition(len(self.stream), self.epoch))

    def answer(self, index: int) -> None:
        """Deliver the answer of a history call."""
        waiting = [read for read in self.reads if read.page is not None]
        if waiting:
            read = waiting[index % len(waiting)]
            self.reads.remove(read)
            assert read.page is not None
            if not read.answer.done():
                read.answer.set_result(read.page)

    def deliver(self) -> None:
        """Deliver the next publication."""
        if self.on_the_way and self._events is not None:
            publication, epoch = self.on_the_way.popleft()
            self._events.on_publication("chat:room", publication, epoch)

    def lose(self) -> None:
        """Drop the next publication without a sign to the link."""
        if self.on_the_way:
            self.on_the_way.popleft()

    def break_link(self) -> None:
        """Drop all queued publications, and report the loss."""
        self.on_the_way.clear()
        if self._events is not None:
            self._events.on_gap()

    def forget(self) -> None:
        """Drop the stream, as a restart of Redis without its data does."""
        self.stream.clear()
        self.on_the_way.clear()
        self.epoch = f"epoch-{int(self.epoch.removeprefix('epoch-')) + 1}"
