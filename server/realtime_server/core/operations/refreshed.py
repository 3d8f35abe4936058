"""Subscriptions of a connection whose token was refreshed: they become those of the new token."""

from __future__ import annotations

from realtime_server import codes
from realtime_server.core.auth.claims import Claims
from realtime_server.core.auth.permissions import may_see_presence, may_subscribe
from realtime_server.core.channels.hub import Hub
from realtime_server.core.limits.limit import Limit, NodeLimits
from realtime_server.core.metrics.counters import Counters
from realtime_server.core.model.errors import BackplaneError, CommandError
from realtime_server.core.model.grant import PLAIN, Grant
from realtime_server.core.model.subscription import Subscription
from realtime_server.core.operations.subscriptions import Subscriptions
from realtime_server.core.sessions.session import Session
from realtime_server.core.tasks import TaskGroup


class RefreshedSubscriptions:
    """Adjustment of subscriptions to refreshed claims.

    Subscriptions that a subscription token, a hook or the server API has made stay unchanged.
    """

    def __init__(
        self, hub: Hub, subscriptions: Subscriptions, limits: NodeLimits, counters: Counters, tasks: TaskGroup
    ) -> None:
        self._hub = hub
        self._subscriptions = subscriptions
        self._limits = limits
        self._counters = counters
        self._tasks = tasks

    def require(self, claims: Claims, before: Claims | None) -> None:
        """Raise CommandError when a client cannot be subscribed to the channels that refreshed claims add."""
        if len(claims.channels) > self._limits.channels_per_connection:
            self._counters.limits[Limit.CHANNELS_PER_CONNECTION] += 1
            raise CommandError(codes.LIMIT_EXCEEDED)
        for channel in claims.channels:
            if channel not in _channels(before):
                self._hub.options_of_subscription(channel, _grant(claims, channel))

    def follow(self, session: Session, before: Claims | None) -> None:
        """End the subscriptions that the current claims no longer have, and make new ones in the background.

        Call this after the reply to the refresh.
        """
        claims = session.claims
        if claims is None:
            return
        wanted = [channel for channel in claims.channels if channel not in _channels(before)]
        for channel, subscription in list(session.subscriptions.items()):
            if subscription.server_side and channel in _channels(before):
                wanted += self._follow_grant(session, claims, channel, subscription)
            elif subscription.permitted:
                self._follow_permissions(session, claims, channel, subscription)
        if wanted and not session.closed:
            self._tasks.spawn(self._subscribe(session, wanted), "refreshed")

    def _follow_grant(
        self, session: Session, claims: Claims, channel: str, subscription: Subscription
    ) -> tuple[str, ...]:
        """Apply the claims to a channel that they had before; return it when it must be subscribed to again."""
        grant = _grant(claims, channel)
        if channel not in claims.channels:
            session.end_subscription(channel, codes.UNSUBSCRIBED)
            return ()
        if grant.override != subscription.override or self._lost_presence_permission(claims, channel, subscription):
            session.end_subscription(channel, codes.UNSUBSCRIBED)
            return (channel,)
        subscription.info = grant.info
        return ()

    def _follow_permissions(self, session: Session, claims: Claims, channel: str, subscription: Subscription) -> None:
        """Apply the claims to a channel that the client has subscribed to by its permissions."""
        if not may_subscribe(claims, channel, self._hub.require(channel)):
            session.end_subscription(channel, codes.UNSUBSCRIBED)
        elif self._lost_presence_permission(claims, channel, subscription):
            session.end_subscription(channel, codes.UNSUBSCRIBED_INSUFFICIENT_STATE)

    def _lost_presence_permission(self, claims: Claims, channel: str, subscription: Subscription) -> bool:
        """Return True when a client receives joins and leaves but may no longer read presence."""
        options = subscription.override.applied_to(self._hub.require(channel))
        if not subscription.receives_join_leave or options.force_push_join_leave:
            return False
        return not may_see_presence(claims, channel, options, subscribed=True)

    async def _subscribe(self, session: Session, channels: list[str]) -> None:
        """Subscribe a client to channels of its current claims; on a backplane error it has to reconnect."""
        try:
            for channel in channels:
                claims = session.claims
                if claims is None or channel not in claims.channels:
                    continue  # refreshed again meanwhile
                await self._subscriptions.subscribe_server_side(session, channel, _grant(claims, channel), None)
                if channel not in _channels(session.claims):
                    session.end_subscription(channel, codes.UNSUBSCRIBED)
        except BackplaneError:
            session.disconnect(codes.INSUFFICIENT_STATE)


def _channels(claims: Claims | None) -> tuple[str, ...]:
    return () if claims is None else claims.channels


def _grant(claims: Claims, channel: str) -> Grant:
    return (claims.grants or {}).get(channel, PLAIN)
