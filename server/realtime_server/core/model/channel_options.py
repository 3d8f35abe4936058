# Generated from schema/namespace_options.toml by `make options`. Do not edit.
"""The options of a channel, as its namespace has them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from realtime_server.core.model.values import HistoryOptions


class Access(StrEnum):
    """Clients that may do something in a channel."""

    NOBODY = "nobody"
    """No client."""
    SUBSCRIBERS = "subscribers"
    """Subscribers of the channel."""
    ANYONE = "anyone"
    """All clients."""


class SubscribePermission(StrEnum):
    """Clients that may subscribe without a subscription token."""

    ANYONE = "anyone"
    """All clients."""
    AUTHENTICATED = "authenticated"
    """Clients with a user id."""
    TOKEN = "token"  # noqa: S105 - names what it takes
    """None, unless a capability or the subscribe hook allows it."""


class RecoveryMode(StrEnum):
    """Content of a recovery."""

    STREAM = "stream"
    """Everything that it missed."""
    CACHE = "cache"
    """The newest publication."""


class SlowConsumer(StrEnum):
    """Treatment of a connection that reads more slowly than is published."""

    DISCONNECT = "disconnect"
    """It is closed when its outbox is full."""
    DROP_OLDEST = "dropOldest"
    """The oldest publications that wait for it are dropped."""
    CONFLATE = "conflate"
    """Of publications with the same key only the newest waits for it."""


@dataclass(frozen=True, slots=True)
class ChannelOptions:
    """Features and permissions of a channel; they satisfy the rules of the configuration."""

    history: HistoryOptions | None = None
    recovery: bool = False
    recovery_mode: RecoveryMode = RecoveryMode.STREAM
    ordered: bool = False
    force_positioning: bool = False
    presence: bool = False
    publish: Access = Access.NOBODY
    subscribe: SubscribePermission = SubscribePermission.ANYONE
    presence_for: Access = Access.SUBSCRIBERS
    history_for: Access = Access.SUBSCRIBERS
    join_leave: bool = False
    force_push_join_leave: bool = False
    delta: bool = False
    write_delay_seconds: float = 0.0
    slow_consumer: SlowConsumer = SlowConsumer.DISCONNECT
    personal_channel: bool = False
    single_connection: bool = False
