"""Messages to a client that are neither replies nor publications."""

from __future__ import annotations

from typing import TypeAlias

from msgspec import Raw, Struct

from realtime_server.core.model.values import ClientInfo


class JoinPush(Struct, frozen=True, gc=False):
    """Push that a connection has subscribed to a channel."""

    info: ClientInfo


class LeavePush(Struct, frozen=True, gc=False):
    """Push that a connection has unsubscribed from a channel."""

    info: ClientInfo


class SubscribePush(Struct, frozen=True, gc=False):
    """Push that the server has subscribed the client to a channel."""

    recoverable: bool = False
    epoch: str = ""
    offset: int = 0
    positioned: bool = False
    data: Raw = Raw()


class UnsubscribePush(Struct, frozen=True, gc=False):
    """Push that the server has ended a subscription."""

    code: int
    reason: str


class MessagePush(Struct, frozen=True, gc=False):
    """Push of a message from the backend to a connection: JSON in one line or, if `binary`, arbitrary bytes."""

    data: bytes
    binary: bool = False


class DisconnectPush(Struct, frozen=True, gc=False):
    """Push that the connection ends, for transports without a close code."""

    code: int
    reason: str
    reconnect: bool


class RefreshPush(Struct, frozen=True, gc=False):
    """Push that the server has changed the expiry of the connection; `ttl` in seconds."""

    expires: bool
    ttl: int = 0


Push: TypeAlias = JoinPush | LeavePush | SubscribePush | UnsubscribePush | MessagePush | DisconnectPush | RefreshPush
