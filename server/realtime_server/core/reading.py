"""What a client can read of its channels: the commands history, presence and presence_stats."""

from __future__ import annotations

from typing import TYPE_CHECKING

from realtime_server import codes
from realtime_server.core.commands import (
    ChannelRequest,
    HistoryRequest,
    HistoryResult,
    PresenceResult,
    PresenceStatsResult,
)
from realtime_server.core.ports import CommandError
from realtime_server.core.values import HistoryQuery, StreamPosition

if TYPE_CHECKING:
    from realtime_server.core.session import Session


async def history(session: Session, request: HistoryRequest) -> HistoryResult:
    """A part of the stream. Raises CommandError or BackplaneError."""
    _require_subscription(session, request.channel)
    since = StreamPosition(request.since.offset, request.since.epoch) if request.since is not None else None
    query = HistoryQuery(request.limit, since, request.reverse)
    return HistoryResult(await session.node.hub.history(request.channel, query))


async def presence(session: Session, request: ChannelRequest) -> PresenceResult:
    """Who is subscribed. Raises CommandError or BackplaneError."""
    _require_subscription(session, request.channel)
    return PresenceResult(dict(await session.node.hub.presence(request.channel)))


async def presence_stats(session: Session, request: ChannelRequest) -> PresenceStatsResult:
    """How many are subscribed. Raises CommandError or BackplaneError."""
    _require_subscription(session, request.channel)
    stats = await session.node.hub.presence_stats(request.channel)
    return PresenceStatsResult(stats.clients, stats.users)


def _require_subscription(session: Session, channel: str) -> None:
    session.node.hub.require(channel)
    if channel not in session.subscriptions:
        raise CommandError(codes.PERMISSION_DENIED)
