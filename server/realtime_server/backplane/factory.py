"""Construction of the backplane driver that the settings select."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import NamedTuple

from realtime_server import settings as configuration
from realtime_server.backplane.memory import MemoryBroker
from realtime_server.backplane.memory_occupancy import MemoryOccupancy
from realtime_server.backplane.memory_presence import MemoryPresence
from realtime_server.backplane.memory_queue import MemoryEventQueue
from realtime_server.backplane.memory_revocations import MemoryRevocations
from realtime_server.backplane.memory_sessions import MemorySessionStore
from realtime_server.backplane.redis_usage import RedisUsage
from realtime_server.core.model.revocation import MAX_REVOCATIONS
from realtime_server.core.ports.archive import StreamArchive
from realtime_server.core.ports.backplane import Broker, ChannelOccupancy, EventQueue, PresenceStore, RevocationStore
from realtime_server.core.ports.feed import Feed, FeedSource
from realtime_server.core.ports.session_store import MAX_STATES, SessionStore
from realtime_server.settings import Settings

REVOCATIONS_AT_ONCE = 1000
"""Revocations read by one call."""


class Backplane(NamedTuple):
    """Ports to the other servers. The broker is not started yet; the others work while it is started.

    `open_queue` opens the queue of a name with a capacity in events; all servers must use the same capacity.
    `usage` returns the use of each Redis by name, empty where there is none. `archive` is None where streams are in the
    memory of the process alone. `open_feed` opens a feed of what other programs write to the backplane, None where they
    cannot.
    """

    broker: Broker
    presence: PresenceStore
    occupancy: ChannelOccupancy
    revocations: RevocationStore
    open_queue: Callable[[str, int], EventQueue]
    sessions: SessionStore
    usage: Callable[[], Mapping[str, RedisUsage]] = dict
    archive: StreamArchive | None = None
    open_feed: Callable[[FeedSource], Feed] | None = None


def open_backplane(settings: Settings) -> Backplane:
    """Return the driver that the settings select, not connected yet."""
    ordered = [namespace.name for namespace in settings.namespaces if namespace.ordered]
    if settings.backplane.redis is None:
        broker = MemoryBroker(ordered=ordered)
        return Backplane(
            broker,
            MemoryPresence(broker),
            MemoryOccupancy(),
            MemoryRevocations(most=MAX_REVOCATIONS, page_size=REVOCATIONS_AT_ONCE),
            lambda _name, size: MemoryEventQueue(size),
            MemorySessionStore(most=MAX_STATES),
        )
    return _open_redis(settings.backplane.redis, settings.backplane.prefix, ordered)


def _open_redis(redis: configuration.Redis, prefix: str, ordered: Collection[str]) -> Backplane:
    from realtime_server.backplane.redis import RedisBroker, open_router
    from realtime_server.backplane.redis_archive import RedisArchive
    from realtime_server.backplane.redis_feed import RedisFeed
    from realtime_server.backplane.redis_occupancy import RedisOccupancy
    from realtime_server.backplane.redis_presence import RedisPresence
    from realtime_server.backplane.redis_queue import RedisEventQueue
    from realtime_server.backplane.redis_revocations import RedisRevocations
    from realtime_server.backplane.redis_sessions import RedisSessionStore

    router = open_router(redis, prefix, ordered=ordered)
    broker = RedisBroker(router)
    return Backplane(
        broker,
        RedisPresence(router),
        RedisOccupancy(router),
        RedisRevocations(router, most=MAX_REVOCATIONS, page_size=REVOCATIONS_AT_ONCE),
        lambda name, size: RedisEventQueue(router, name, size),
        RedisSessionStore(router, most=MAX_STATES),
        lambda: router.usage,
        RedisArchive(router, broker.lifetimes),
        lambda source: RedisFeed(router, source),
    )
