"""A subscription in the making: from the answer of the history to the first publication that follows it."""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct, structs

from realtime_server.core.channels.channel import Channel, Joining
from realtime_server.core.model.commands import SubscribeResult
from realtime_server.core.model.publication import Content, content_in, unpack
from realtime_server.core.model.subscription import Subscription
from realtime_server.core.model.values import HistoryPage, Publication, StreamPosition
from realtime_server.core.ports.client import Subscriber


class Wanted(Struct, frozen=True, gc=False):
    """What is asked for in a subscription, by the client or for it."""

    recover: bool = False
    offset: int = 0
    epoch: str = ""
    reject_unrecovered: bool = False
    delta: bool = False
    receives_join_leave: bool = False
    server_side: bool = False


class JoinOwner(Protocol):
    """Is told what became of a join: the hub."""

    def complete(
        self,
        channel: Channel,
        subscriber: Subscriber,
        subscription: Subscription,
        result: SubscribeResult,
        *,
        in_step: bool,
    ) -> None:
        """The subscription has begun; `in_step` is False when the channel has to be filled for it."""

    def give_up(self, channel: Channel, subscriber: Subscriber, subscription: Subscription) -> None:
        """The subscription is not made after all."""


class Join:
    """A subscription that is ready to be answered: first the reply is written, then `complete` is called.

    Between `Hub.join` returning and `complete` there must be no await: what arrived meanwhile comes after the reply.
    """

    __slots__ = ("_channel", "_joining", "_owner", "_subscriber", "_subscription", "result")

    def __init__(
        self,
        owner: JoinOwner,
        channel: Channel,
        subscriber: Subscriber,
        subscription: Subscription,
        joining: Joining,
        result: SubscribeResult,
    ) -> None:
        self._owner = owner
        self._channel = channel
        self._subscriber = subscriber
        self._subscription = subscription
        self._joining = joining
        self.result = result

    @property
    def channel(self) -> str:
        """The channel's name."""
        return self._channel.name

    def complete(self) -> None:
        """Hand over what arrived while the subscription was made, and deliver from now on."""
        channel, subscriber, subscription = self._channel, self._subscriber, self._subscription
        if not subscriber.begin_subscription(subscription):
            self.abandon()
            return
        channel.joining.remove(self._joining)
        offset, epoch, missed = self.result.offset, self.result.epoch, self._joining.missed
        for publication, its_epoch in self._joining.buffer.arrivals:
            if publication.offset == 0 or (publication.offset == offset + 1 and its_epoch == epoch):
                self._write(publication)
                offset = publication.offset or offset
            else:
                missed = missed or publication.offset > offset or its_epoch != epoch
        positioned = channel.options.history is not None
        in_step = channel.add(
            subscriber,
            StreamPosition(offset, epoch) if positioned else None,
            delta=subscription.delta,
            receives_join_leave=subscription.receives_join_leave,
        )
        self._owner.complete(channel, subscriber, subscription, self.result, in_step=in_step and not missed)

    def _write(self, publication: Publication) -> None:
        """Write what arrived meanwhile. Who joined or left meanwhile can be asked for with presence."""
        subscriber, name = self._subscriber, self.channel
        content = content_in(publication) if publication.offset else unpack(publication.encoded)
        if isinstance(content, Content):
            if self._subscription.delta:
                frames = subscriber.codec.delta_publication(name, content, publication.offset, None)
            else:
                frames = subscriber.codec.publication(name, content, publication.offset)
            subscriber.connection.write(frames)

    def forgo(self) -> None:
        """Recover nothing after all, and say so: what was missed is more than one answer may hold."""
        self.result = structs.replace(self.result, recovered=False, publications=())

    def abandon(self) -> None:
        """Leave nothing of it: the subscription is not made after all."""
        self._channel.joining.remove(self._joining)
        self._owner.give_up(self._channel, self._subscriber, self._subscription)


def is_complete(page: HistoryPage, wanted: Wanted) -> bool:
    """Whether a client that asks to recover misses nothing with this page: all or nothing, never a part."""
    if wanted.epoch and wanted.epoch != page.position.epoch:
        return False
    publications = page.publications
    if not publications:
        return page.position.offset == wanted.offset
    return publications[0].offset == wanted.offset + 1 and publications[-1].offset == page.position.offset
