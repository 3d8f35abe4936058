"""Which driver the settings ask for."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from realtime_server import settings as configuration
from realtime_server.backplane.memory import MemoryBroker
from realtime_server.backplane.memory_occupancy import MemoryOccupancy
from realtime_server.backplane.memory_presence import MemoryPresence
from realtime_server.backplane.memory_queue import MemoryEventQueue
from realtime_server.core.ports.backplane import Broker, ChannelOccupancy, EventQueue, PresenceStore
from realtime_server.settings import Settings


class Backplane(NamedTuple):
    """What links servers. The broker is not started yet; the others work as long as it is started.

    `open_queue` makes the queue of a name with room for so many events; all servers must say the same.
    """

    broker: Broker
    presence: PresenceStore
    occupancy: ChannelOccupancy
    open_queue: Callable[[str, int], EventQueue]


def open_backplane(settings: Settings) -> Backplane:
    """The driver that the settings ask for."""
    if settings.backplane.redis is None:
        broker = MemoryBroker()
        return Backplane(broker, MemoryPresence(broker), MemoryOccupancy(), lambda _name, size: MemoryEventQueue(size))
    return _open_redis(settings.backplane.redis, settings.backplane.prefix)


def _open_redis(redis: configuration.Redis, prefix: str) -> Backplane:
    from realtime_server.backplane.redis import RedisBroker, open_router
    from realtime_server.backplane.redis_occupancy import RedisOccupancy
    from realtime_server.backplane.redis_presence import RedisPresence
    from realtime_server.backplane.redis_queue import RedisEventQueue

    router = open_router(redis, prefix)
    return Backplane(
        RedisBroker(router),
        RedisPresence(router),
        RedisOccupancy(router),
        lambda name, size: RedisEventQueue(router, name, size),
    )
