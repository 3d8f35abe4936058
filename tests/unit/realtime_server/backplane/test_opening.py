"""Which driver the settings ask for."""

from __future__ import annotations

from realtime_server.backplane.memory import MemoryBroker, MemoryPresence
from realtime_server.backplane.opening import open_backplane
from realtime_server.backplane.redis import RedisBroker
from realtime_server.backplane.redis_presence import RedisPresence
from realtime_server.settings import Backplane, Redis, Settings


def test_without_redis_memory_is_used() -> None:
    """For one worker alone."""
    broker, presence = open_backplane(Settings())
    assert isinstance(broker, MemoryBroker)
    assert isinstance(presence, MemoryPresence)


def test_with_redis_both_are_in_redis() -> None:
    """Nothing is connected before the broker is started."""
    broker, presence = open_backplane(Settings(backplane=Backplane(redis=Redis(address="nowhere.invalid:1"))))
    assert isinstance(broker, RedisBroker)
    assert isinstance(presence, RedisPresence)
    assert not broker.healthy
