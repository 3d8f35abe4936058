"""Selection of the backplane driver by the settings."""

from __future__ import annotations

from realtime_server.backplane.factory import open_backplane
from realtime_server.backplane.memory import MemoryBroker
from realtime_server.backplane.memory_occupancy import MemoryOccupancy
from realtime_server.backplane.memory_presence import MemoryPresence
from realtime_server.backplane.memory_queue import MemoryEventQueue
from realtime_server.backplane.memory_revocations import MemoryRevocations
from realtime_server.backplane.memory_sessions import MemorySessionStore
from realtime_server.backplane.redis import RedisBroker
from realtime_server.backplane.redis_archive import RedisArchive
from realtime_server.backplane.redis_feed import RedisFeed
from realtime_server.backplane.redis_occupancy import RedisOccupancy
from realtime_server.backplane.redis_presence import RedisPresence
from realtime_server.backplane.redis_queue import RedisEventQueue
from realtime_server.backplane.redis_revocations import RedisRevocations
from realtime_server.backplane.redis_sessions import RedisSessionStore
from realtime_server.core.ports.feed import FeedSource
from realtime_server.settings import Backplane, Redis, Settings


def test_without_redis_memory_is_used() -> None:
    found = open_backplane(Settings())
    broker, presence, occupancy, revocations, open_queue, sessions, usage, archive, open_feed = found
    assert isinstance(broker, MemoryBroker)
    assert isinstance(presence, MemoryPresence)
    assert isinstance(occupancy, MemoryOccupancy)
    assert isinstance(revocations, MemoryRevocations)
    assert isinstance(open_queue("hooks", 10), MemoryEventQueue)
    assert isinstance(sessions, MemorySessionStore)
    assert usage() == {}
    assert archive is None
    assert open_feed is None


def test_with_redis_all_are_in_redis() -> None:
    """Creating the drivers does not connect to Redis."""
    broker, presence, occupancy, revocations, open_queue, sessions, _, archive, open_feed = open_backplane(
        Settings(backplane=Backplane(redis=Redis(address="nowhere.invalid:1")))
    )
    assert isinstance(broker, RedisBroker)
    assert isinstance(presence, RedisPresence)
    assert isinstance(occupancy, RedisOccupancy)
    assert isinstance(revocations, RedisRevocations)
    assert isinstance(open_queue("hooks", 10), RedisEventQueue)
    assert isinstance(sessions, RedisSessionStore)
    assert isinstance(archive, RedisArchive)
    assert open_feed is not None
    assert isinstance(open_feed(FeedSource()), RedisFeed)
    assert not broker.healthy
