"""The drivers, and a real Redis that wants a password."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from realtime_server import settings
from realtime_server.backplane.memory import MemoryBroker, MemoryPresence
from realtime_server.backplane.redis import RedisBroker
from realtime_server.backplane.redis_link import Target, Timing
from realtime_server.backplane.redis_presence import RedisPresence
from realtime_server.core.ports import Broker, PresenceStore
from tests.contract.backplane.recorder import Recorder
from tests.kit.redis_process import RedisProcess, running_redis

PASSWORD = "pass word/with:all@kinds%of#signs"
TIMING = Timing(connect=2, call=1, probe=0.1, probes_missed=3, retry_first=0.02, retry_most=0.2)
POSITION_SECONDS = 0.3


@dataclass(frozen=True)
class Server:
    """A server's end of the backplane: its broker, its presence store, and what the broker has reported."""

    broker: Broker
    presence: PresenceStore
    seen: Recorder


Connect = Callable[[], contextlib.AbstractAsyncContextManager[Server]]


@pytest.fixture(scope="module")
def shared_redis() -> Iterator[RedisProcess]:
    """A Redis that nobody stops."""
    with running_redis(PASSWORD) as process:
        yield process


@pytest.fixture
def redis() -> Iterator[RedisProcess]:
    """A Redis of the test's own, to stop and start."""
    with running_redis(PASSWORD) as process:
        yield process


def redis_settings(process: RedisProcess, folder: Path) -> settings.Redis:
    """Settings with the password in a file."""
    password_file = folder / "password"
    password_file.write_text(process.password + "\n")
    return settings.Redis(address=f"127.0.0.1:{process.port}", password_file=password_file)


def redis_server(target: Target, prefix: str) -> contextlib.AbstractAsyncContextManager[Server]:
    """A server on Redis; positions are short-lived so that a test can see them go."""
    broker = RedisBroker(target, prefix, TIMING, position_seconds=POSITION_SECONDS)
    return started(Server(broker, RedisPresence(broker, prefix), Recorder()))


@contextlib.asynccontextmanager
async def started(server: Server) -> AsyncIterator[Server]:
    """Start the server's broker, and stop it."""
    await server.broker.start(server.seen)
    try:
        yield server
    finally:
        await server.broker.stop()


@pytest.fixture
def connect(redis: RedisProcess, tmp_path: Path) -> Connect:
    """Makes servers that share the test's own Redis."""
    target, prefix = Target(redis_settings(redis, tmp_path), TIMING), secrets.token_hex(4)
    return lambda: redis_server(target, prefix)


@pytest.fixture(params=["memory", "redis"])
async def server(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Server]:
    """A server on each driver."""
    if request.param == "memory":
        memory = Server(MemoryBroker(position_seconds=POSITION_SECONDS), MemoryPresence(), Recorder())
        async with started(memory) as found:
            yield found
        return
    process: RedisProcess = request.getfixturevalue("shared_redis")
    async with redis_server(Target(redis_settings(process, tmp_path), TIMING), secrets.token_hex(4)) as found:
        yield found
