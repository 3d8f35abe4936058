"""A broker whose every step is taken by the test: what Redis does at once, in any order that a network allows."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass

from realtime_server.core.metrics.counters import LatencyHistogram
from realtime_server.core.model.values import HistoryOptions, HistoryPage, HistoryQuery, Publication, StreamPosition
from realtime_server.core.ports.backplane import ROUNDTRIP_BUCKETS, BrokerEvents


@dataclass(slots=True, eq=False)
class Read:
    """A history call: first the broker reads (`page`), later the answer arrives."""

    query: HistoryQuery
    answer: asyncio.Future[HistoryPage]
    page: HistoryPage | None = None


class ScriptedBroker:
    """Implements Broker for one channel with history. Publications are kept for ever, unless `forget` is called."""

    healthy = True
    immediate = False

    def __init__(self) -> None:
        self.epoch = "epoch-1"
        self.stream: list[Publication] = []
        self.on_the_way: deque[tuple[Publication, str]] = deque()
        self.reads: list[Read] = []
        self.roundtrips = LatencyHistogram(ROUNDTRIP_BUCKETS)
        self._events: BrokerEvents | None = None
        self._subscribed = False

    async def start(self, events: BrokerEvents, node: str = "") -> None:  # noqa: ARG002 - there is one
        """Report to `events` from now on."""
        self._events = events

    async def stop(self) -> None:
        """Nothing to close."""

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
        """Append, and send on the way."""
        assert history is not None, channel
        assert (idempotency_key, version, version_epoch) == ("", 0, "")
        publication = Publication(encoded, len(self.stream) + 1)
        self.stream.append(publication)
        if self._subscribed:
            self.on_the_way.append((publication, self.epoch))
        return StreamPosition(publication.offset, self.epoch)

    async def subscribe(self, channel: str) -> None:  # noqa: ARG002 - there is one channel
        """What is published from now on is sent on the way."""
        self._subscribed = True

    async def unsubscribe(self, channel: str) -> None:  # noqa: ARG002 - there is one channel
        """Nothing more is sent; what is on the way still arrives."""
        self._subscribed = False

    async def history(self, channel: str, query: HistoryQuery, options: HistoryOptions) -> HistoryPage:  # noqa: ARG002
        """Answered by `read` and `answer`."""
        read = Read(query, asyncio.get_running_loop().create_future())
        self.reads.append(read)
        return await read.answer

    async def remove_history(self, channel: str) -> None:
        """Not needed here."""
        raise NotImplementedError(channel)

    async def publish_control(self, message: bytes, node: str = "") -> None:
        """Nobody else is there."""

    # the steps

    def read(self, index: int) -> None:
        """Take the snapshot for a history call."""
        waiting = [read for read in self.reads if read.page is None]
        if waiting:
            read = waiting[index % len(waiting)]
            since = read.query.since
            wanted = [p for p in self.stream if since is None or p.offset > since.offset] if read.query.limit else []
            read.page = HistoryPage(tuple(wanted), StreamPosition(len(self.stream), self.epoch))

    def answer(self, index: int) -> None:
        """Let the answer of a history call arrive."""
        waiting = [read for read in self.reads if read.page is not None]
        if waiting:
            read = waiting[index % len(waiting)]
            self.reads.remove(read)
            assert read.page is not None
            if not read.answer.done():
                read.answer.set_result(read.page)

    def deliver(self) -> None:
        """Let the next publication arrive."""
        if self.on_the_way and self._events is not None:
            publication, epoch = self.on_the_way.popleft()
            self._events.on_publication("chat:room", publication, epoch)

    def lose(self) -> None:
        """Lose the next publication, unnoticed by the link."""
        if self.on_the_way:
            self.on_the_way.popleft()

    def break_link(self) -> None:
        """Lose all that is on the way, and notice it."""
        self.on_the_way.clear()
        if self._events is not None:
            self._events.on_gap()

    def forget(self) -> None:
        """Lose the stream, as a Redis that was restarted without its data."""
        self.stream.clear()
        self.on_the_way.clear()
        self.epoch = f"epoch-{int(self.epoch.removeprefix('epoch-')) + 1}"
