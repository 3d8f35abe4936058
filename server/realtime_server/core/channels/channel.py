"""A channel on this server: who gets its publications, and up to where they have been delivered.

Exactly once and in order: the channel hands on publications by offset. What comes twice is dropped; where one is
missing, delivery stops until the gap has been filled from the history, or its subscribers are told that it cannot be.
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

LOST = StreamPosition(0, "")
"""A position in no stream: nothing can be filled in from here."""
MAX_PUBLICATIONS = 10_000
MAX_BYTES = 16 << 20
"""Of their data; several that wait for the same channel share it."""

Arrival: TypeAlias = tuple[Publication, str]
"""A publication and the epoch that it came with."""


class Backlog:
    """What has arrived, in its order. `overflowed`: something came above the bounds, and is not here."""

    __slots__ = ("_bytes", "arrivals", "overflowed")

    def __init__(self) -> None:
        self.arrivals: list[Arrival] = []
        self.overflowed = False
        self._bytes = 0

    def take(self, publication: Publication, epoch: str) -> None:
        """Keep a publication, or note that there was no room for it; nothing is kept after that."""
        self._bytes += len(publication.encoded)
        if self.overflowed or len(self.arrivals) >= MAX_PUBLICATIONS or self._bytes > MAX_BYTES:
            self.overflowed = True
        else:
            self.arrivals.append((publication, epoch))

    def copy(self) -> Backlog:
        """The same, as another one."""
        made = Backlog()
        made.arrivals, made.overflowed, made._bytes = list(self.arrivals), self.overflowed, self._bytes
        return made


class Joining:
    """A subscription of a connection that is being made: what arrives before its position is known waits here."""

    __slots__ = ("_missed", "buffer", "client")

    def __init__(self, client: str) -> None:
        self.client = client
        self.buffer = Backlog()
        self._missed = False

    @property
    def missed(self) -> bool:
        """Whether something may have been published that is not here."""
        return self._missed or self.buffer.overflowed

    def take(self, publication: Publication, epoch: str) -> None:
        """Keep a publication until the position is known."""
        self.buffer.take(publication, epoch)

    def miss(self) -> None:
        """Note that deliveries may have been lost."""
        self._missed = True


class Channel:
    """One channel. `position` is None until it is known, and for channels without history always."""

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

    def __init__(self, name: str, options: ChannelOptions) -> None:
        self.name = name
        self.options = options
        self.lock = asyncio.Lock()
        self.live = False
        self.position: StreamPosition | None = None
        self.joining: list[Joining] = []
        self.backlog: Backlog | None = None
        """What waits while a gap is being filled; what comes above its bounds is read from the history."""
        self.checked_at = 0.0
        """When the position was compared with the stream's, or had moved on; monotonic seconds."""
        self.checked: StreamPosition | None = None
        """What the position was then."""
        self._subscribers = FanOut(name, options)

    @property
    def unused(self) -> bool:
        """Whether nobody is subscribed or about to be."""
        return not self.joining and not self._subscribers

    @property
    def subscriber_count(self) -> int:
        """How many are subscribed."""
        return len(self._subscribers)

    def subscribers(self) -> list[Receiver]:
        """Everyone who is subscribed."""
        return list(self._subscribers)

    def add(
        self,
        session: Receiver,
        position: StreamPosition | None,
        *,
        delta: bool = False,
        receives_join_leave: bool = False,
    ) -> bool:
        """Subscribe a session that has everything up to `position`; False when the channel must be filled then.

        A session that is ahead does not get what the channel still has to deliver up to there. For one that is behind
        the channel goes back, and its other sessions are ahead. In another epoch nobody can know who misses what.
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
        """Send what waits to be written together with more."""
        self._subscribers.flush()

    def receive(self, publication: Publication, epoch: str) -> bool:
        """Take what the broker delivers; False when publications before it are missing."""
        for join in self.joining:
            join.take(publication, epoch)
        if self.options.history is None or publication.offset == 0:
            self._happen(publication)
            return True
        return self._advance(publication, epoch)

    def _happen(self, publication: Publication) -> None:
        """Deliver what has no place in the stream."""
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
        """Note that deliveries may have been lost; whether there is something to be filled.

        What is being filled already must be read again: it may have been read before the loss.
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
        """End a gap with what the history has since the last delivered position; False when something is lost.

        `covered`: so much of the backlog had arrived when the history was asked, and so is in the page or older.

        When something is lost, every subscriber is unsubscribed with a code that makes it subscribe again, so that it
        is told truthfully whether it can recover. When the rest of the backlog shows another gap, or something had
        no room in it, there is one again.
        """
        before = self.position or page.position
        backlog, self.backlog = self.backlog or Backlog(), None
        complete = page.position.epoch == before.epoch and page.position.offset == before.offset + len(
            page.publications
        )
        self.position = page.position
        if complete:
            for publication in page.publications:
                self._deliver(publication)
        else:
            self._subscribers.flush()
            for session in self.subscribers():
                session.end_subscription(self.name, UNSUBSCRIBED_INSUFFICIENT_STATE)
        for publication, epoch in backlog.arrivals[covered:]:
            self._advance(publication, epoch)
        if backlog.overflowed:
            self._wait_again()
        return complete

    def retire(self) -> None:
        """Nobody is here any more and nothing arrives: forget how far it was."""
        self.live = False
        self.position = None
        self.backlog = None
        self._subscribers.flush()

    def _deliver(self, publication: Publication) -> None:
        self._subscribers.deliver(content_in(publication), publication.offset)
