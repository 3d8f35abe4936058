"""Permissions of a client in a channel, by the channel's name, the options of its namespace, and the client's token.

Subscription tokens and the subscribe hook override all of this.
"""

from __future__ import annotations

from realtime_server.core.auth.capabilities import Action, allows
from realtime_server.core.auth.claims import Claims
from realtime_server.core.model.channel_options import Access, ChannelOptions, SubscribePermission
from realtime_server.core.model.namespaces import PRIVATE_PREFIX, USER_BOUNDARY, USER_SEPARATOR, owner_of


def is_private(channel: str) -> bool:
    """Return True when a channel requires a subscription token or the subscribe hook, whatever else is allowed."""
    return channel.startswith(PRIVATE_PREFIX)


def is_user_limited(channel: str) -> bool:
    """Return True when a channel's name lists the users who may subscribe: `news#42`, `dialog#42,43`."""
    return USER_BOUNDARY in channel


def is_limited_to(channel: str, user: str) -> bool:
    """Return True when the name of a user-limited channel lists this user; an anonymous one never is."""
    return bool(user) and user in channel.rpartition(USER_BOUNDARY)[2].split(USER_SEPARATOR)


def may_subscribe(claims: Claims, channel: str, options: ChannelOptions) -> bool:
    """Return True when a client may subscribe.

    The name of the channel takes precedence over its options and over capabilities: a wildcard in a token opens neither
    a private channel nor one that is limited to other users. A personal channel has one owner, even if the owner's id
    reads like a list of users.
    """
    if is_private(channel):
        return False
    if is_user_limited(channel):
        owner = owner_of(channel) if options.personal_channel else None
        return is_limited_to(channel, claims.user) if owner is None else bool(owner) and owner == claims.user
    if options.subscribe is SubscribePermission.ANYONE:
        return True
    if options.subscribe is SubscribePermission.AUTHENTICATED and claims.user:
        return True
    return allows(claims.capabilities, Action.SUBSCRIBE, channel)


def may_publish(claims: Claims, channel: str, options: ChannelOptions, *, subscribed: bool) -> bool:
    """Return True when a client may publish."""
    return _may(Action.PUBLISH, options.publish, claims, channel, subscribed=subscribed)


def may_see_presence(claims: Claims, channel: str, options: ChannelOptions, *, subscribed: bool) -> bool:
    """Return True when a client may read presence and receive joins and leaves."""
    return _may(Action.PRESENCE, options.presence_for, claims, channel, subscribed=subscribed)


def may_read_history(claims: Claims, channel: str, options: ChannelOptions, *, subscribed: bool) -> bool:
    """Return True when a client may read the history. Recovery requires the permission to subscribe alone."""
    return _may(Action.HISTORY, options.history_for, claims, channel, subscribed=subscribed)


def _may(action: Action, access: Access, claims: Claims, channel: str, *, subscribed: bool) -> bool:
    closed = is_private(channel) or is_user_limited(channel)
    if access is Access.SUBSCRIBERS or (access is Access.ANYONE and closed):
        if subscribed:
            return True
    elif access is Access.ANYONE:
        return True
    # a client that cannot enter a closed channel cannot read or write it by a wildcard either
    return (subscribed or not closed) and allows(claims.capabilities, action, channel)
