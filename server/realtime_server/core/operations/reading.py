"""Reads of clients: history and presence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from realtime_server import codes
from realtime_server.core.auth.claims import Claims
from realtime_server.core.auth.permissions import may_read_history, may_see_presence
from realtime_server.core.channels.hub import Hub
from realtime_server.core.model.channel_options import ChannelOptions
from realtime_server.core.model.errors import CommandError
from realtime_server.core.model.values import ClientInfo, HistoryPage, HistoryQuery, PresenceStats
from realtime_server.core.sessions.session import Session


class Permission(Protocol):
    """Rule of core.auth.permissions."""

    def __call__(self, claims: Claims, channel: str, options: ChannelOptions, *, subscribed: bool) -> bool:
        """Return True when a client has the permission in a channel."""


class Reading:
    """Reader on behalf of clients. The methods raise CommandError or BackplaneError."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    async def history(self, session: Session, channel: str, query: HistoryQuery) -> HistoryPage:
        """Return a part of the channel's stream."""
        require_permission(session, channel, self._hub.require(channel), may_read_history)
        return await self._hub.history(channel, query)

    async def presence(self, session: Session, channel: str) -> Mapping[str, ClientInfo]:
        """Return the subscribers by client id."""
        require_permission(session, channel, self._hub.require(channel), may_see_presence)
        return await self._hub.presence(channel)

    async def presence_stats(self, session: Session, channel: str) -> PresenceStats:
        """Count the subscribers."""
        require_permission(session, channel, self._hub.require(channel), may_see_presence)
        return await self._hub.presence_stats(channel)


def require_permission(session: Session, channel: str, options: ChannelOptions, permission: Permission) -> None:
    """Raise CommandError PERMISSION_DENIED unless a client has a permission in a channel."""
    subscribed = channel in session.subscriptions
    if session.claims is None or not permission(session.claims, channel, options, subscribed=subscribed):
        raise CommandError(codes.PERMISSION_DENIED)
