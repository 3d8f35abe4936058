"""Channel on this server: its subscribers, and the position up to which publications were delivered.

Delivery is exactly once and in order of offsets. Duplicates are dropped; at a gap delivery stops until the gap has been
filled from the history, or the subscribers are told that it cannot be.
"""

from __future__ import annotations

import asyncio
from typing import TypeAlias

from realtime_server.codes import UNSUBSCRIBED_INSUFFICIENT_STATE
from realtime_server.core.channels.fan_out import FanOut
from realtime_server.core.model.channel_options import ChannelOptions
from realtime_server.core.model.publication import Content, Joined, content_in, unpack
from realtime_server.core.model.pushes import JoinPush, LeavePush
from realtime_server.core.model.values import HistoryPage, Publication, StreamPosition
from realtime_server.core.ports.client import Receiver
from realtime_server.core.ports.tracing import NO_TRACING, Tracing

LOST = StreamPosition(0, "")
"""Position in no stream, from which no gap can be filled."""
MAX_PUBLICATIONS = 10_000
MAX_BYTES = 16 << 20
"""Maximum size of the publications' data; several backlogs of a channel share the data."""

Arrival: TypeAlias = tuple[Publication, str]
"""Publication and the epoch that it came with."""


class Backlog:
    """Publications in the order of arrival. `overflowed`: at least one did not fit, and is missing."""

    __slots__ = ("_bytes", "arrivals", "overflowed")

    def __init__(self) -> None:
        self.arrivals: list[Arrival] = []
        self.overflowed = False
        self._bytes = 0

    def take(self, publication: Publication, epoch: str) -> None:
        """Add a publication, or record the overflow; after an overflow nothing is added."""
        self._bytes += len(publication.encoded)
        if self.overflowed or len(self.arrivals) >= MAX_PUBLICATIONS or self._bytes > MAX_BYTES:
            self.overflowed = True
        else:
            self.arrivals.append((publication, epoch))

    def copy(self) -> Backlog:
        """Return an independent copy."""
        made = Backlog()
        made.arrivals, made.overflowed, made._bytes = list(self.arrivals), self.overflowed, self._bytes
        return made


class Joining:
    """Subscription in progress: buffers what arrives before its position is known."""

    __slots__ = ("_missed", "buffer", "client")

    def __init__(self, client: str) -> None:
        self.client = client
        self.buffer = Backlog()
        self._missed = False

    @property
    def missed(self) -> bool:
        """True when something may have been published that the buffer lacks."""
        return self._missed or self.buffer.overflowed

    def take(self, publication: Publication, epoch: str) -> None:
        """Buffer a publication until the position is known."""
        self.buffer.take(publication, epoch)

    def miss(self) -> None:
        """Record that deliveries may have been lost."""
        self._missed = True

    def begin_again(self) -> None:
        """Drop what was buffered, because a history will be read that has it."""
        self.buffer, self._missed = Backlog(), False


