"""Redis that is killed or hangs, and comes back."""

from __future__ import annotations

import asyncio
import signal

from tests.component.faults.fleet import BACK_SECONDS, CALL_SECONDS, HEALTH_SECONDS, fleet
from tests.kit.deadline import eventually
from tests.kit.redis_process import running_redis
from tests.kit.server_process import ServerProcess


async def test_killed_and_restarted_with_its_data() -> None:
    """All confirmed publications exist, and no client is told of a loss."""
    with running_redis() as redis:
        async with fleet(redis) as site:
            await asyncio.to_thread(redis.stop)
            await site.wait_health(healthy=False, within=HEALTH_SECONDS)
            site.move_clients()
            await asyncio.to_thread(redis.start)
            await site.goes_on_without_a_loss()


async def test_killed_and_restarted_empty() -> None:
    """All positions become invalid, and all clients are told."""
    with running_redis() as redis:
        async with fleet(redis) as site:
            await asyncio.to_thread(redis.stop)
            redis.lose_data()
            await asyncio.to_thread(redis.start)
            await site.publisher.confirm_more(50, within=BACK_SECONDS)
            site.move_clients()
            await site.wait_health(healthy=True, within=BACK_SECONDS)
            truth = await site.settle()
            assert truth.lies == []
            assert truth.told_of_a_loss >= 4
            assert site.api.longest < CALL_SECONDS


async def test_a_redis_that_hangs() -> None:
    """Calls end, the servers become unhealthy, and all continues when Redis wakes."""
    with running_redis() as redis:
        async with fleet(redis) as site:
            redis.freeze()
            await site.wait_health(healthy=False, within=HEALTH_SECONDS)
            await asyncio.sleep(CALL_SECONDS)
            redis.thaw()
            await site.goes_on_without_a_loss()


async def test_a_server_dies_with_redis_and_its_publications() -> None:
    """Nobody knows of the lost publications: after the settle time positions become invalid."""
    with running_redis() as redis:
        async with fleet(redis) as site:
            process = site.servers[0].process
            assert process is not None
            process.send_signal(signal.SIGKILL)
            await process.wait()
            await asyncio.to_thread(redis.stop)
            await asyncio.to_thread(redis.start)

            async def ready() -> bool:
                return await site.servers[1].ready()

            began = asyncio.get_running_loop().time()
            while not await ready():
                assert asyncio.get_running_loop().time() - began < BACK_SECONDS
                await asyncio.sleep(0.1)
            site.balancer.endpoints = [site.servers[1].client_port]
            site.api.address = site.servers[1].api().address
            site.move_clients()
            await site.publisher.confirm_more(50, within=BACK_SECONDS)
            truth = await site.settle()
            assert truth.lies == []
            assert truth.told_of_a_loss >= 4


async def test_a_server_that_starts_while_a_dead_one_is_waited_for_lets_nobody_in() -> None:
    """No position is issued before the settle time is over, so that no client could subscribe."""
    with running_redis() as redis:
        async with ServerProcess("dead", redis) as dead:
            assert dead.process is not None
            dead.process.send_signal(signal.SIGKILL)
            await dead.process.wait()
        await asyncio.to_thread(redis.stop)
        await asyncio.to_thread(redis.start)
        late = ServerProcess("late", redis)
        starting = asyncio.create_task(late.__aenter__(), name="late server")
        try:
            await eventually(
                lambda: lets_in(late), bool, what="the first client is let in", within=BACK_SECONDS, every=0.02
            )
            assert (await late.admin("GET", "status"))["backplane_healthy"] is True
        finally:
            await asyncio.gather(starting, return_exceptions=True)
            await late.__aexit__()


async def lets_in(server: ServerProcess) -> bool:
    """Return True when the port for clients accepts connections."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", server.client_port)
    except ConnectionRefusedError:
        return False
    writer.close()
    await writer.wait_closed()
    return True
