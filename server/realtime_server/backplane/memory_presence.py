"""Who is subscribed, in this process."""

from __future__ import annotations

import heapq
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from realtime_server.core.model.values import ClientInfo, PresenceStats

STALE_PER_CLIENT = 8
"""So many expiries of one client may be noted, of which only the last counts, before they are sorted out."""


class MemoryPresence:
    """Implements core.ports.backplane.PresenceStore; `clock` is monotonic seconds."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._channels: dict[str, _Members] = {}

    async def add(self, channel: str, client: str, info: ClientInfo, ttl_seconds: float) -> None:
        """Add or renew a connection; the work grows with the logarithm of their number."""
        members = self._channels.get(channel)
        if members is None:
            members = self._channels[channel] = _Members()
        now = self._clock()
        members.drop_expired(now)
        members.add(client, info, now + ttl_seconds)

    async def renew(self, channel: str, clients: Sequence[ClientInfo], ttl_seconds: float) -> None:
        """Add or renew many connections."""
        for info in clients:
            await self.add(channel, info.client, info, ttl_seconds)

    async def remove(self, channel: str, client: str) -> None:
        """Remove a connection."""
        members = self._channels.get(channel)
        if members is not None:
            members.remove(client)
            self._forget_empty(channel, members)

    async def members(self, channel: str) -> Mapping[str, ClientInfo]:
        """All connections that have not expired, by client id."""
        members = self._present(channel)
        return {} if members is None else {client: info for client, (_, info) in members.clients.items()}

    async def stats(self, channel: str) -> PresenceStats:
        """Count connections and different users; the work does not grow with their number."""
        members = self._present(channel)
        return PresenceStats(0, 0) if members is None else PresenceStats(len(members.clients), len(members.users))

    def _present(self, channel: str) -> _Members | None:
        members = self._channels.get(channel)
        if members is not None:
            members.drop_expired(self._clock())
            self._forget_empty(channel, members)
        return members

    def _forget_empty(self, channel: str, members: _Members) -> None:
        if not members.clients:
            del self._channels[channel]


class _Members:
    """Those of one channel. `clients` have when they expire; `users` how many connections each has."""

    __slots__ = ("_expiries", "clients", "users")

    def __init__(self) -> None:
        self.clients: dict[str, tuple[float, ClientInfo]] = {}
        self.users: Counter[str] = Counter()
        self._expiries: list[tuple[float, str]] = []
        """A heap. What does not agree with `clients` was renewed or removed since."""

    def add(self, client: str, info: ClientInfo, expires_at: float) -> None:
        self.remove(client)
        self.clients[client] = (expires_at, info)
        self.users[info.user] += 1
        heapq.heappush(self._expiries, (expires_at, client))
        if len(self._expiries) > STALE_PER_CLIENT * len(self.clients):
            self._expiries = [(at, name) for name, (at, _) in self.clients.items()]
            heapq.heapify(self._expiries)

    def remove(self, client: str) -> None:
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
                self.remove(client)
