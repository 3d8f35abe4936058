"""Channels of a worker: subscriptions, publishing, and filling of gaps."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping

from realtime_server import codes
from realtime_server.core.auth.revocations import Revocations
from realtime_server.core.channels.channel import Channel, Joining
from realtime_server.core.channels.channel_watch import ChannelWatch
from realtime_server.core.channels.join import Join, Wanted, is_complete
from realtime_server.core.channels.ordered import ChannelOrder, OrderedChannel
from realtime_server.core.channels.presence import ChannelPresence
from realtime_server.core.channels.resync import Resync
from realtime_server.core.limits.limit import Limit
from realtime_server.core.metrics.counters import Counters
from realtime_server.core.model.channel_options import ChannelOptions, RecoveryMode
from realtime_server.core.model.commands import SubscribeResult
from realtime_server.core.model.errors import BackplaneError, CommandError
from realtime_server.core.model.grant import AS_THE_NAMESPACE, Grant, is_positioned
from realtime_server.core.model.namespaces import DEFAULT, MAX_CHANNEL_BYTES, Namespaces, is_too_long, namespace_of
from realtime_server.core.model.publication import Content, Joined, Left, pack
from realtime_server.core.model.subscription import Subscription
from realtime_server.core.model.values import (
    ClientInfo,
    HistoryOptions,
    HistoryPage,
    HistoryQuery,
    PresenceStats,
    Publication,
    SequencePosition,
    StreamPosition,
)
from realtime_server.core.ports.backplane import Broker, PresenceStore
from realtime_server.core.ports.client import Subscriber
from realtime_server.core.ports.tracing import NO_TRACING, Tracing
from realtime_server.core.tasks import TaskGroup

CHECK_SECONDS = 30.0
"""Interval of comparing the position of a quiet channel with the stream's."""
CHECKED_AT_ONCE = 64


