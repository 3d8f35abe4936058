"""How clients publish, call the backend, and read channels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from realtime_server import codes
from realtime_server.core.auth.claims import Claims
from realtime_server.core.auth.permissions import may_publish, may_read_history, may_see_presence
from realtime_server.core.channels.hub import Hub
from realtime_server.core.limits.limit import NodeLimits
from realtime_server.core.model.channel_options import ChannelOptions
from realtime_server.core.model.errors import CommandError
from realtime_server.core.model.publication import binary_content_of, content_of
from realtime_server.core.model.values import ClientInfo, HistoryPage, HistoryQuery, PresenceStats
from realtime_server.core.ports.backend import Backend, Hook, Published
from realtime_server.core.sessions.session import Session

UNCHANGED = Published()


class Permission(Protocol):
    """A rule of core.auth.permissions."""

    def __call__(self, claims: Claims, channel: str, options: ChannelOptions, *, subscribed: bool) -> bool:
        """Return True when a client may do something in a channel."""


class Publishing:
    """Publishes for clients."""

    def __init__(self, hub: Hub, backend: Backend, limits: NodeLimits) -> None:
        self._hub = hub
        self._backend = backend
        self._limits = limits

    def require(self, channel: str) -> ChannelOptions:
        """Return the options of a channel; raises CommandError UNKNOWN_CHANNEL."""
        return self._hub.require(channel)

    async def publish(self, session: Session, channel: str, data: bytes) -> None:
        """Publish; who it is goes with the publication.

        `data` is JSON, or any bytes from a client of a binary protocol. Raises CommandError, DisconnectRequestedError
        or BackplaneError.
        """
        options = self._hub.require(channel)
        if not data:
            raise CommandError(codes.BAD_REQUEST)
        _require(session, channel, options, may_publish)
        skip_history = False
        if self._backend.asks(Hook.PUBLISH, channel):
            changed = await self._backend.publish(session.caller(), channel, data) or UNCHANGED
            _require(session, channel, options, may_publish)  # it may have been unsubscribed meanwhile
            data, skip_history = changed.data or data, changed.skip_history
        if len(data) > self._limits.reply_bytes:
            raise CommandError(codes.LIMIT_EXCEEDED)  # it would disconnect every subscriber
        subscription = session.subscriptions.get(channel)
        info = session.client_info(subscription.info if subscription is not None else None)
        content = binary_content_of(data, info=info) if session.codec.binary else content_of(data, info=info)
        await self._hub.publish(channel, content, skip_history=skip_history)

    @property
    def calls_backend(self) -> bool:
        """True when somebody answers calls of clients."""
        return self._backend.asks(Hook.RPC)

    async def call(self, session: Session, method: str, data: bytes) -> bytes:
        """Let the backend answer a call. Raises CommandError or DisconnectRequestedError."""
        return await self._backend.rpc(session.caller(), method, data)


class Reading:
    """Reads channels for clients. The methods raise CommandError or BackplaneError."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    async def history(self, session: Session, channel: str, query: HistoryQuery) -> HistoryPage:
        """Return a part of the channel's stream."""
        _require(session, channel, self._hub.require(channel), may_read_history)
        return await self._hub.history(channel, query)

    async def presence(self, session: Session, channel: str) -> Mapping[str, ClientInfo]:
        """Return who is subscribed, by client id."""
        _require(session, channel, self._hub.require(channel), may_see_presence)
        return await self._hub.presence(channel)

    async def presence_stats(self, session: Session, channel: str) -> PresenceStats:
        """Count who is subscribed."""
        _require(session, channel, self._hub.require(channel), may_see_presence)
        return await self._hub.presence_stats(channel)


def _require(session: Session, channel: str, options: ChannelOptions, permission: Permission) -> None:
    """Raise CommandError PERMISSION_DENIED unless a client has a permission in a channel."""
    subscribed = channel in session.subscriptions
    if session.claims is None or not permission(session.claims, channel, options, subscribed=subscribed):
        raise CommandError(codes.PERMISSION_DENIED)
