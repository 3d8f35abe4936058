"""Expiry of everything in Redis, and truthfulness under eviction."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import replace
from pathlib import Path

import pytest

from realtime_server.backplane.redis import RedisBroker, open_router
from realtime_server.backplane.redis_queue import GROUP, RedisEventQueue
from realtime_server.core.channels.join import Wanted, is_complete
from realtime_server.core.model.errors import BackplaneError
from realtime_server.core.model.values import ClientInfo, HistoryOptions, HistoryQuery, PresenceStats, StreamPosition
from realtime_server.core.ports.backplane import StoreState
from tests.contract.backplane.conftest import QUEUE_SIZE, TIMING, Connect, Server, redis_settings
from tests.contract.backplane.recorder import Recorder
from tests.kit.deadline import eventually
from tests.kit.redis_answer import texts
from tests.kit.redis_process import RedisProcess

KEPT = HistoryOptions(size=1000, ttl_seconds=60)
LONGEST_SECONDS = 31 * 86_400
MEMORY_BYTES = 8_000_000
LARGE = 20_000


async def ask(redis: RedisProcess, *words: str | int | bytes) -> list[str]:
    """Run an administrator's command whose reply is a list."""
    return texts(await asyncio.to_thread(redis.ask, *words))


async def one_key(redis: RedisProcess, kind: str) -> str:
    """Return the name of the only key of a kind."""
    (name,) = await ask(redis, "KEYS", f"*:{kind}*")
    return name


async def recovered(server: Server, channel: str, since: StreamPosition) -> list[int] | None:
    """Return the offsets recovered from a position; None when the client is told of a loss."""
    page = await server.broker.history(channel, HistoryQuery(-1, since), KEPT)
    complete = is_complete(page, Wanted(recover=True, offset=since.offset, epoch=since.epoch))
    return [publication.offset for publication in page.publications] if complete else None


async def recovers(server: Server, channel: str, since: StreamPosition) -> bool:
    """Return True when a client would be told that it recovered."""
    return await recovered(server, channel, since) is not None


async def publish(server: Server, channel: str, count: int, data: bytes = b"x") -> StreamPosition:
    """Publish; return the last position."""
    position = None
    for _ in range(count):
        position = await server.broker.publish(channel, data, KEPT, idempotency_key=secrets.token_hex(4))
    assert position is not None
    return position


async def publish_until_refused(server: Server, channel: str, since: StreamPosition) -> StreamPosition:
    """Fill Redis; return the last confirmed position."""
    confirmed = since
    for _ in range(1000):
        try:
            confirmed = await publish(server, channel, 1, secrets.token_bytes(LARGE))
        except BackplaneError:
            return confirmed
    raise AssertionError("nothing was refused")


async def use_everything(server: Server) -> None:
    """Write every kind of key."""
    await publish(server, "news", 3)
    await server.broker.publish("news", b"1", None, idempotency_key="k")
    await server.broker.history("empty", HistoryQuery(0), KEPT)
    await server.presence.add("room", "c1", ClientInfo("ann", "c1"), 60)
    await server.occupancy.note_occupied("room")
    await server.queue.append(b"event")
    await server.queue.take("one", 1, 0)


# expiry


async def test_nothing_is_kept_for_ever(connect: Connect, redis: RedisProcess) -> None:
    """Every key expires some time after the last server has stopped, also after a restart."""
    async with connect() as one, connect() as other:
        for server in (one, other):
            await use_everything(server)
        await asyncio.to_thread(redis.stop)
        await asyncio.to_thread(redis.start)
        await one.seen.until(lambda seen: seen.gaps > 0)
        await other.seen.until(lambda seen: seen.gaps > 0)
        for server in (one, other):
            await use_everything(server)
    names = await ask(redis, "KEYS", "*")
    kinds = {name.partition("}:")[2].partition(":")[0] for name in names}
    assert kinds >= {"stream", "position", "once", "presence", "generation", "queue", "occupied", "occupies"}
    left = {name: await asyncio.to_thread(redis.ask, "TTL", name) for name in names}
    assert [name for name, seconds in left.items() if not isinstance(seconds, int) or seconds < 0] == []
    assert max(seconds for seconds in left.values() if isinstance(seconds, int)) <= LONGEST_SECONDS


