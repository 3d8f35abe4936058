"""What the server tells a client without being asked, apart from publications."""

from __future__ import annotations

from typing import TypeAlias

from msgspec import Raw, Struct

from realtime_server.core.model.values import ClientInfo


class JoinPush(Struct, frozen=True, gc=False):
    """A connection has subscribed to a channel."""

    info: ClientInfo


class LeavePush(Struct, frozen=True, gc=False):
    """A connection is not subscribed to a channel any more."""

    info: ClientInfo


class SubscribePush(Struct, frozen=True, gc=False):
    """The server has subscribed the connection to a channel."""

    recoverable: bool = False
    epoch: str = ""
    offset: int = 0
    positioned: bool = False
    data: Raw = Raw()


class UnsubscribePush(Struct, frozen=True, gc=False):
    """The server has ended a subscription."""

    code: int
    reason: str


class DisconnectPush(Struct, frozen=True, gc=False):
    """The connection ends; only where the transport has no close code."""

    code: int
    reason: str
    reconnect: bool


class RefreshPush(Struct, frozen=True, gc=False):
    """The server has changed when the connection expires; `ttl` in seconds."""

    expires: bool
    ttl: int = 0


Push: TypeAlias = JoinPush | LeavePush | SubscribePush | UnsubscribePush | DisconnectPush | RefreshPush
