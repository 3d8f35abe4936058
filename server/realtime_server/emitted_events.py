"""Events that backends emit over Redis to sockets of Socket.IO: put together from the settings."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import structlog

from realtime_server.core.ports.feed import Feed, FeedSource
from realtime_server.protocol_settings import Emitters, SocketIo
from realtime_server.socket_io.emitter_inbox import EmitterInbox, EmitterSettings
from realtime_server.transports.client_protocol import ClientProtocol
from realtime_server.transports.socket_io_protocol import SocketIoProtocol

logger = structlog.get_logger()


class EmittedEvents(NamedTuple):
    """Feed of the messages of emitters, and the inbox that carries them out."""

    feed: Feed
    inbox: EmitterInbox

    async def start(self) -> None:
        """Begin; return when all sources are read, however long that takes."""
        await self.feed.start(self.inbox)

    async def stop(self) -> None:
        """End. Idempotent."""
        await self.feed.stop()
        await self.inbox.stop()


def open_emitted_events(
    settings: SocketIo,
    protocols: Iterable[ClientProtocol],
    open_feed: Callable[[FeedSource], Feed] | None,
    clock: Callable[[], float],
) -> EmittedEvents | None:
    """Return what the settings ask for, not started yet; None where there is nothing to read, or no Redis."""
    server = next((each.server for each in protocols if isinstance(each, SocketIoProtocol)), None)
    if server is None or not settings.emitters.are_read:
        return None
    if open_feed is None:
        logger.warning("emitters have no effect: they write to Redis, and this server has none")
        return None
    names = [namespace.name for namespace in settings.served]
    inbox = EmitterInbox(_settings_of(settings.emitters), names, server.emissions, server.rooms, clock)
    return EmittedEvents(open_feed(inbox.source), inbox)


def _settings_of(emitters: Emitters) -> EmitterSettings:
    redis_emitter, redis_streams, python = emitters.redis_emitter, emitters.redis_streams, emitters.python_socketio
    return EmitterSettings(
        "" if redis_emitter is None else redis_emitter.key,
        "" if redis_streams is None else redis_streams.stream,
        "" if python is None else python.channel,
    )
