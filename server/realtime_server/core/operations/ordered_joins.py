"""Subscriptions to channels of an ordered namespace that begin together, after what a client has missed in all of them.

The client says one position: that of the last publication that it has, whatever its channel.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from operator import itemgetter

from msgspec import Struct, structs

from realtime_server.core.channels.hub import Hub
from realtime_server.core.channels.join import Join, Wanted, is_complete
from realtime_server.core.channels.ordered import ChannelOrder, number_of
from realtime_server.core.model.errors import BackplaneError, CommandError
from realtime_server.core.model.grant import Grant
from realtime_server.core.model.publication import content_in
from realtime_server.core.model.values import HistoryPage, HistoryQuery, Publication, SequencePosition, StreamPosition
from realtime_server.core.operations.subscriptions import Subscriptions, is_left
from realtime_server.core.sessions.session import Session

POSITION = HistoryQuery(0)
ATTEMPTS = 3
"""Number of reads of what was missed, of which each is void when the link to the backplane was lost meanwhile."""


class Absence(Struct, frozen=True):
    """Absence of a client: `since` is the position of the last publication that it has, None when it has got none.

    `begun`: the channels that it was in, and the position in each one's stream at which its subscription had begun.
    They are of one namespace.
    """

    since: SequencePosition | None
    begun: Mapping[str, StreamPosition]


class OrderedJoins:
    """Subscriptions that are ready to begin.

    Write the reply first, then call `begin`. There must be no await between the return of `OrderedSubscriptions.join`
    and `begin` or `abandon`.
    """

    __slots__ = ("_absence", "_joins", "_missed", "_session")

    def __init__(
        self,
        session: Session,
        joins: Sequence[Join],
        missed: Sequence[tuple[str, Publication]],
        absence: Absence | None,
    ) -> None:
        self._session = session
        self._joins = joins
        self._missed = missed
        self._absence = absence
        """Absence that `begin` makes up for, None for none."""

    @property
    def recovered(self) -> bool:
        """True when `begin` writes everything that the client has missed; else it has to load its state anew."""
        return self._absence is not None

    @property
    def begun(self) -> dict[str, StreamPosition]:
        """Positions at which the subscriptions begin, by channel, for `Absence.begun`.

        Where they were recovered, they go on from their first beginning: the client may yet lose what `begin` writes.
        """
        before = {} if self._absence is None else self._absence.begun
        return {join.channel: before.get(join.channel, join.position) for join in self._joins}

    def begin(self) -> None:
        """Write what was missed, in order, and deliver from now on."""
        session = self._session
        for channel, publication in self._missed:
            if not session.closed:
                session.connection.write(
                    session.codec.publication(channel, content_in(publication), publication.offset)
                )
        for join in self._joins:
            join.complete()

    def abandon(self) -> None:
        """Undo the joins: the subscriptions are not made after all."""
        for join in self._joins:
            join.abandon()


class OrderedSubscriptions:
    """Subscriber of clients that get the publications of many channels in one order."""

    def __init__(self, hub: Hub, subscriptions: Subscriptions) -> None:
        self._hub = hub
        self._subscriptions = subscriptions

    async def join(
        self,
        session: Session,
        wanted: Mapping[str, tuple[Wanted, Grant]],
        *,
        own: Collection[str],
        absence: Absence | None = None,
    ) -> OrderedJoins:
        """Prepare subscriptions: all of them or none, see `Subscriptions.join_all`.

        Those to ordered channels begin when they have been made: what is published before is only delivered if it was
        missed by an absence. Raises CommandError or BackplaneError.
        """
        asked = {channel: (structs.replace(what, recover=False), grant) for channel, (what, grant) in wanted.items()}
        joins = await self._subscriptions.join_all(session, asked, own=own)
        try:
            missed = await self._missed(joins, absence)
            left = [join for join in joins if is_left(session, join.channel, own)]
        except BaseException:
            for join in joins:
                join.abandon()
            raise
        for join in joins:
            if join not in left:
                join.abandon()
        channels = {join.channel for join in left}
        publications = [(channel, publication) for channel, publication in missed or () if channel in channels]
        return OrderedJoins(session, left, publications, absence if missed is not None else None)

    async def in_order(self, session: Session, join: Join, absence: Absence | None = None) -> OrderedJoins:
        """Have a join that was made otherwise begin as `join` has it. Raises BackplaneError, and then undoes it."""
        try:
            missed = await self._missed([join], absence)
        except BaseException:
            join.abandon()
            raise
        publications = [] if missed is None else missed
        return OrderedJoins(session, [join], publications, absence if missed is not None else None)

    async def _missed(self, joins: Sequence[Join], absence: Absence | None) -> list[tuple[str, Publication]] | None:
        """Have the joins begin in step with each other; return what was missed, in order, None when that is unknown."""
        ordered = [join for join in joins if join.order is not None]
        for attempt in range(ATTEMPTS):
            if absence is not None or attempt:
                for join in ordered:
                    join.begin_again()
            pages = None if absence is None else await self._pages(ordered, absence)
            if pages is None:
                missed = None
                await self._skip(ordered, anew=absence is not None or attempt > 0)
            else:
                missed = _merged(ordered, pages)
            if not any(join.missed for join in ordered):
                if absence is not None:
                    _note_recovery(ordered, absence, recovered=missed is not None)
                return missed
        raise BackplaneError("the link to the backplane was lost too often")

    async def _pages(self, joins: Sequence[Join], absence: Absence) -> list[HistoryPage] | None:
        """Read what was missed in each channel; None when that is unknown for one of them."""
        pages = []
        for join in joins:
            begun = absence.begun.get(join.channel)
            if begun is None:
                page: HistoryPage | None = await self._hub.history(join.channel, POSITION)
            elif absence.since is None:
                page = await self._published_since(join.channel, begun)
            else:
                page = await self._hub.missed(join.channel, begun, absence.since)
            if page is None:
                return None
            pages.append(page)
        return pages

    async def _published_since(self, channel: str, begun: StreamPosition) -> HistoryPage | None:
        """Read what was published after a position in the stream; None when some may be missing."""
        try:
            page = await self._hub.history(channel, HistoryQuery(-1, begun))
        except CommandError:  # another epoch
            return None
        return page if is_complete(page, Wanted(offset=begun.offset, epoch=begun.epoch)) else None

    async def _skip(self, joins: Sequence[Join], *, anew: bool) -> None:
        """Have the joins begin after what was published before; `anew`: after the position that is read now."""
        pages = [await self._hub.history(join.channel, POSITION) for join in joins] if anew else []
        for join, page in zip(joins, pages, strict=False):
            join.take_missed(page, 0)
        for join in joins:
            join.skip_arrivals()


def _merged(joins: Sequence[Join], pages: Sequence[HistoryPage]) -> list[tuple[str, Publication]]:
    """Return the publications of all pages, and those that arrived since, in order; the joins begin after them."""
    read: dict[ChannelOrder, list[SequencePosition]] = {}
    for join, page in zip(joins, pages, strict=True):
        if join.order is not None and page.sequence is not None:
            read.setdefault(join.order, []).append(page.sequence)
    limits = {order: order.known(positions) for order, positions in read.items()}
    found: list[tuple[int, str, Publication]] = []
    for join, page in zip(joins, pages, strict=True):
        limit = None if join.order is None else limits.get(join.order)
        if limit is None:
            join.miss()
        else:
            found += ((number_of(one), join.channel, one) for one in join.take_missed(page, limit))
    found.sort(key=itemgetter(0))
    return [(channel, publication) for _, channel, publication in found]


def _note_recovery(joins: Sequence[Join], absence: Absence, *, recovered: bool) -> None:
    """Have the outcome counted for each channel."""
    for join in joins:
        if join.channel in absence.begun:
            join.result = structs.replace(join.result, was_recovering=True, recovered=recovered)
