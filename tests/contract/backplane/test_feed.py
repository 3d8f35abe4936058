"""Feed of what other programs write to Redis: everything once at every worker, whatever happens to links and Redis."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from redis.crc import key_slot

from realtime_server import settings
from realtime_server.backplane.redis import RedisBroker, open_router
from realtime_server.backplane.redis_feed import RedisFeed
from realtime_server.backplane.redis_link import Timing
from realtime_server.core.ports.feed import FeedSource
from tests.contract.backplane.conftest import PASSWORD, TIMING, password_file, redis_settings
from tests.contract.backplane.recorder import Recorder
from tests.kit.deadline import eventually
from tests.kit.redis_cluster import RedisClusterDeployment
from tests.kit.redis_process import RedisProcess, running_redis
from tests.kit.redis_sentinel import PRIMARY_NAME, running_sentinels

SOURCE = FeedSource(("requests",), ("events#*",), "log")
WITHIN = 15.0


@dataclass
class Received:
    """What came from a feed."""

    messages: list[tuple[str, bytes]] = field(default_factory=list)
    entries: list[bytes] = field(default_factory=list)

    def on_message(self, name: str, payload: bytes) -> None:
        """Keep a message."""
        self.messages.append((name, payload))

    async def on_entry(self, fields: Mapping[bytes, bytes]) -> None:
        """Keep an entry; take a moment, as joining a room does."""
        await asyncio.sleep(0)
        self.entries.append(fields[b"n"])

    async def until(self, *, messages: int = 0, entries: int = 0) -> None:
        """Wait until so many have come."""

        async def read() -> tuple[int, int]:
            return len(self.messages), len(self.entries)

        await eventually(
            read, lambda n: n[0] >= messages and n[1] >= entries, what="received", within=WITHIN, every=0.01
        )


@dataclass
class Worker:
    """Worker with a feed."""

    feed: RedisFeed
    seen: Received = field(default_factory=Received)

    async def connected(self, *, wanted: bool = True) -> None:
        """Wait until its feed is connected, or is not."""

        async def read() -> bool:
            return self.feed.connected

        await eventually(read, lambda now: now is wanted, what=f"connected: {wanted}", within=WITHIN, every=0.01)


@contextlib.asynccontextmanager
async def workers(
    redis: settings.Redis, number: int = 2, source: FeedSource = SOURCE, timing: Timing = TIMING
) -> AsyncIterator[Sequence[Worker]]:
    """Run workers with feeds."""
    async with contextlib.AsyncExitStack() as stack:
        found = []
        for _ in range(number):
            router = open_router(redis, "feed", timing)
            broker = RedisBroker(router)
            await broker.start(Recorder())
            stack.push_async_callback(broker.stop)
            worker = Worker(RedisFeed(router, source))
            stack.push_async_callback(worker.feed.stop)
            await worker.feed.start(worker.seen)
            found.append(worker)
        yield found


def add(redis: RedisProcess, *numbers: int) -> None:
    for number in numbers:
        redis.ask("XADD", "log", "*", "n", number)


def texts(numbers: range) -> list[bytes]:
    return [b"%d" % number for number in numbers]


async def test_every_worker_gets_everything_once(standalone: RedisProcess, tmp_path: Path) -> None:
    """What matches several subscriptions comes once for each; what was written before the start does not come."""
    add(standalone, -1)
    source = FeedSource(("requests", "events#b"), ("events#*", "events#[*]"), "log")
    async with workers(redis_settings(standalone, tmp_path), source=source) as both:
        standalone.ask("PUBLISH", "events#a", "one")
        standalone.ask("PUBLISH", "events#*", "two")
        standalone.ask("PUBLISH", "events#b", "three")
        standalone.ask("PUBLISH", "requests", "four")
        standalone.ask("PUBLISH", "other", "five")
        add(standalone, *range(250))
        for worker in both:
            await worker.seen.until(messages=6, entries=250)
            assert worker.seen.entries == texts(range(250))
            assert sorted(worker.seen.messages) == [
                ("events#*", b"one"), ("events#*", b"three"), ("events#*", b"two"), ("events#[*]", b"two"),
                ("events#b", b"three"), ("requests", b"four"),
            ]  # fmt: skip
    standalone.ask("DEL", "log")


async def test_entries_are_kept_while_there_is_no_link(standalone: RedisProcess, tmp_path: Path) -> None:
    """They come once, in their order, when the link is back."""
    async with workers(redis_settings(standalone, tmp_path)) as both:
        for start in range(0, 50, 10):
            add(standalone, *range(start, start + 5))
            standalone.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            add(standalone, *range(start + 5, start + 10))
            for worker in both:
                await worker.seen.until(entries=start + 10)
        for worker in both:
            assert worker.seen.entries == texts(range(50))
    standalone.ask("DEL", "log")


@pytest.mark.parametrize("lose", [False, True], ids=["kept", "lost"])
async def test_a_redis_that_was_killed_is_followed(*, lose: bool) -> None:
    """Entries come once, whether or not it still has the stream, whose ids may begin anew before the former ones.

    What is published later arrives.
    """
    with running_redis() as redis:
        async with workers(settings.Redis(address=redis.address)) as both:
            add(redis, *range(9))
            redis.ask("XADD", "log", "99999999999999-0", "n", 9)
            for worker in both:
                await worker.seen.until(entries=10)
            redis.stop()
            for worker in both:
                await worker.connected(wanted=False)
            if lose:
                redis.lose_data()
            redis.start()
            add(redis, *range(10, 20))
            for worker in both:
                await worker.connected()
            redis.ask("PUBLISH", "events#a", "later")
            for worker in both:
                await worker.seen.until(messages=1, entries=20)
                assert worker.seen.entries == texts(range(20))


async def test_a_feed_waits_until_it_may_read() -> None:
    """It starts when the key is a stream; a key of another type harms nothing."""
    with running_redis() as redis:
        redis.ask("SET", "log", "text")
        starting = asyncio.ensure_future(_entered(redis))
        await asyncio.sleep(0.3)
        assert not starting.done()
        redis.ask("DEL", "log")
        stack, (worker,) = await starting
        async with stack:
            add(redis, 1)
            await worker.seen.until(entries=1)
            redis.ask("DEL", "log")
            redis.ask("SET", "log", "text")
            await worker.connected(wanted=False)
            redis.ask("DEL", "log")
            await worker.connected()
            add(redis, 2)
            await worker.seen.until(entries=2)


async def _entered(redis: RedisProcess) -> tuple[contextlib.AsyncExitStack, Sequence[Worker]]:
    stack = contextlib.AsyncExitStack()
    return stack, await stack.enter_async_context(workers(settings.Redis(address=redis.address), 1))


async def test_a_feed_without_a_stream_has_one_link(standalone: RedisProcess, tmp_path: Path) -> None:
    async with workers(redis_settings(standalone, tmp_path), 1, FeedSource(("requests",))) as (worker,):
        standalone.ask("PUBLISH", "requests", "x")
        await worker.seen.until(messages=1)
        assert worker.feed.connected


async def test_a_failover_is_followed(tmp_path: Path) -> None:
    """Entries that the new primary has come once; so does what is published there."""
    with running_sentinels(PASSWORD) as deployment:
        place = settings.RedisSentinel(addresses=deployment.addresses, master_name=PRIMARY_NAME)
        redis = settings.Redis(sentinel=place, password_file=password_file(PASSWORD, tmp_path))
        async with workers(redis) as both:
            old = deployment.primary()
            add(old, *range(5))
            for worker in both:
                await worker.seen.until(entries=5)
            deployment.wait_replicated()
            old.stop()
            new = await asyncio.to_thread(deployment.wait_failover, old)
            add(new, *range(5, 10))
            for worker in both:
                await worker.connected()
            new.ask("PUBLISH", "events#a", "later")
            for worker in both:
                await worker.seen.until(messages=1, entries=10)
                assert worker.seen.entries == texts(range(10))


async def test_a_cluster_is_followed(cluster: RedisClusterDeployment, tmp_path: Path) -> None:
    """Whichever node publishes, and wherever the slot of the stream is now."""
    place = settings.RedisCluster(addresses=cluster.addresses)
    async with workers(settings.Redis(cluster=place, password_file=password_file(PASSWORD, tmp_path))) as both:
        for node in cluster.nodes:
            node.ask("PUBLISH", "events#a", node.address)
        source = cluster.primary_of(b"log")
        target = next(node for node in cluster.nodes if node is not source)
        add(source, *range(5))
        for worker in both:
            await worker.seen.until(messages=len(cluster.nodes), entries=5)
        cluster.move_slot(key_slot(b"log"), source, target)
        add(target, *range(5, 10))
        for worker in both:
            await worker.seen.until(entries=10)
            assert worker.seen.entries == texts(range(10))
            assert sorted(worker.seen.messages) == sorted(("events#*", node.address.encode()) for node in cluster.nodes)
        cluster.move_slot(key_slot(b"log"), target, source)
        source.ask("DEL", "log")


async def test_entries_come_once_from_a_redis_that_hangs() -> None:
    """The answer that it had begun may arrive when nobody waits for it any more."""
    with running_redis() as redis:
        async with workers(settings.Redis(address=redis.address)) as both:
            for start in (0, 10):
                redis.freeze()
                for worker in both:
                    await worker.connected(wanted=False)
                redis.thaw()
                add(redis, *range(start, start + 10))
                for worker in both:
                    await worker.seen.until(entries=start + 10)
            for worker in both:
                assert worker.seen.entries == texts(range(20))