class Channel:
    """Channel of this server. `position` is None until known, and always for channels without history."""

    __slots__ = (
        "_subscribers",
        "backlog",
        "checked",
        "checked_at",
        "joining",
        "live",
        "lock",
        "name",
        "options",
        "position",
    )

    def __init__(self, name: str, options: ChannelOptions, tracing: Tracing = NO_TRACING) -> None:
        self.name = name
        self.options = options
        self.lock = asyncio.Lock()
        self.live = False
        self.position: StreamPosition | None = None
        self.joining: list[Joining] = []
        self.backlog: Backlog | None = None
        """Publications that wait while a gap is being filled; overflow is read from the history."""
        self.checked_at = 0.0
        """Time when the position was compared with the stream's or had advanced, in monotonic seconds."""
        self.checked: StreamPosition | None = None
        """Position at that time."""
        self._subscribers = FanOut(name, options, tracing)

    @property
    def unused(self) -> bool:
        """True when there is no subscriber and no subscription in progress."""
        return not self.joining and not self._subscribers

    @property
    def subscriber_count(self) -> int:
        """Number of subscribers."""
        return len(self._subscribers)

    def subscribers(self) -> list[Receiver]:
        """Return all subscribers."""
        return list(self._subscribers)

    def add(
        self,
        session: Receiver,
        position: StreamPosition | None,
        *,
        delta: bool = False,
        receives_join_leave: bool = False,
    ) -> bool:
        """Subscribe a session that has everything up to `position`; return False when the channel must then be filled.

        A session that is ahead does not get what the channel delivers up to its position. For a session that is behind
        the channel goes back, and its other sessions are ahead. In another epoch it is unknown who misses what.
        """
        self._subscribers.add(session, delta=delta, receives_join_leave=receives_join_leave)
        if position is None:
            return True
        ours = self.position
        if ours is None:
            self.position = position
        elif position.epoch != ours.epoch:
            self.position = LOST
        elif position.offset > ours.offset:
            self._subscribers.ahead[session] = position.offset
        elif position.offset < ours.offset:
            self._go_back(session, position)
        else:
            return True
        return self.position is ours or ours is None

    def _go_back(self, session: Receiver, position: StreamPosition) -> None:
        assert self.position is not None
        ahead = self._subscribers.ahead
        for other in self.subscribers():
            if other is not session:
                ahead[other] = max(self.position.offset, ahead.get(other, 0))
        self.position = position

    def remove(self, session: Receiver) -> None:
        """Unsubscribe a session. Idempotent."""
        self._subscribers.remove(session)

    def flush(self) -> None:
        """Send the publications that the write delay holds back."""
        self._subscribers.flush()

    def receive(self, publication: Publication, epoch: str) -> bool:
        """Handle a publication from the broker; return False when earlier ones are missing."""
        for join in self.joining:
            join.take(publication, epoch)
        if self.options.history is None or publication.offset == 0:
            self._deliver_unpositioned(publication)
            return True
        return self._advance(publication, epoch)

    def _deliver_unpositioned(self, publication: Publication) -> None:
        """Deliver an event that has no position in the stream."""
        event = unpack(publication.encoded)
        if isinstance(event, Content):
            self._subscribers.deliver(event, 0)
        elif isinstance(event, Joined):
            self._subscribers.announce(JoinPush(event.info))
        else:
            self._subscribers.announce(LeavePush(event.info))

    def _advance(self, publication: Publication, epoch: str) -> bool:
        if self.backlog is not None:
            self.backlog.take(publication, epoch)
            return True
        position = self.position
        if position is None:
            return True
        if epoch != position.epoch or publication.offset > position.offset + 1:
            self.backlog = Backlog()
            self.backlog.take(publication, epoch)
            return False
        if publication.offset == position.offset + 1:
            self.position = StreamPosition(publication.offset, epoch)
            self._deliver(publication)
        return True

    def suspect(self) -> bool:
        """Record that deliveries may have been lost; return True when the channel must be filled.

        A fill under way must read again, because it may have read before the loss.
        """
        for join in self.joining:
            join.miss()
        if self.position is None:
            return False
        self._wait_again()
        return True

    def _wait_again(self) -> None:
        self.backlog = Backlog() if self.backlog is None else self.backlog.copy()

    def fill(self, page: HistoryPage, covered: int) -> bool:
        """Close a gap with the history since the last delivered position; return False when something is lost.

        `covered` arrivals of the backlog preceded the read of the history, so that the page or earlier pages contain
        them.
        After a loss every subscriber is unsubscribed with a code that makes it subscribe again, to learn whether it can
        recover. There is a gap again when the rest of the backlog shows one or the backlog has overflowed.
        """
        backlog, self.backlog = self.backlog or Backlog(), None
        complete = self.is_continued_by(page)
        self.position = page.position
        if complete:
            for publication in page.publications:
                self._deliver(publication)
        else:
            self.end_subscriptions()
        for publication, epoch in backlog.arrivals[covered:]:
            self._advance(publication, epoch)
        if backlog.overflowed:
            self._wait_again()
        return complete

    def is_continued_by(self, page: HistoryPage) -> bool:
        """Return True when a page has everything since the last delivered position."""
        before = self.position or page.position
        newest = page.position
        return newest.epoch == before.epoch and newest.offset == before.offset + len(page.publications)

    def end_subscriptions(self) -> None:
        """Unsubscribe every subscriber because publications were lost."""
        self._subscribers.flush()
        for session in self.subscribers():
            session.end_subscription(self.name, UNSUBSCRIBED_INSUFFICIENT_STATE)

    def retire(self) -> None:
        """Reset the position, because there is no subscriber and no delivery any more."""
        self.live = False
        self.position = None
        self.backlog = None
        self._subscribers.flush()

    def _deliver(self, publication: Publication) -> None:
        self._subscribers.deliver(content_in(publication), publication.offset)