async def test_a_queue_to_which_nothing_was_added_goes_too(connect: Connect, redis: RedisProcess) -> None:
    """Reading from a queue creates it."""
    async with connect() as server:
        assert await server.queue.take("one", 1, 0) == ()
        seconds = await asyncio.to_thread(redis.ask, "TTL", await one_key(redis, "queue"))
        assert isinstance(seconds, int)
        assert 0 < seconds <= LONGEST_SECONDS


async def test_consumers_that_are_gone_are_forgotten(redis: RedisProcess, tmp_path: Path) -> None:
    """A consumer with an unfinished event is kept until the event is reclaimed."""
    router = open_router(redis_settings(redis, tmp_path), "p", TIMING)
    broker, queue = RedisBroker(router), RedisEventQueue(router, "events", QUEUE_SIZE, consumer_seconds=0.05)
    await broker.start(Recorder())
    key = router.keys.of("events", "queue").decode()

    async def consumers() -> set[str]:
        found = await asyncio.to_thread(redis.ask, "XINFO", "CONSUMERS", key, GROUP)
        assert isinstance(found, list)
        return {texts(consumer)[1] for consumer in found}

    await queue.append(b"1")
    await queue.take("busy", 1, 0)
    for number in range(10):
        await queue.take(f"gone-{number}", 1, 0)
    await asyncio.sleep(0.1)
    assert await queue.reclaim("lives", 60) == ()
    assert await consumers() <= {"busy", "lives"}
    assert [event.event for event in await queue.reclaim("lives", 0.05)] == [b"1"]
    await broker.stop()


# eviction of single keys


@pytest.mark.parametrize("kind", ["stream", "position", "generation", "seen", "awaited"])
async def test_a_key_that_was_evicted_leads_to_no_lie(connect: Connect, redis: RedisProcess, kind: str) -> None:
    """Clients that lack publications are told of the loss, now and later."""
    async with connect() as server:
        await publish(server, "news", 5)
        lacks = await publish(server, "news", 1)
        complete = await publish(server, "news", 3)
        assert await recovers(server, "news", lacks)
        for name in await ask(redis, "KEYS", f"*:{kind}*"):
            await asyncio.to_thread(redis.ask, "DEL", name)
        recovered = await recovers(server, "news", lacks)
        assert recovered == (kind in ("seen", "awaited"))
        after = await publish(server, "news", 1)
        assert after.epoch != complete.epoch or after.offset == complete.offset + 1
        if not recovered:
            assert not await recovers(server, "news", lacks)


