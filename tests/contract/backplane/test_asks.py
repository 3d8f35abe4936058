"""Asks between workers over each driver: Redis carries them, and its failures end them."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from realtime_server import settings
from realtime_server.backplane.memory import MemoryBroker
from realtime_server.backplane.redis import RedisBroker, open_router
from realtime_server.core.control.peers import ANNOUNCE_SECONDS, FORGET_AFTER
from realtime_server.core.model.errors import BackplaneError, UnknownNameError, UnknownNodeError
from realtime_server.core.node import Node
from tests.contract.backplane.conftest import LINKED_DRIVERS, TIMING, redis_settings, settings_of
from tests.kit.redis_process import RedisProcess
from tests.kit.server_doubles import Clock, make_node

WITHIN = 30
LONG = 600.0


class Holder:
    """Holder of a name at a worker: it gives `answer` to who asks for it at once, and lets others wait."""

    def __init__(self, node: Node, answer: bytes) -> None:
        self._answer = answer
        self.asked = asyncio.Event()
        self.freed = asyncio.Event()
        self.requests: list[bytes] = []
        node.asks.serve("name", self._handle)

    async def _handle(self, request: bytes) -> bytes:
        self.requests.append(request)
        if request != b"wait":
            return self._answer
        self.asked.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.freed.set()
            raise
        raise AssertionError


@contextlib.asynccontextmanager
async def worker(place: settings.Redis, prefix: str, clock: Clock | None = None) -> AsyncIterator[Node]:
    """Start a worker on Redis, and stop it at the end."""
    node = make_node(RedisBroker(open_router(place, prefix, TIMING)), clock=clock)
    await node.start()
    try:
        yield node
    finally:
        await node.stop()


def asking(one: Node, other: Node, request: bytes = b"wait") -> asyncio.Task[bytes]:
    """Ask one worker by another."""
    return asyncio.create_task(one.asks.ask(other.uid, "name", request, timeout=LONG))


async def test_without_a_backplane_a_worker_asks_itself() -> None:
    """As the only server of a small cluster does."""
    node = make_node(MemoryBroker())
    await node.start()
    Holder(node, b"\x00\xff!")
    assert await node.asks.ask(node.uid, "name", b"\x00", timeout=LONG) == b"\x00\xff!"
    with pytest.raises(UnknownNameError):
        await node.asks.ask(node.uid, "other", b"", timeout=LONG)
    await node.stop()


@pytest.mark.parametrize("driver", LINKED_DRIVERS)
async def test_a_worker_is_asked_by_another(driver: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """It gets the request as it was sent, its largest answer arrives, and it learns when nobody waits for one."""
    place, prefix = settings_of(driver, request, tmp_path), secrets.token_hex(4)
    async with worker(place, prefix) as one, worker(place, prefix) as other, asyncio.timeout(WITHIN):
        largest = bytes(range(256)) * (one.asks.answer_bytes // 256)
        holder = Holder(other, largest)
        assert await asking(one, other, b"\x00\xff") == largest
        assert holder.requests == [b"\x00\xff"]
        with pytest.raises(UnknownNameError):
            await one.asks.ask(other.uid, "unheld", b"", timeout=LONG)
        leaving = asking(one, other)
        await holder.asked.wait()
        leaving.cancel()
        await holder.freed.wait()


async def test_a_restarted_redis_ends_what_was_asked_over_it(redis: RedisProcess, tmp_path: Path) -> None:
    """The answer may have been lost with it. The holder is told, and can be asked again."""
    place, prefix = redis_settings(redis, tmp_path), secrets.token_hex(4)
    async with worker(place, prefix) as one, worker(place, prefix) as other, asyncio.timeout(WITHIN):
        holder = Holder(other, b"a")
        cut = asking(one, other)
        await holder.asked.wait()
        redis.stop()
        redis.start()
        with pytest.raises(BackplaneError):
            await cut
        await holder.freed.wait()
        while True:  # the links of the other worker may be up later
            with contextlib.suppress(BackplaneError, TimeoutError):
                async with asyncio.timeout(1):
                    assert await asking(one, other, b"again") == b"a"
                    return


async def test_workers_that_die_are_noticed(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """Who asked gets an error when the holder dies; the holder frees the poll when the asker does."""
    place, prefix = settings_of("standalone", request, tmp_path), secrets.token_hex(4)
    clock = Clock()
    async with worker(place, prefix, clock) as survivor, asyncio.timeout(WITHIN):
        mine = Holder(survivor, b"a")
        async with worker(place, prefix) as dying:
            its = Holder(dying, b"b")
            lost, mute = asking(survivor, dying), asking(dying, survivor)
            await its.asked.wait()
            await mine.asked.wait()
            await dying.broker.stop()
            clock.now += ANNOUNCE_SECONDS * (FORGET_AFTER + 1)
            with pytest.raises(UnknownNodeError):
                await lost
            await mine.freed.wait()
            mute.cancel()


async def test_a_worker_that_stops_says_so(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """Nobody waits until its announcements are missed."""
    place, prefix = settings_of("standalone", request, tmp_path), secrets.token_hex(4)
    async with worker(place, prefix) as one, asyncio.timeout(WITHIN):
        async with worker(place, prefix) as leaving:
            while len(one.workers()) < 2:  # noqa: ASYNC110 - it is the announcement that is awaited
                await asyncio.sleep(0.01)
            holder = Holder(leaving, b"a")
            lost = asking(one, leaving)
            await holder.asked.wait()
        with pytest.raises(UnknownNodeError):
            await lost
        assert len(one.workers()) == 1