class Hub:
    """Channels of a worker: implements the part of BrokerEvents about channels.

    `clock` is monotonic seconds; `find` returns the worker's session with an id.
    """

    def __init__(
        self,
        namespaces: Namespaces,
        broker: Broker,
        presence: PresenceStore,
        counters: Counters,
        tasks: TaskGroup,
        clock: Callable[[], float],
        revocations: Revocations,
        find: Callable[[str], Subscriber | None],
        watch: ChannelWatch | None = None,
        tracing: Tracing = NO_TRACING,
    ) -> None:
        self.channels: dict[str, Channel] = {}
        self._namespaces = namespaces
        self._broker = broker
        self._presence = presence
        self._members = ChannelPresence(presence, broker, tasks, clock, self.channels, find)
        self._counters = counters
        self._tasks = tasks
        self._clock = clock
        self._revocations = revocations
        self._watch = watch
        self._tracing = tracing
        self._resyncs = Resync(tasks, self._resync)
        self._orders: dict[str, ChannelOrder] = {}
        """Orders of the ordered namespaces with channels here."""

    def require(self, channel: str) -> ChannelOptions:
        """Return the options of a channel. Raises CommandError UNKNOWN_CHANNEL."""
        options = self._namespaces.of(channel)
        if options is None:
            why = "the channel's namespace is not defined" if channel else "the channel's name is empty"
            if is_too_long(channel):
                self._counters.limits[Limit.CHANNEL_BYTES] += 1
                why = f"the channel's name has more than {MAX_CHANNEL_BYTES} bytes"
            raise CommandError(codes.UNKNOWN_CHANNEL, why)
        return options

    def options_of_subscription(self, channel: str, grant: Grant) -> ChannelOptions:
        """Return the options of a subscription with this grant.

        Raises CommandError UNKNOWN_CHANNEL or NOT_AVAILABLE.
        """
        options = self.require(channel)
        if grant.override == AS_THE_NAMESPACE:
            return options
        why = grant.override.conflict(options)
        if why:
            raise CommandError(codes.NOT_AVAILABLE, why)
        return grant.override.applied_to(options)

    def subscriber_counts(self) -> Iterator[tuple[str, int]]:
        """Return pairs of each channel with subscribers here and their number."""
        return ((name, count) for name, channel in self.channels.items() if (count := channel.subscriber_count))

    # subscriptions

    async def join(self, subscriber: Subscriber, name: str, wanted: Wanted, grant: Grant) -> Join:
        """Prepare a subscription. Raises CommandError or BackplaneError, after which nothing of it is left."""
        options = self.options_of_subscription(name, grant)
        channel = self.channels.get(name)
        if channel is None:
            channel = self.channels[name] = self._new_channel(name)
        subscription = Subscription(
            name,
            info=grant.info,
            expires_at=grant.expires_at,
            renewed_by_hook=grant.renewed_by_hook,
            server_side=wanted.server_side,
            delta=options.delta and wanted.delta,
            emits_join_leave=options.join_leave,
            receives_join_leave=options.force_push_join_leave or (options.join_leave and wanted.receives_join_leave),
            present=options.presence,
            override=grant.override,
            credential=grant.credential,
            permitted=grant.permitted,
        )
        joining = Joining(subscriber.client)
        channel.joining.append(joining)
        try:
            if not channel.live:
                await self._make_live(channel)
            if options.presence:
                info = subscriber.client_info(subscription.info)
                await self._members.add(name, info, emits_join_leave=subscription.emits_join_leave)
            if options.history is None:
                result = SubscribeResult(delta=subscription.delta)
            else:
                result = await self._position(name, options, options.history, wanted)
        except BaseException:
            channel.joining.remove(joining)
            self.give_up(channel, subscriber, subscription)
            raise
        return Join(self, channel, subscriber, subscription, joining, result)

    def _new_channel(self, name: str) -> Channel:
        options = self.require(name)
        if not options.ordered:
            return Channel(name, options, self._tracing)
        namespace = namespace_of(name) or DEFAULT
        order = self._orders.get(namespace)
        if order is None:
            order = self._orders[namespace] = ChannelOrder(self._broker, self._tasks)
        return OrderedChannel(name, options, order, self._tracing)

    async def _make_live(self, channel: Channel) -> None:
        async with channel.lock:
            if not channel.live:
                await self._broker.subscribe(channel.name)
                channel.live = True
                if self._watch is not None:
                    await self._watch.occupied(channel.name)

    async def _position(
        self, name: str, options: ChannelOptions, history: HistoryOptions, wanted: Wanted
    ) -> SubscribeResult:
        recovering = options.recovery and wanted.recover
        page = await self._broker.history(name, _query_of(options, wanted), history)
        if options.recovery_mode is RecoveryMode.CACHE:
            recovered, publications = _newest(page, wanted)
        else:
            recovered, publications = is_complete(page, wanted), page.publications
        recovered = recovering and recovered
        if recovering and not recovered and wanted.reject_unrecovered:
            self._counters.recoveries[False] += 1
            raise CommandError(codes.UNRECOVERABLE_POSITION)
        return SubscribeResult(
            recoverable=options.recovery,
            positioned=is_positioned(options),
            epoch=page.position.epoch,
            offset=page.position.offset,
            publications=publications if recovered else (),
            recovered=recovered,
            was_recovering=recovering,
            delta=options.delta and wanted.delta,
        )

    def complete(
        self,
        channel: Channel,
        subscriber: Subscriber,
        subscription: Subscription,
        result: SubscribeResult,
        *,
        in_step: bool,
    ) -> None:
        """Publish the join of a subscription that has begun; unless `in_step`, have the channel filled."""
        if not in_step or (isinstance(channel, OrderedChannel) and channel.must_wait):
            self.check_position(channel)
        if result.was_recovering:
            self._counters.recoveries[result.recovered] += 1
        if subscription.emits_join_leave:
            self._members.publish(channel.name, Joined(subscriber.client_info(subscription.info)))
        if subscription.credential is not None and self._revocations.covers(subscription.credential):
            # Revoked while the subscription was made, so that nobody could end it yet.
            subscriber.end_subscription(channel.name, codes.UNSUBSCRIBED_TOKEN_REVOKED)

    def give_up(self, channel: Channel, subscriber: Subscriber, subscription: Subscription) -> None:
        """Undo a subscription that is not made after all; one made to the same channel meanwhile stays."""
        if not subscriber.has_subscription(channel.name):
            self._leave(channel, subscriber, subscription)

    def _leave(
        self, channel: Channel, subscriber: Subscriber, subscription: Subscription, leave: Left | None = None
    ) -> None:
        """Remove a subscriber from the channel, and publish its `leave` if given."""
        channel.remove(subscriber)
        if subscription.present:
            self._members.remove(channel.name, subscriber, leave)
        elif leave is not None:
            self._members.publish(channel.name, leave)
        self.release(channel)

    def end(self, subscriber: Subscriber, subscription: Subscription) -> None:
        """End a subscription that had begun, and publish its leave where join and leave are on."""
        leave = Left(subscriber.client_info(subscription.info)) if subscription.emits_join_leave else None
        self._leave(self.channels[subscription.channel], subscriber, subscription, leave)

    def flush(self, channel: str) -> None:
        """Send the publications that a channel's write delay holds back."""
        self.channels[channel].flush()

    def release(self, channel: Channel) -> None:
        """Release a channel that nobody uses, in the background."""
        if channel.unused:
            self._tasks.spawn(self._retire(channel), f"release-{channel.name}")

    async def _retire(self, channel: Channel) -> None:
        async with channel.lock:
            if channel.unused and channel.live:
                channel.retire()
                with contextlib.suppress(BackplaneError):
                    await self._broker.unsubscribe(channel.name)
                if self._watch is not None:
                    await self._watch.vacated(channel.name)
            if channel.unused and not channel.live and self.channels.get(channel.name) is channel:
                del self.channels[channel.name]
                if isinstance(channel, OrderedChannel):
                    channel.forget()

    async def renew_presence(self) -> None:
        """Renew the presence of all subscribers here. Raises BackplaneError. See ChannelPresence.renew."""
        await self._members.renew()

    # what the broker reports

    def on_publication(self, channel: str, publication: Publication, epoch: str) -> None:
        """Deliver a publication to the subscribers here."""
        found = self.channels.get(channel)
        if found is not None and not found.receive(publication, epoch):
            self._fill(found)

    def on_interrupted(self) -> None:
        """Have ordered namespaces wait: what arrives from now on may follow a loss."""
        for order in self._orders.values():
            order.interrupt()

    def on_gap(self) -> None:
        """Check every position: publications missed meanwhile are delivered from the history, or reported as lost."""
        self._counters.backplane_gaps += 1
        self._members.note_gap()
        for channel in self.channels.values():
            if not isinstance(channel, OrderedChannel):
                self.check_position(channel)
        for order in self._orders.values():
            order.resume()

    def check_position(self, channel: Channel) -> None:
        """Have a channel's missing publications read from the history, and delivered or reported as lost."""
        if channel.suspect():
            self._fill(channel)

    def _fill(self, channel: Channel) -> None:
        if isinstance(channel, OrderedChannel):
            channel.order.fill()
        else:
            self._resyncs.add(channel)

    def check_quiet_channels(self) -> None:
        """Check channels that were quiet for a while, as only a later publication would reveal a lost one."""
        now = self._clock()
        left = max(CHECKED_AT_ONCE, int(len(self.channels) / CHECK_SECONDS))
        for channel in self.channels.values():
            if channel.position is None or channel.backlog is not None or now - channel.checked_at <= CHECK_SECONDS:
                continue
            channel.checked_at = now
            if channel.position is not channel.checked:
                channel.checked = channel.position
                continue
            if isinstance(channel, OrderedChannel):
                channel.order.glance(channel)
            else:
                self.check_position(channel)
            left -= 1
            if not left:
                return

    async def _resync(self, channel: Channel) -> None:
        history = channel.options.history
        while history is not None and (backlog := channel.backlog) is not None and channel.position is not None:
            covered = len(backlog.arrivals)
            page = await self._broker.history(channel.name, HistoryQuery(-1, channel.position), history)
            if channel.backlog is not backlog:
                return  # Another check has begun since, or nobody is here any more.
            channel.fill(page, covered)

    # publications, presence, history

    async def publish(
        self,
        channel: str,
        content: Content,
        *,
        skip_history: bool = False,
        idempotency_key: str = "",
        version: int = 0,
        version_epoch: str = "",
    ) -> StreamPosition | None:
        """Publish, and return the position, None without history.

        Raises CommandError or BackplaneError. See Broker.publish.
        """
        options = self.require(channel)
        began = self._clock()
        position = await self._broker.publish(
            channel,
            pack(content),
            None if skip_history else options.history,
            idempotency_key=idempotency_key,
            version=version,
            version_epoch=version_epoch,
        )
        self._counters.publications += 1
        self._counters.delivery.observe(self._clock() - began)
        return position

    async def presence(self, channel: str) -> Mapping[str, ClientInfo]:
        """Return the subscribers by client id. Raises CommandError NOT_AVAILABLE without presence in the namespace."""
        self._require_presence(channel)
        return await self._presence.members(channel)

    async def presence_stats(self, channel: str) -> PresenceStats:
        """Count the subscribers. Raises CommandError NOT_AVAILABLE where the namespace has no presence."""
        self._require_presence(channel)
        return await self._presence.stats(channel)

    async def history(self, channel: str, query: HistoryQuery) -> HistoryPage:
        """Read a part of the channel's stream.

        Raises CommandError NOT_AVAILABLE where the namespace has no history, UNRECOVERABLE_POSITION for another epoch.
        """
        options = self.require(channel)
        if options.history is None:
            raise CommandError(codes.NOT_AVAILABLE)
        page = await self._broker.history(channel, query, options.history)
        if query.since is not None and query.since.epoch and query.since.epoch != page.position.epoch:
            raise CommandError(codes.UNRECOVERABLE_POSITION)
        return page

    async def missed(self, channel: str, known: StreamPosition, since: SequencePosition) -> HistoryPage | None:
        """Read what was published in a channel of an ordered namespace after both positions; see Broker.

        Raises CommandError or BackplaneError.
        """
        options = self.require(channel)
        if options.history is None or not options.ordered:
            raise CommandError(codes.NOT_AVAILABLE)
        return await self._broker.missed(channel, known, since, options.history)

    async def history_remove(self, channel: str) -> None:
        """Delete a channel's history. Raises CommandError NOT_AVAILABLE where the namespace has none."""
        if self.require(channel).history is None:
            raise CommandError(codes.NOT_AVAILABLE)
        await self._broker.remove_history(channel)

    def _require_presence(self, channel: str) -> None:
        if not self.require(channel).presence:
            raise CommandError(codes.NOT_AVAILABLE)


def _query_of(options: ChannelOptions, wanted: Wanted) -> HistoryQuery:
    """Return the query whose result answers a subscription."""
    if not (options.recovery and wanted.recover):
        return HistoryQuery(0)
    if options.recovery_mode is RecoveryMode.CACHE:
        return HistoryQuery(1, reverse=True)
    return HistoryQuery(-1, StreamPosition(wanted.offset, wanted.epoch))


def _newest(page: HistoryPage, wanted: Wanted) -> tuple[bool, tuple[Publication, ...]]:
    """Return whether the newest publication is kept, and that publication unless the client has it."""
    newest = page.publications[:1]
    if not newest or newest[0].offset != page.position.offset:
        return False, ()
    has_it = wanted.offset == page.position.offset and wanted.epoch == page.position.epoch
    return True, () if has_it else newest
