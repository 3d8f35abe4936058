"""A channel on this server: who gets its publications, and up to where they have been delivered.

Exactly once and in order: the channel hands on publications by offset. What comes twice is dropped; where one is
missing, delivery stops until the gap has been filled from the history, or its subscribers are told that it cannot be.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from realtime_server.codes import UNSUBSCRIBED_INSUFFICIENT_STATE
from realtime_server.core.namespaces import ChannelOptions
from realtime_server.core.values import HistoryPage, Publication, StreamPosition

if TYPE_CHECKING:
    from realtime_server.core.ports import Wire
    from realtime_server.core.session import Session

MAX_BACKLOG = 10_000
"""Publications that may wait while a gap is being filled; above, the subscribers are told to start again."""


class Joining:
    """A subscription that is being made: what arrives before its position is known waits here."""

    __slots__ = ("buffer",)

    def __init__(self) -> None:
        self.buffer: list[Publication] = []


class Channel:
    """One channel. `position` is None until it is known, and for channels without history always."""

    __slots__ = ("_ahead", "_members", "backlog", "joining", "live", "lock", "name", "options", "position")

    def __init__(self, name: str, options: ChannelOptions) -> None:
        self.name = name
        self.options = options
        self.lock = asyncio.Lock()
        self.live = False
        self.position: StreamPosition | None = None
        self.joining: list[Joining] = []
        self.backlog: list[Publication] | None = None
        self._members: dict[Wire, dict[Session, None]] = {}
        self._ahead: dict[Session, int] = {}

    @property
    def unused(self) -> bool:
        """Whether nobody is subscribed or about to be."""
        return not self.joining and not any(self._members.values())

    def subscribers(self) -> list[Session]:
        """Everyone who is subscribed."""
        return [session for members in self._members.values() for session in members]

    def add(self, session: Session, position: StreamPosition | None) -> None:
        """Subscribe a session that has everything up to `position`.

        What the channel still has to deliver up to there is not for it.
        """
        self._members.setdefault(session.wire, {})[session] = None
        if position is None:
            return
        if self.position is None:
            self.position = position
        elif position.offset > self.position.offset:
            self._ahead[session] = position.offset

    def remove(self, session: Session) -> None:
        """Unsubscribe a session. Idempotent."""
        members = self._members.get(session.wire)
        if members is not None:
            members.pop(session, None)
        self._ahead.pop(session, None)

    def receive(self, publication: Publication, epoch: str) -> bool:
        """Take what the broker delivers; False when publications before it are missing."""
        for join in self.joining:
            join.buffer.append(publication)
        if self.options.history is None or publication.offset == 0:
            self._deliver(publication)
            return True
        if self.backlog is not None:
            self.backlog.append(publication)
            return True
        position = self.position
        if position is None:
            return True
        if epoch != position.epoch or publication.offset > position.offset + 1:
            self.backlog = [publication]
            return False
        if publication.offset == position.offset + 1:
            self.position = StreamPosition(publication.offset, epoch)
            self._deliver(publication)
        return True

    def fill(self, page: HistoryPage) -> bool:
        """End a gap with what the history has since the last delivered position; False when something is lost.

        In that case every subscriber is unsubscribed with a code that makes it subscribe again, so that it is told
        truthfully whether it can recover.
        """
        before = self.position or page.position
        backlog, self.backlog = self.backlog or [], None
        complete = page.position.epoch == before.epoch and page.position.offset == before.offset + len(
            page.publications
        )
        if complete and len(backlog) <= MAX_BACKLOG:
            for publication in page.publications:
                self._deliver(publication)
        else:
            complete = False
            for session in self.subscribers():
                session.end_subscription(self, UNSUBSCRIBED_INSUFFICIENT_STATE)
        self.position = page.position
        for publication in backlog:
            self.receive(publication, page.position.epoch)
        return complete

    def _deliver(self, publication: Publication) -> None:
        for wire, members in self._members.items():
            if not members:
                continue
            frames = wire.publication(self.name, publication)
            if self._ahead:
                for session in members:
                    if self._is_new(session, publication):
                        session.connection.write(frames)
                continue
            for session in members:
                session.connection.write(frames)

    def _is_new(self, session: Session, publication: Publication) -> bool:
        ahead = self._ahead.get(session)
        if ahead is None:
            return True
        if publication.offset >= ahead:
            del self._ahead[session]
        return publication.offset > ahead
