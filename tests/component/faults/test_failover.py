"""Failover while servers publish, to a replica that lacks the last publications."""

from __future__ import annotations

import asyncio

from realtime_server.backplane.redis_keys import Keys
from realtime_server.backplane.redis_target import CLUSTER_PARTITIONS
from tests.component.faults.fleet import BACK_SECONDS, CALL_SECONDS, CHANNEL, HEALTH_SECONDS, fleet
from tests.kit.redis_cluster import running_cluster
from tests.kit.redis_sentinel import PRIMARY_NAME, running_sentinels

FAILOVER_SECONDS = 15.0
"""Time that sentinels or a cluster need in the kit's setup, and that servers need to follow."""


async def test_sentinels_replace_a_primary_whose_tail_is_lost() -> None:
    """Reused offsets are in another epoch."""
    with running_sentinels() as redis:
        async with fleet(redis) as site:
            primary = redis.primary()
            await asyncio.to_thread(redis.cut_replication)
            await site.publisher.confirm_more(50, within=5)
            site.move_clients()
            await asyncio.to_thread(primary.stop)
            await site.wait_health(healthy=False, within=HEALTH_SECONDS)
            await site.wait_health(healthy=True, within=FAILOVER_SECONDS)
            site.move_clients()
            await site.publisher.confirm_more(50, within=BACK_SECONDS)
            truth = await site.settle()
            assert truth.lies == []
            assert truth.told_of_a_loss >= 4
            assert site.api.longest < CALL_SECONDS


async def test_sentinels_replace_a_primary_that_hangs_and_comes_back() -> None:
    """The old primary wakes up as a primary, and the servers do not use it."""
    with running_sentinels() as redis:
        async with fleet(redis) as site:
            primary = redis.primary()
            primary.freeze()
            await site.wait_health(healthy=False, within=HEALTH_SECONDS)
            await asyncio.to_thread(redis.wait_failover, primary)
            primary.thaw()
            await site.wait_health(healthy=True, within=FAILOVER_SECONDS)
            site.move_clients()
            await site.publisher.confirm_more(50, within=BACK_SECONDS)
            truth = await site.settle()
            assert truth.lies == []
            assert site.api.longest < CALL_SECONDS


async def test_clients_that_come_back_during_a_planned_failover_are_told() -> None:
    """They reconnect while servers follow the sentinels: each loses nothing, or is told that it did not recover."""
    with running_sentinels() as redis:
        async with fleet(redis) as site:
            primary = redis.primary()
            await site.publisher.confirm_more(50, within=5)
            await asyncio.to_thread(primary.ask, "CLIENT", "PAUSE", 10_000, "WRITE")
            assert await asyncio.to_thread(primary.ask, "WAIT", 1, 1000) == 1
            await asyncio.to_thread(redis.sentinels[0].ask, "SENTINEL", "FAILOVER", PRIMARY_NAME)
            moved = asyncio.create_task(asyncio.to_thread(redis.wait_failover, primary))
            while not moved.done():
                site.move_clients()
                await asyncio.sleep(0.3)
            await moved
            site.move_clients()
            await site.wait_health(healthy=True, within=FAILOVER_SECONDS)
            await site.publisher.confirm_more(50, within=BACK_SECONDS)
            truth = await site.settle()
            assert truth.lies == []
            assert site.api.longest < CALL_SECONDS


async def test_a_cluster_replaces_a_primary() -> None:
    """Subscribers lose no confirmed and replicated publication, or are told."""
    with running_cluster(replicas=True) as redis:
        async with fleet(redis) as site:
            hit = redis.primary_of(Keys("component", CLUSTER_PARTITIONS).of(CHANNEL.name, "stream"))
            await asyncio.to_thread(hit.stop)
            await site.wait_health(healthy=False, within=HEALTH_SECONDS)
            await site.wait_health(healthy=True, within=FAILOVER_SECONDS)
            site.move_clients()
            await site.publisher.confirm_more(50, within=BACK_SECONDS)
            truth = await site.settle()
            assert truth.lies == []
            assert site.api.longest < CALL_SECONDS
