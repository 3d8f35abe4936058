"""Channels of an ordered namespace: what is missing is delivered in the one order of all of them, or reported as lost.

The position of the newest publication that a client has stands for all its channels. So none may be delivered while an
earlier one of another channel may be missing: when one channel has a gap, all channels of the namespace wait until the
histories of all have been read.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable, Mapping
from operator import itemgetter

from msgspec import Struct

from realtime_server.core.channels.channel import Arrival, Backlog, Channel
from realtime_server.core.channels.resync import AT_ONCE, RETRY_SECONDS, Resync
from realtime_server.core.model.channel_options import ChannelOptions
from realtime_server.core.model.errors import BackplaneError
from realtime_server.core.model.values import (
    HistoryOptions,
    HistoryPage,
    HistoryQuery,
    Publication,
    SequencePosition,
    StreamPosition,
)
from realtime_server.core.ports.backplane import Broker
from realtime_server.core.ports.tracing import NO_TRACING, Tracing
from realtime_server.core.tasks import TaskGroup

ARRIVAL_SECONDS = 1.0
"""Time within which a publication arrives that a history has already."""


class OrderedChannel(Channel):
    """Channel of an ordered namespace."""

    __slots__ = ("order",)

    def __init__(self, name: str, options: ChannelOptions, order: ChannelOrder, tracing: Tracing = NO_TRACING) -> None:
        super().__init__(name, options, tracing)
        self.order = order
        order.members[self] = None

    def forget(self) -> None:
        """Leave the order: the worker has the channel no more."""
        self.order.members.pop(self, None)

    @property
    def must_wait(self) -> bool:
        """True when the other channels of the namespace wait, and this one does not yet."""
        return self.backlog is None and self.order.waiting

    def receive(self, publication: Publication, epoch: str) -> bool:
        """Handle a publication from the broker; see Channel."""
        if publication.sequence is not None:
            self.order.arrived = publication.sequence
        return super().receive(publication, epoch)

    def settle(self, page: HistoryPage, covered: int, limit: int) -> list[Arrival]:
        """End the wait with the history since the last delivered position; return what is to be delivered, in order.

        Publications of the page with a number above `limit` are left out: they have yet to arrive. See `Channel.fill`.
        """
        backlog, self.backlog = self.backlog or Backlog(), None
        arrivals = backlog.arrivals[covered:]
        if not self.is_continued_by(page):
            self.position = page.position
            self.end_subscriptions()
            return arrivals
        return [(one, page.position.epoch) for one in page.publications if number_of(one) <= limit] + arrivals

    def deliver(self, publication: Publication, epoch: str) -> bool:
        """Deliver what `settle` returned; return False when earlier ones are missing."""
        return self._advance(publication, epoch)


class _Read(Struct, gc=False):
    """History that was read since `position` for a channel with this backlog, whose first arrivals it covers."""

    position: StreamPosition
    backlog: Backlog
    covered: int
    page: HistoryPage

    def is_valid_for(self, channel: Channel) -> bool:
        """Return True while nothing can have been lost since that the channel lacks."""
        same = channel.backlog is self.backlog and channel.position is self.position
        return same and not self.backlog.overflowed


class ChannelOrder:
    """Order of the channels of one namespace on this worker: its `members`."""

    def __init__(self, broker: Broker, tasks: TaskGroup) -> None:
        self.members: dict[OrderedChannel, None] = {}
        self.arrived: SequencePosition | None = None
        """Position of the last publication that arrived."""
        self.waiting = False
        """True while channels wait until what may be missing was read."""
        self._broker = broker
        self._tasks = tasks
        self._glances = Resync(tasks, self._glance)
        self._interrupted = False
        self._resumed = asyncio.Event()

    def known(self, read: Iterable[SequencePosition]) -> int | None:
        """Return the number up to which everything is known after histories were read at these positions.

        Everything up to the earliest of them is in the histories. What came after that, up to the last arrival, has
        arrived, since publications arrive in order. None when the positions cannot be compared.
        """
        positions = {*read}
        if len({position.epoch for position in positions}) != 1:
            return None
        earliest = min(positions, key=lambda position: position.number)
        arrived = self.arrived
        if arrived is None or arrived.epoch != earliest.epoch:
            return earliest.number
        return max(earliest.number, arrived.number)

    def interrupt(self) -> None:
        """Have all channels wait until `resume`, because what arrives from now on may follow a loss."""
        self._interrupted = True
        self._resumed.clear()
        self._hold(again=True)

    def resume(self) -> None:
        """Have all channels filled, now that histories show what was lost."""
        self._interrupted = False
        self._resumed.set()
        self._hold(again=True)

    def fill(self) -> None:
        """Have all channels wait, and filled."""
        self._hold(again=False)

    def glance(self, channel: Channel) -> None:
        """Have a quiet channel compared with its stream, without a wait unless something is missing."""
        self._glances.add(channel)

    def _held(self) -> list[OrderedChannel]:
        return [channel for channel in self.members if channel.backlog is not None]

    def _hold(self, *, again: bool) -> None:
        for channel in self.members:
            if again or channel.backlog is None:
                channel.suspect()
        if not self.waiting:
            self.waiting = True
            self._tasks.spawn(self._work(), "order")

    async def _work(self) -> None:
        try:
            while self._interrupted or self._held():
                if self._interrupted:
                    await self._resumed.wait()
                try:
                    reads = await self._read()
                except BackplaneError:
                    await asyncio.sleep(RETRY_SECONDS * random.uniform(0.5, 1))  # noqa: S311 - spreads the attempts
                    continue
                if not self._interrupted:
                    self._deliver(reads)
        finally:
            self.waiting = False

    async def _read(self) -> dict[OrderedChannel, _Read]:
        """Read the histories of all channels that wait, and of those that began to wait meanwhile."""
        reads: dict[OrderedChannel, _Read] = {}
        while missing := [one for one in self._held() if one not in reads or not reads[one].is_valid_for(one)]:
            for start in range(0, len(missing), AT_ONCE):
                await asyncio.gather(*(self._read_one(channel, reads) for channel in missing[start : start + AT_ONCE]))
        return {channel: read for channel, read in reads.items() if channel.backlog is not None}

    async def _read_one(self, channel: OrderedChannel, reads: dict[OrderedChannel, _Read]) -> None:
        history, position, backlog = _history(channel), channel.position, channel.backlog
        if position is None or backlog is None:
            return  # nobody is here any more
        if backlog.overflowed:
            backlog = channel.backlog = Backlog()
        covered = len(backlog.arrivals)
        page = await self._broker.history(channel.name, HistoryQuery(-1, position), history)
        reads[channel] = _Read(position, backlog, covered, page)

    def _deliver(self, reads: Mapping[OrderedChannel, _Read]) -> None:
        """End the wait: report losses, then deliver everything else in order."""
        if not reads:
            return
        limit = self.known(read.page.sequence for read in reads.values() if read.page.sequence is not None)
        if limit is None:
            return  # the counter was lost while they were read: read again
        found: list[tuple[int, OrderedChannel, Arrival]] = []
        for channel, read in reads.items():
            number = 0
            for arrival in channel.settle(read.page, read.covered, limit):
                number = max(number, number_of(arrival[0]))
                found.append((number, channel, arrival))
        found.sort(key=itemgetter(0))
        whole = [channel.deliver(*arrival) for _, channel, arrival in found]
        if not all(whole):
            self._hold(again=False)

    async def _glance(self, channel: Channel) -> None:
        page = await self._broker.history(channel.name, HistoryQuery(0), _history(channel))
        if _is_behind(channel, page.position):
            await asyncio.sleep(ARRIVAL_SECONDS)
            if _is_behind(channel, page.position):
                self.fill()


def number_of(publication: Publication) -> int:
    """Return a publication's number in the sequence, 0 for none."""
    return 0 if publication.sequence is None else publication.sequence.number


def _history(channel: Channel) -> HistoryOptions:
    history = channel.options.history
    assert history is not None  # by the rules of the configuration
    return history


def _is_behind(channel: Channel, newest: StreamPosition) -> bool:
    ours = channel.position
    if ours is None or channel.backlog is not None:
        return False
    return ours.epoch != newest.epoch or ours.offset < newest.offset
