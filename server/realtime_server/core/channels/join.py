"""A subscription in the making: from the answer of the history to the first publication that follows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct, structs

from realtime_server.core.channels.channel import Joining
from realtime_server.core.channels.subscription import Subscription
from realtime_server.core.model.commands import SubscribeRequest, SubscribeResult
from realtime_server.core.model.grant import PLAIN, Grant
from realtime_server.core.model.publication import Content, content_in, unpack
from realtime_server.core.model.values import HistoryPage, Publication, StreamPosition

if TYPE_CHECKING:
    from realtime_server.core.channels.hub import Hub
    from realtime_server.core.sessions.session import Session

FOSSIL = "fossil"
REJECT_UNRECOVERED = 2
"""The flag of a client that would rather fail than begin anew."""


class Wanted(Struct, frozen=True, gc=False):
    """What a subscription is to be: what the client asks for, and the conditions under which it is let in."""

    recover: bool = False
    offset: int = 0
    epoch: str = ""
    reject_unrecovered: bool = False
    delta: bool = False
    receives_join_leave: bool = False
    server_side: bool = False
    grant: Grant = PLAIN

    @classmethod
    def by_client(cls, request: SubscribeRequest, grant: Grant = PLAIN, *, server_side: bool = False) -> Wanted:
        """What a client asks for."""
        return cls(
            recover=request.recover,
            offset=request.offset,
            epoch=request.epoch,
            reject_unrecovered=bool(request.flag & REJECT_UNRECOVERED),
            delta=request.delta == FOSSIL,
            receives_join_leave=request.join_leave or server_side,
            server_side=server_side,
            grant=grant,
        )


class Join:
    """A subscription that is ready to be answered: first the reply is written, then `complete` is called.

    Between `Hub.join` returning and `complete` there must be no await: what arrived meanwhile comes after the reply.
    """

    __slots__ = ("_hub", "_joining", "_session", "_subscription", "result")

    def __init__(
        self, hub: Hub, session: Session, subscription: Subscription, joining: Joining, result: SubscribeResult
    ) -> None:
        self._hub = hub
        self._session = session
        self._subscription = subscription
        self._joining = joining
        self.result = result

    @property
    def channel(self) -> str:
        """The channel's name."""
        return self._subscription.channel.name

    def complete(self) -> None:
        """Hand over what arrived while the subscription was made, and deliver from now on."""
        subscription, session = self._subscription, self._session
        channel = subscription.channel
        channel.joining.remove(self._joining)
        if session.closed:
            self._hub.leave(session, subscription)
            return
        session.subscriptions[channel.name] = subscription
        session.expiring = session.expiring or subscription.expires_at is not None
        offset, epoch, missed = self.result.offset, self.result.epoch, self._joining.missed
        for publication, its_epoch in self._joining.buffer.arrivals:
            if publication.offset == 0 or (publication.offset == offset + 1 and its_epoch == epoch):
                self._write(publication)
                offset = publication.offset or offset
            else:
                missed = missed or publication.offset > offset or its_epoch != epoch
        positioned = channel.options.history is not None
        in_step = channel.add(
            session,
            StreamPosition(offset, epoch) if positioned else None,
            delta=subscription.delta,
            receives_join_leave=subscription.receives_join_leave,
        )
        if missed or not in_step:
            self._hub.check_position(channel)
        self._hub.complete(session, subscription, self.result)

    def _write(self, publication: Publication) -> None:
        """Write what arrived meanwhile. Who joined or left meanwhile can be asked for with presence."""
        session, name = self._session, self.channel
        content = content_in(publication) if publication.offset else unpack(publication.encoded)
        if isinstance(content, Content):
            if self._subscription.delta:
                frames = session.codec.delta_publication(name, content, publication.offset, None)
            else:
                frames = session.codec.publication(name, content, publication.offset)
            session.connection.write(frames)

    def forgo(self) -> None:
        """Recover nothing after all, and say so: what was missed is more than one answer may hold."""
        self.result = structs.replace(self.result, recovered=False, publications=())

    def abandon(self) -> None:
        """Leave nothing of it: the subscription is not made after all."""
        self._subscription.channel.joining.remove(self._joining)
        self._hub.give_up(self._session, self._subscription)


def is_complete(page: HistoryPage, wanted: Wanted) -> bool:
    """Whether a client that asks to recover misses nothing with this page: all or nothing, never a part."""
    if wanted.epoch and wanted.epoch != page.position.epoch:
        return False
    publications = page.publications
    if not publications:
        return page.position.offset == wanted.offset
    return publications[0].offset == wanted.offset + 1 and publications[-1].offset == page.position.offset
