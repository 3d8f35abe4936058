"""Presence within one process."""

from __future__ import annotations

import heapq
import time
from collections import Counter
from collections.abc import Callable, Container, Mapping, Sequence

from realtime_server.backplane.memory import MemoryBroker
from realtime_server.core.model.values import ClientInfo, PresenceStats
from realtime_server.core.ports.backplane import Renewal

STALE_PER_CLIENT = 8
"""Maximum ratio of heap entries to clients; above it outdated entries are removed."""
FOUND_WITHIN_SECONDS = 300.0
"""Time within which an expired connection's leave may be published; later it would come as a surprise."""
REMEMBERED = 10_000
"""Maximum number of connections per channel that are remembered as departed; the oldest are forgotten first."""


class MemoryPresence:
    """Presence within one process: implements PresenceStore. `broker` publishes leaves.

    `clock` is monotonic seconds.
    """

    def __init__(self, broker: MemoryBroker, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._broker = broker
        self._clock = clock
        self._channels: dict[str, _Members] = {}

    async def add(
        self, channel: str, client: str, info: ClientInfo, ttl_seconds: float, *, announced: bool = False
    ) -> None:
        """Add or renew a connection; the cost is logarithmic in the number of connections."""
        now = self._clock()
        self._members_at(channel, now).add(client, info, now + ttl_seconds, announced=announced)

    async def renew(
        self, channel: str, clients: Sequence[ClientInfo], ttl_seconds: float, announced: Container[str] = ()
    ) -> Renewal:
        """Add or renew many connections; see PresenceStore."""
        now = self._clock()
        members = self._members_at(channel, now)
        returned = [
            info.client
            for info in clients
            if members.add(info.client, info, now + ttl_seconds, announced=info.client in announced)
        ]
        self._forget_empty(channel, members)
        return Renewal(tuple(info for _, info in members.departed.values()), tuple(returned))

    async def publish_leaves(self, channel: str, leaves: Mapping[str, bytes]) -> None:
        """Publish the leaves of connections that have not come back; see PresenceStore."""
        members = self._channels.get(channel)
        for client, encoded in leaves.items():
            if members is not None and members.note_published(client):
                await self._broker.publish(channel, encoded, None)

    async def remove(self, channel: str, client: str) -> bool:
        """Remove a connection; see PresenceStore."""
        members = self._channels.get(channel)
        if members is None:
            return True
        unpublished = members.leave(client)
        self._forget_empty(channel, members)
        return unpublished

    async def members(self, channel: str) -> Mapping[str, ClientInfo]:
        """Return all connections that have not expired, by client id."""
        members = self._present(channel)
        return {} if members is None else {client: info for client, (_, info) in members.clients.items()}

    async def stats(self, channel: str) -> PresenceStats:
        """Count connections and distinct users; the cost does not depend on their number."""
        members = self._present(channel)
        return PresenceStats(0, 0) if members is None else PresenceStats(len(members.clients), len(members.users))

    def _members_at(self, channel: str, now: float) -> _Members:
        members = self._channels.get(channel)
        if members is None:
            members = self._channels[channel] = _Members()
        members.drop_expired(now)
        return members

    def _present(self, channel: str) -> _Members | None:
        members = self._channels.get(channel)
        if members is not None:
            members.drop_expired(self._clock())
            self._forget_empty(channel, members)
        return members

    def _forget_empty(self, channel: str, members: _Members) -> None:
        if not (members.clients or members.departed or members.published):
            self._channels.pop(channel, None)


class _Members:
    """Members of one channel. `clients` maps to expiry and info, `users` to the number of connections.

    `departed` maps announced members that have expired, with their leave still unpublished, to the time of expiry and
    their info; `published` lists those whose leave was published.
    """

    __slots__ = ("_announced", "_expiries", "clients", "departed", "published", "users")

    def __init__(self) -> None:
        self.clients: dict[str, tuple[float, ClientInfo]] = {}
        self.users: Counter[str] = Counter()
        self.departed: dict[str, tuple[float, ClientInfo]] = {}
        self._announced: set[str] = set()
        self.published: dict[str, None] = {}
        self._expiries: list[tuple[float, str]] = []
        """Heap of expiry times; entries that differ from `clients` are outdated."""

    def add(self, client: str, info: ClientInfo, expires_at: float, *, announced: bool) -> bool:
        """Add or renew a member; return True if it is announced and its leave was published."""
        self._remove(client)
        self.departed.pop(client, None)
        self.clients[client] = (expires_at, info)
        self.users[info.user] += 1
        heapq.heappush(self._expiries, (expires_at, client))
        if len(self._expiries) > STALE_PER_CLIENT * len(self.clients):
            self._expiries = [(at, name) for name, (at, _) in self.clients.items()]
            heapq.heapify(self._expiries)
        if announced:
            self._announced.add(client)
        else:
            self._announced.discard(client)
        return self._forget_published(client) and announced

    def leave(self, client: str) -> bool:
        """Remove a member; return False if its leave was published."""
        self._remove(client)
        self._announced.discard(client)
        self.departed.pop(client, None)
        return not self._forget_published(client)

    def note_published(self, client: str) -> bool:
        """Record a member's leave as published; return False if the member has not departed."""
        if self.departed.pop(client, None) is None:
            return False
        self.published[client] = None
        if len(self.published) > REMEMBERED:
            del self.published[next(iter(self.published))]
        return True

    def _forget_published(self, client: str) -> bool:
        """Forget that a member's leave was published; return True if it was."""
        published = client in self.published
        self.published.pop(client, None)
        return published

    def _remove(self, client: str) -> None:
        known = self.clients.pop(client, None)
        if known is not None:
            user = known[1].user
            self.users[user] -= 1
            if not self.users[user]:
                del self.users[user]

    def drop_expired(self, now: float) -> None:
        while self._expiries and self._expiries[0][0] <= now:
            expires_at, client = heapq.heappop(self._expiries)
            if client in self.clients and self.clients[client][0] == expires_at:
                if client in self._announced:
                    self._announced.discard(client)
                    self.departed[client] = self.clients[client]
                self._remove(client)
        while self.departed and now - self.departed[oldest := next(iter(self.departed))][0] > FOUND_WITHIN_SECONDS:
            del self.departed[oldest]
