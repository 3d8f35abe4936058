"""What a client can read of its channels: the commands history, presence and presence_stats."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from realtime_server import codes
from realtime_server.core.auth.permissions import may_read_history, may_see_presence
from realtime_server.core.model.commands import (
    ChannelRequest,
    HistoryRequest,
    HistoryResult,
    PresenceResult,
    PresenceStatsResult,
)
from realtime_server.core.model.errors import CommandError
from realtime_server.core.model.values import HistoryQuery, StreamPosition

if TYPE_CHECKING:
    from realtime_server.core.auth.claims import Claims
    from realtime_server.core.model.namespaces import ChannelOptions
    from realtime_server.core.sessions.session import Session


class Permission(Protocol):
    """Whether a client may do something in a channel."""

    def __call__(self, claims: Claims, channel: str, options: ChannelOptions, *, subscribed: bool) -> bool:
        """See core.auth.permissions."""


async def history(session: Session, request: HistoryRequest) -> HistoryResult:
    """A part of the stream. Raises CommandError or BackplaneError."""
    _require(session, request.channel, may_read_history)
    since = StreamPosition(request.since.offset, request.since.epoch) if request.since is not None else None
    query = HistoryQuery(request.limit, since, request.reverse)
    return HistoryResult(await session.node.hub.history(request.channel, query))


async def presence(session: Session, request: ChannelRequest) -> PresenceResult:
    """Who is subscribed. Raises CommandError or BackplaneError."""
    _require(session, request.channel, may_see_presence)
    return PresenceResult(dict(await session.node.hub.presence(request.channel)))


async def presence_stats(session: Session, request: ChannelRequest) -> PresenceStatsResult:
    """How many are subscribed. Raises CommandError or BackplaneError."""
    _require(session, request.channel, may_see_presence)
    stats = await session.node.hub.presence_stats(request.channel)
    return PresenceStatsResult(stats.clients, stats.users)


def _require(session: Session, channel: str, may: Permission) -> None:
    """Raises CommandError UNKNOWN_CHANNEL or PERMISSION_DENIED."""
    options = session.node.hub.require(channel)
    subscribed = channel in session.subscriptions
    if session.claims is None or not may(session.claims, channel, options, subscribed=subscribed):
        raise CommandError(codes.PERMISSION_DENIED)
