"""Subscription in progress: from the answer of the history to the first publication after it."""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct, structs

from realtime_server.core.channels.channel import Backlog, Channel, Joining
from realtime_server.core.channels.ordered import ChannelOrder, OrderedChannel, number_of
from realtime_server.core.model.commands import SubscribeResult
from realtime_server.core.model.publication import Content, content_in, unpack
from realtime_server.core.model.pushes import SubscribePush
from realtime_server.core.model.subscription import Subscription
from realtime_server.core.model.values import HistoryPage, Publication, StreamPosition
from realtime_server.core.ports.client import Subscriber


class Wanted(Struct, frozen=True, gc=False):
    """Options of a subscription, as asked for by the client or on its behalf."""

    recover: bool = False
    offset: int = 0
    epoch: str = ""
    reject_unrecovered: bool = False
    delta: bool = False
    receives_join_leave: bool = False
    server_side: bool = False


class JoinOwner(Protocol):
    """Owner of joins (the hub), to which their outcome is reported."""

    def complete(
        self,
        channel: Channel,
        subscriber: Subscriber,
        subscription: Subscription,
        result: SubscribeResult,
        *,
        in_step: bool,
    ) -> None:
        """Handle a subscription that has begun; `in_step` is False when the channel has to be filled for it."""

    def give_up(self, channel: Channel, subscriber: Subscriber, subscription: Subscription) -> None:
        """Handle a subscription that is not made after all."""


class Join:
    """Subscription that is ready for its reply: write the reply first, then call `complete`.

    There must be no await between the return of `Hub.join` and `complete`, so that buffered publications follow the
    reply.
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
        """Name of the channel."""
        return self._channel.name

    def complete(self) -> None:
        """Begin the subscription: write the buffered publications, and deliver from now on."""
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
        """Write a buffered publication; joins and leaves meanwhile are omitted, as presence shows their result."""
        subscriber, name = self._subscriber, self.channel
        content = content_in(publication) if publication.offset else unpack(publication.encoded)
        if isinstance(content, Content):
            if self._subscription.delta:
                frames = subscriber.codec.delta_publication(name, content, publication.offset, None)
            else:
                frames = subscriber.codec.publication(name, content, publication.offset)
            subscriber.connection.write(frames)

    # in order with other channels of the namespace

    @property
    def order(self) -> ChannelOrder | None:
        """Order of the channel's namespace, None where there is none."""
        channel = self._channel
        return channel.order if isinstance(channel, OrderedChannel) else None

    @property
    def missed(self) -> bool:
        """True when publications may have been lost that neither the result nor the buffer has."""
        return self._joining.missed

    @property
    def position(self) -> StreamPosition:
        """Position in the stream after which the subscription begins."""
        return StreamPosition(self.result.offset, self.result.epoch)

    @property
    def begins_at(self) -> StreamPosition:
        """Position in the stream before the publications of the result."""
        result = self.result
        missed = result.publications
        return StreamPosition(missed[0].offset - 1 if missed else result.offset, result.epoch)

    def push(self) -> SubscribePush:
        """Return the push that tells a client of the subscription, before the publications of its result."""
        result = self.result
        return SubscribePush(result.recoverable, result.epoch, self.begins_at.offset, result.positioned, result.data)

    def miss(self) -> None:
        """Record that publications may have been lost."""
        self._joining.miss()

    def begin_again(self) -> None:
        """Drop what was buffered, before a history is read that has it."""
        self._joining.begin_again()

    def take_missed(self, page: HistoryPage, limit: int) -> list[Publication]:
        """Return the publications of a page and those that were buffered since, up to a number of the sequence.

        The subscription will begin after them.
        """
        taken = [publication for publication in page.publications if number_of(publication) <= limit]
        offset, epoch = page.position.offset - len(page.publications) + len(taken), page.position.epoch
        for publication, its_epoch in self._joining.buffer.arrivals:
            if publication.offset == offset + 1 and its_epoch == epoch:
                taken.append(publication)
                offset = publication.offset
            elif publication.offset > offset or (publication.offset and its_epoch != epoch):
                self._joining.miss()
        self._joining.buffer = Backlog()
        self.result = structs.replace(self.result, offset=offset, epoch=epoch)
        return taken

    def skip_arrivals(self) -> None:
        """Have the subscription to an ordered channel begin now: what was buffered came before what others have got."""
        if self.order is not None:
            self.take_missed(HistoryPage((), self.position), 0)

    def drop_recovery(self) -> None:
        """Turn the result into one without recovery, because the missed publications exceed the size of a reply."""
        self.result = structs.replace(self.result, recovered=False, publications=())

    def abandon(self) -> None:
        """Undo the join: the subscription is not made after all."""
        self._channel.joining.remove(self._joining)
        self._owner.give_up(self._channel, self._subscriber, self._subscription)


def is_complete(page: HistoryPage, wanted: Wanted) -> bool:
    """Return True when a page contains everything that a recovering client misses: all or nothing."""
    if wanted.epoch and wanted.epoch != page.position.epoch:
        return False
    publications = page.publications
    if not publications:
        return page.position.offset == wanted.offset
    return publications[0].offset == wanted.offset + 1 and publications[-1].offset == page.position.offset
