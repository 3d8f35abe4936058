"""A subscription in the making: from the answer of the history to the first publication that follows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from realtime_server.core.channel import Channel, Joining
from realtime_server.core.commands import SubscribeRequest, SubscribeResult
from realtime_server.core.values import HistoryPage, StreamPosition

if TYPE_CHECKING:
    from realtime_server.core.session import Session


class Join:
    """A subscription that is ready to be answered: first the reply is written, then `complete` is called.

    Between `Node.join` returning and `complete` there must be no await: what arrived meanwhile comes after the reply.
    """

    __slots__ = ("_channel", "_joining", "_session", "result")

    def __init__(self, session: Session, channel: Channel, joining: Joining, result: SubscribeResult) -> None:
        self._session = session
        self._channel = channel
        self._joining = joining
        self.result = result

    @property
    def channel(self) -> str:
        """The channel's name."""
        return self._channel.name

    def complete(self) -> None:
        """Hand over what arrived while the subscription was made, and deliver from now on."""
        channel, session = self._channel, self._session
        channel.joining.remove(self._joining)
        if session.closed:
            session.node.leave(session, channel)
            return
        session.subscriptions[channel.name] = channel
        offset, epoch, missed = self.result.offset, self.result.epoch, self._joining.missed
        for publication, its_epoch in self._joining.buffer:
            if publication.offset == 0 or (publication.offset == offset + 1 and its_epoch == epoch):
                session.connection.write(session.wire.publication(channel.name, publication))
                offset = publication.offset or offset
            else:
                missed = missed or publication.offset > offset or its_epoch != epoch
        positioned = channel.options.history is not None
        in_step = channel.add(session, StreamPosition(offset, epoch) if positioned else None)
        if missed or not in_step:
            session.node.check_position(channel)

    def abandon(self) -> None:
        """Leave nothing of it: the subscription is not made after all."""
        self._channel.joining.remove(self._joining)
        self._session.node.leave(self._session, self._channel)


def is_complete(page: HistoryPage, request: SubscribeRequest) -> bool:
    """Whether a client that asks to recover misses nothing with this page: all or nothing, never a part."""
    if request.epoch and request.epoch != page.position.epoch:
        return False
    publications = page.publications
    if not publications:
        return page.position.offset == request.offset
    return publications[0].offset == request.offset + 1 and publications[-1].offset == page.position.offset