async def test_the_memory_of_redis_is_reported(connect: Connect, redis: RedisProcess) -> None:
    """A server knows what is used and the limit, and whether keys would be evicted at it."""
    await asyncio.to_thread(redis.ask, "CONFIG", "SET", "maxmemory", str(10 * MEMORY_BYTES))
    async with connect(replace(TIMING, usage=0.1)) as server:

        async def read() -> StoreState | None:
            return server.broker.store

        found = await eventually(read, lambda store: store is not None, what="its memory", within=10)
        assert found is not None
        assert (found.limit_bytes, found.evicts, found.primary) == (10 * MEMORY_BYTES, False, "")
        assert 0 < found.used_part < 1
        await asyncio.to_thread(redis.ask, "CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
        await eventually(read, lambda store: store is not None and store.evicts, what="its policy", within=10)


async def test_an_evicted_generation_is_made_again(connect: Connect, redis: RedisProcess) -> None:
    """It is created at once, so that epochs change no more than necessary."""
    async with connect() as server:
        await server.broker.subscribe("news")
        before = await publish(server, "news", 1)
        await asyncio.to_thread(redis.ask, "DEL", await one_key(redis, "generation"))
        await server.seen.until(lambda seen: seen.gaps > 0)
        after = await publish(server, "news", 1)
        assert after.epoch not in (before.epoch, before.epoch[:8])
        assert len(after.epoch) == len(before.epoch)


@pytest.mark.parametrize("kind", ["expiry", "clients", "users"])
async def test_presence_of_which_a_part_was_evicted_is_right_again(
    connect: Connect, redis: RedisProcess, kind: str
) -> None:
    """Presence is empty until members are renewed, with correct counts."""
    async with connect() as server:
        for client, user in (("a1", "ann"), ("a2", "ann"), ("b1", "bob")):
            await server.presence.add("room", client, ClientInfo(user, client), 60)
        await asyncio.to_thread(redis.ask, "DEL", await one_key(redis, f"presence:{kind}"))
        await server.presence.add("room", "a1", ClientInfo("ann", "a1"), 60)
        assert await server.presence.stats("room") == PresenceStats(1, 1)
        await server.presence.add("room", "b1", ClientInfo("bob", "b1"), 60)
        await server.presence.remove("room", "a1")
        assert await server.presence.stats("room") == PresenceStats(1, 1)
        assert set(await server.presence.members("room")) == {"b1"}


async def test_of_very_many_leaves_not_all_are_remembered(connect: Connect, redis: RedisProcess) -> None:
    """The record is bounded in a channel that is always used while servers die."""
    async with connect() as server:
        await server.presence.add("room", "stays", ClientInfo("ann", "stays"), 60, announced=True)
        for start in range(0, 10_500, 500):
            infos = [ClientInfo("ann", f"c{number}") for number in range(start, start + 500)]
            await server.presence.renew("room", infos, 0.05, {info.client for info in infos})
        await asyncio.sleep(0.1)
        while departed := (await server.presence.renew("room", (), 60)).departed:
            await server.presence.publish_leaves("room", {info.client: b"" for info in departed})
        known = await asyncio.to_thread(redis.ask, "HLEN", await one_key(redis, "presence:announced"))
        assert isinstance(known, int)
        assert known < 10_000
        assert await server.presence.remove("room", "stays")


# a Redis that is full


@pytest.mark.parametrize("policy", ["allkeys-lru", "allkeys-random", "volatile-ttl"])
async def test_a_redis_that_evicts_never_makes_recovered_a_lie(
    connect: Connect, redis: RedisProcess, policy: str
) -> None:
    """Under real memory pressure every recovery that is reported is complete."""
    async with connect() as server:
        await asyncio.to_thread(redis.ask, "CONFIG", "SET", "maxmemory-policy", policy)
        await asyncio.to_thread(redis.ask, "CONFIG", "SET", "maxmemory", MEMORY_BYTES)
        true, lost = 0, 0
        data = secrets.token_bytes(LARGE)
        for turn in range(1000):
            channel = f"c{turn % 50}"
            since = await publish(server, channel, 1, data)
            await publish(server, channel, 1, data)
            if (found := await recovered(server, channel, since)) is not None:
                assert found == [since.offset + 1]
                true += 1
            old = StreamPosition(max(0, since.offset - 10), since.epoch)
            if (found := await recovered(server, channel, old)) is not None:
                assert found == list(range(old.offset + 1, since.offset + 2))
            else:
                lost += 1
        evicted = [line for line in (await ask(redis, "INFO", "stats"))[0].splitlines() if "evicted_keys" in line]
        assert evicted != ["evicted_keys:0"]
        assert true > 0
        assert lost > 0


async def test_a_full_redis_that_evicts_nothing_keeps_its_word(connect: Connect, redis: RedisProcess) -> None:
    """With `noeviction` confirmed publications stay, refused ones do not exist, and room makes it work again."""
    async with connect() as server:
        first = await publish(server, "news", 1)
        await asyncio.to_thread(redis.ask, "CONFIG", "SET", "maxmemory", MEMORY_BYTES)
        confirmed = await publish_until_refused(server, "news", first)
        page = await server.broker.history("news", HistoryQuery(-1, first), KEPT)
        assert [p.offset for p in page.publications] == list(range(2, confirmed.offset + 1))
        assert server.broker.healthy
        await asyncio.to_thread(redis.ask, "CONFIG", "SET", "maxmemory", 0)
        assert await publish(server, "news", 1) == StreamPosition(confirmed.offset + 1, first.epoch)
