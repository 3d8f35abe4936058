"""Network partition from Redis: packets vanish without notice."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import time
from collections.abc import AsyncIterator

from tests.component.faults.fleet import BACK_SECONDS, CALL_SECONDS, HEALTH_SECONDS, Fleet, fleet
from tests.kit.clients import Publication
from tests.kit.cut_off import Island, island
from tests.kit.deadline import eventually
from tests.kit.document import number_at
from tests.kit.redis_answer import texts
from tests.kit.redis_process import RedisProcess, free_port
from tests.kit.redis_sentinel import running_sentinels

FAILOVER_SECONDS = 15.0
"""Time that sentinels need in the kit's setup, and that servers need to follow."""


@contextlib.asynccontextmanager
async def redis_on(place: Island) -> AsyncIterator[RedisProcess]:
    """Start a Redis on an island."""
    with tempfile.TemporaryDirectory(prefix="redis-") as folder:
        redis = RedisProcess(free_port(), folder, "secret", host=place.address, launcher=place.launcher)
        await asyncio.to_thread(redis.start)
        try:
            yield redis
        finally:
            redis.stop()


def subscribing_ports(redis: RedisProcess) -> list[int]:
    """Return the local ports of the links with subscriptions."""
    found = []
    for line in texts(redis.ask("CLIENT", "LIST", "TYPE", "pubsub"))[0].splitlines():
        words = dict(word.partition("=")[::2] for word in line.split(" "))
        found.append(int(words["addr"].rpartition(":")[2]))
    return found


def lateness(publication: Publication) -> float:
    """Return the delay of a publication in seconds."""
    return publication.at - number_at(publication.data, "at")


async def gaps(site: Fleet) -> list[float]:
    """Return the number of possible losses per server's link."""
    name = 'realtime_server_backplane_gaps_total{worker="0"} '
    return [float((await server.metrics()).partition(name)[2].split("\n")[0]) for server in site.servers]


async def test_a_redis_that_is_cut_off_and_joined_again() -> None:
    """Calls end, health reports it, connections stay, and all publications arrive in the end."""
    with island() as place:
        async with redis_on(place) as redis, fleet(redis) as site:
            place.cut()
            await site.wait_health(healthy=False, within=HEALTH_SECONDS)
            await asyncio.sleep(CALL_SECONDS)
            assert len(site.clients.record.connected) == site.clients.options.count
            place.join()
            await site.goes_on_without_a_loss()


async def test_only_the_subscribing_links_are_cut_off() -> None:
    """Redis accepts publications that do not arrive: this is noticed, and the missed ones are delivered."""
    with island() as place:
        async with redis_on(place) as redis, fleet(redis) as site:
            before, began = await gaps(site), time.monotonic()
            ports = await asyncio.to_thread(subscribing_ports, redis)
            assert len(ports) == len(site.servers)
            for port in ports:
                place.cut_connection(port)
            confirmed = len(site.publisher.published)

            async def noticed() -> bool:
                return all(now > once for now, once in zip(await gaps(site), before, strict=True))

            await eventually(noticed, bool, what="a gap at each server", within=HEALTH_SECONDS, every=0.05)
            took = time.monotonic() - began
            await site.wait_health(healthy=True, within=BACK_SECONDS)
            published = len(site.publisher.published) - confirmed
            truth = await site.settle()
            late = max(map(lateness, site.clients.record.publications()))
            print(f"noticed after {took:.2f} s, {published} publications meanwhile, the latest {late:.2f} s late")
            assert late < HEALTH_SECONDS
            assert published > 50
            assert truth.lies == []
            assert truth.told_of_a_loss == 0
            assert site.api.longest < 1


async def test_sentinels_replace_a_primary_that_is_cut_off() -> None:
    """The old primary lives on believing it is primary, and returns as a replica."""
    with island() as place, running_sentinels("secret", primary_in=place) as redis:
        async with fleet(redis) as site:
            primary = redis.primary()
            place.cut()
            await site.wait_health(healthy=False, within=HEALTH_SECONDS)
            site.move_clients()
            await site.wait_health(healthy=True, within=FAILOVER_SECONDS)
            assert redis.primary() is not primary
            await site.publisher.confirm_more(50, within=BACK_SECONDS)
            place.join()
            await asyncio.sleep(1)
            site.move_clients()
            await site.publisher.confirm_more(50, within=BACK_SECONDS)
            truth = await site.settle()
            print(f"told of a loss: {truth.told_of_a_loss}")
            assert truth.lies == []
            assert site.api.longest < CALL_SECONDS
