"""Presence of this worker's subscribers, and leaves of clients whose server has died.

A member that its server does not renew expires in the store. The next worker that renews its own members of the channel
finds it and publishes its leave; the store lets only one of several workers do so. A worker whose own renewals were
late publishes none, because after an outage of the backplane all renewals are late.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence

from realtime_server.core.channels.channel import Channel
from realtime_server.core.model.errors import BackplaneError
from realtime_server.core.model.publication import Joined, Left, pack
from realtime_server.core.model.values import ClientInfo
from realtime_server.core.ports.backplane import Broker, PresenceStore
from realtime_server.core.ports.client import Receiver, Subscriber
from realtime_server.core.tasks import TaskGroup

PRESENCE_TTL_SECONDS = 60.0
PRESENCE_RENEW_SECONDS = 20.0
LATE_SECONDS = 1.5 * PRESENCE_RENEW_SECONDS
"""Interval between two renewals above which the later one counts as late."""
ROUNDS_IN_TIME = 2
"""Number of consecutive renewals in time before leaves are published: by then other workers have renewed too."""
RENEWED_TOGETHER, RENEWED_AT_ONCE = 100, 64
"""Members of a channel per call, and concurrent calls, of a renewal."""


class ChannelPresence:
    """Writer of this worker's subscribers to the store.

    `channels` are the worker's; `find` returns its session with an id; `clock` is monotonic seconds.
    """

    def __init__(
        self,
        store: PresenceStore,
        broker: Broker,
        tasks: TaskGroup,
        clock: Callable[[], float],
        channels: Mapping[str, Channel],
        find: Callable[[str], Subscriber | None],
    ) -> None:
        self._store = store
        self._broker = broker
        self._tasks = tasks
        self._clock = clock
        self._channels = channels
        self._find = find
        self._rounds_in_time = 0
        self._renewed_at = clock()

    async def add(self, channel: str, info: ClientInfo, *, emits_join_leave: bool) -> None:
        """Add a member. Raises BackplaneError."""
        await self._store.add(channel, info.client, info, PRESENCE_TTL_SECONDS, announced=emits_join_leave)

    def remove(self, channel: str, subscriber: Subscriber, leave: Left | None) -> None:
        """Remove a member in the background, and publish its leave if given.

        If the store cannot be reached, the member expires, and the worker that finds it publishes the leave.
        """
        self._tasks.spawn(self._remove(channel, subscriber.client, subscriber, leave), "leave")

    async def _remove(self, channel: str, client: str, subscriber: Subscriber, leave: Left | None) -> None:
        with contextlib.suppress(BackplaneError):
            # One that has come back before this task ran was added then, also as another session with the same id.
            stays = any(_is_in(channel, client, one) for one in (subscriber, self._find(client)))
            gone = not stays and not self._is_joining(channel, client)
            unpublished = await self._store.remove(channel, client) if gone else True
            if leave is not None and unpublished:
                await self._broker.publish(channel, pack(leave), None)

    def _is_joining(self, channel: str, client: str) -> bool:
        found = self._channels.get(channel)
        return found is not None and any(joining.client == client for joining in found.joining)

    def publish(self, channel: str, event: Joined | Left) -> None:
        """Publish a join or leave in the background; it is lost while the backplane is away."""
        self._tasks.spawn(self._publish(channel, event), "join-leave")

    async def _publish(self, channel: str, event: Joined | Left) -> None:
        with contextlib.suppress(BackplaneError):
            await self._broker.publish(channel, pack(event), None)

    def note_gap(self) -> None:
        """Record that the backplane was away, so that other workers may be late with their renewals."""
        self._rounds_in_time = 0

    async def renew(self) -> None:
        """Renew all members, and publish the leaves of expired ones. Raises BackplaneError."""
        rounds, self._rounds_in_time = self._rounds_in_time, 0
        now, before = self._clock(), self._renewed_at
        self._renewed_at = now
        parts = [
            (channel.name, subscribers[start : start + RENEWED_TOGETHER])
            for channel in self._channels.values()
            if channel.options.presence and (subscribers := channel.subscribers())
            for start in range(0, len(subscribers), RENEWED_TOGETHER)
        ]
        expired: set[str] = set()
        for start in range(0, len(parts), RENEWED_AT_ONCE):
            some = parts[start : start + RENEWED_AT_ONCE]
            found = await asyncio.gather(*(self._renew_some(*part) for part in some))
            expired.update(channel for (channel, _), departed in zip(some, found, strict=True) if departed)
        self._rounds_in_time = rounds + 1 if now - before <= LATE_SECONDS else 0
        if rounds >= ROUNDS_IN_TIME and self._rounds_in_time:
            for channel in expired:
                await self._publish_leaves(channel)

    async def _renew_some(self, channel: str, subscribers: Sequence[Receiver]) -> bool:
        """Renew members of a channel; return True if some of its members have expired, of any server."""
        members: dict[str, ClientInfo] = {}
        announced: set[str] = set()
        for subscriber in subscribers:
            info = subscriber.info_in(channel)
            if info is not None:
                members[info.client] = info
                if subscriber.emits_join_leave(channel):
                    announced.add(info.client)
        renewal = await self._store.renew(channel, list(members.values()), PRESENCE_TTL_SECONDS, announced)
        for client in renewal.returned:
            self.publish(channel, Joined(members[client]))
        return bool(renewal.departed)

    async def _publish_leaves(self, channel: str) -> None:
        """Publish all leaves that are still due after this worker has renewed its own members."""
        while departed := (await self._store.renew(channel, (), PRESENCE_TTL_SECONDS)).departed:
            await self._store.publish_leaves(channel, {info.client: pack(Left(info)) for info in departed})


def _is_in(channel: str, client: str, subscriber: Subscriber | None) -> bool:
    """Return True when a subscriber is present in a channel with this id, which may have changed."""
    info = None if subscriber is None else subscriber.info_in(channel)
    return info is not None and info.client == client
