"""What a client may do in a channel: by the channel's name, the options of its namespace, and the client's token.

Without a subscription token and without the backend's word, both of which stand above all of this.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from realtime_server.core.capabilities import Action, Capability, allows
from realtime_server.core.namespaces import (
    PRIVATE_PREFIX,
    USER_BOUNDARY,
    USER_SEPARATOR,
    Access,
    ChannelOptions,
    SubscribePermission,
)


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who asks: the user's id, "" for an anonymous one, and what the connection token allows."""

    user: str
    capabilities: Sequence[Capability] = ()


def is_private(channel: str) -> bool:
    """Whether it takes a subscription token, or the backend's word, whatever else is allowed."""
    return channel.startswith(PRIVATE_PREFIX)


def is_user_limited(channel: str) -> bool:
    """Whether its name says which users may subscribe: `news#42`, `dialog#42,43`."""
    return USER_BOUNDARY in channel


def is_limited_to(channel: str, user: str) -> bool:
    """Whether this user is one of those in the name of a user-limited channel; an anonymous one never is."""
    return bool(user) and user in channel.rpartition(USER_BOUNDARY)[2].split(USER_SEPARATOR)


def may_subscribe(visitor: Visitor, channel: str, options: ChannelOptions) -> bool:
    """Whether a client may subscribe.

    The name of the channel stands above its options and above capabilities: a wildcard in a token opens neither a
    private channel nor one that is limited to other users.
    """
    if is_private(channel):
        return False
    if is_user_limited(channel):
        return is_limited_to(channel, visitor.user)
    if options.subscribe is SubscribePermission.ANYONE:
        return True
    if options.subscribe is SubscribePermission.AUTHENTICATED and visitor.user:
        return True
    return allows(visitor.capabilities, Action.SUBSCRIBE, channel)


def may_publish(visitor: Visitor, channel: str, options: ChannelOptions, *, subscribed: bool) -> bool:
    """Whether a client may publish."""
    return _may(Action.PUBLISH, options.publish, visitor, channel, subscribed=subscribed)


def may_see_presence(visitor: Visitor, channel: str, options: ChannelOptions, *, subscribed: bool) -> bool:
    """Whether a client may ask who is subscribed, and be told who joins and leaves."""
    return _may(Action.PRESENCE, options.presence_for, visitor, channel, subscribed=subscribed)


def may_read_history(visitor: Visitor, channel: str, options: ChannelOptions, *, subscribed: bool) -> bool:
    """Whether a client may read the stream. To recover what it missed itself it needs no more than to subscribe."""
    return _may(Action.HISTORY, options.history_for, visitor, channel, subscribed=subscribed)


def _may(action: Action, access: Access, visitor: Visitor, channel: str, *, subscribed: bool) -> bool:
    closed = is_private(channel) or is_user_limited(channel)
    if access is Access.SUBSCRIBERS or (access is Access.ANYONE and closed):
        if subscribed:
            return True
    elif access is Access.ANYONE:
        return True
    # Who could not get into a channel does not get anything out of it, or into it, by a wildcard either.
    return (subscribed or not closed) and allows(visitor.capabilities, action, channel)
