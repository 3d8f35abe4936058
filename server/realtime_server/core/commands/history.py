"""Commands history, presence and presence_stats."""

from __future__ import annotations

from realtime_server.core.model.commands import (
    ChannelRequest,
    HistoryRequest,
    HistoryResult,
    PresenceResult,
    PresenceStatsResult,
)
from realtime_server.core.model.values import HistoryQuery, StreamPosition
from realtime_server.core.operations.reading import Reading
from realtime_server.core.sessions.session import Session


async def history(reading: Reading, session: Session, request: HistoryRequest) -> HistoryResult:
    """Return a part of the stream. Raises CommandError or BackplaneError."""
    since = StreamPosition(request.since.offset, request.since.epoch) if request.since is not None else None
    query = HistoryQuery(request.limit, since, request.reverse)
    return HistoryResult(await reading.history(session, request.channel, query))


async def presence(reading: Reading, session: Session, request: ChannelRequest) -> PresenceResult:
    """Return the subscribers by client id. Raises CommandError or BackplaneError."""
    return PresenceResult(dict(await reading.presence(session, request.channel)))


async def presence_stats(reading: Reading, session: Session, request: ChannelRequest) -> PresenceStatsResult:
    """Count the subscribers. Raises CommandError or BackplaneError."""
    stats = await reading.presence_stats(session, request.channel)
    return PresenceStatsResult(stats.clients, stats.users)
