"""A Redis that is cut off: packets vanish, and nobody is told."""

from __future__ import annotations

import asyncio
import tempfile

from tests.component.faults.fleet import BACK_SECONDS, CALL_SECONDS, HEALTH_SECONDS, fleet
from tests.kit.cut_off import island
from tests.kit.redis_process import RedisProcess, free_port


async def test_a_redis_that_is_cut_off_and_joined_again() -> None:
    """Calls end, health tells, connections stay, and what was published meanwhile by nobody is missed by nobody."""
    with island() as place, tempfile.TemporaryDirectory(prefix="redis-") as folder:
        redis = RedisProcess(free_port(), folder, "secret", host=place.address, launcher=place.launcher)
        await asyncio.to_thread(redis.start)
        try:
            async with fleet(redis) as site:
                place.cut()
                await site.wait_health(healthy=False, within=HEALTH_SECONDS)
                await asyncio.sleep(CALL_SECONDS)
                assert len(site.clients.record.connected) == site.clients.options.count
                place.join()
                await site.wait_health(healthy=True, within=BACK_SECONDS)
                site.move_clients()
                await site.publisher.confirm_more(50, within=BACK_SECONDS)
                truth = await site.settle()
                assert truth.lies == []
                assert truth.told_of_a_loss == 0
                assert site.api.longest < CALL_SECONDS
        finally:
            redis.stop()
