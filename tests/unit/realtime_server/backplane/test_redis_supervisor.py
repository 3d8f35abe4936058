"""Reconnecting of one link, against a listener under the test's control."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from realtime_server import settings
from realtime_server.backplane.redis_cluster import NodeTarget
from realtime_server.backplane.redis_link import Link, RedisConnection, Timing
from realtime_server.backplane.redis_supervisor import LinkSupervisor
from realtime_server.backplane.redis_target import EndpointReader, Mode
from tests.kit.listener import listening

TIMING = Timing(connect=30, call=30, probe=30, retry_first=0.001, retry_most=30)


class SlowTarget:
    """Target that hangs, like a vanished host, until `address` is set."""

    def __init__(self) -> None:
        self.address: str | None = None
        self.asked = asyncio.Event()

    async def connection(self) -> RedisConnection:
        """Return a connection once there is an address; wait until then."""
        self.asked.set()
        if self.address is None:
            await asyncio.Event().wait()
        target = NodeTarget(EndpointReader(settings.Redis(address=self.address)), TIMING, Mode.STANDALONE)
        return await target.connection()

    async def check(self, link: Link) -> None:
        """Accept any peer."""


@contextlib.asynccontextmanager
async def listener() -> AsyncIterator[str]:
    """Start a listener that replies OK to everything, and return its address."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while received := await reader.read(1000):
            writer.write(b"+OK\r\n" * received.count(b"*"))

    async with listening(talk) as port:
        yield f"127.0.0.1:{port}"


async def greet(_link: Link) -> None:
    """Do nothing."""


async def test_an_attempt_that_hangs_is_given_up_for_a_better_one() -> None:
    """`retry_now` cuts short an attempt that hangs and the pause after it."""
    up = asyncio.Event()
    target = SlowTarget()
    supervisor = LinkSupervisor("test", target, TIMING, greet=greet, on_up=up.set, on_lost=lambda: None)
    async with listener() as address, asyncio.timeout(1):
        supervisor.begin()
        await target.asked.wait()
        target.address = address
        supervisor.retry_now()
        await up.wait()
        assert supervisor.usable
        await supervisor.stop()
        assert not supervisor.usable


async def test_a_keeper_can_be_stopped_while_it_connects() -> None:
    """Stopping cancels an attempt under way and leaves nothing behind."""
    target = SlowTarget()
    supervisor = LinkSupervisor("test", target, TIMING, greet=greet, on_up=lambda: None, on_lost=lambda: None)
    supervisor.begin()
    await target.asked.wait()
    async with asyncio.timeout(1):
        await supervisor.stop()
    assert [task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith("redis-")] == []
