"""Which driver the settings ask for."""

from __future__ import annotations

from realtime_server.backplane.memory import MemoryBroker, MemoryPresence
from realtime_server.core.ports import Broker, PresenceStore
from realtime_server.settings import Settings


def open_backplane(settings: Settings) -> tuple[Broker, PresenceStore]:
    """The broker, not started yet, and the presence store, which lives as long as the broker is started."""
    if settings.backplane.redis is None:
        return MemoryBroker(), MemoryPresence()
    from realtime_server.backplane.redis import open_redis

    return open_redis(settings.backplane.redis, settings.backplane.prefix)
