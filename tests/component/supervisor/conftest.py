"""Servers with two workers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.kit.redis_process import RedisProcess, running_redis
from tests.kit.server_process import ServerProcess


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisProcess]:
    """Start a Redis for the tests of one module."""
    with running_redis() as process:
        yield process


@pytest.fixture
async def server(redis: RedisProcess) -> AsyncIterator[ServerProcess]:
    """Start a server, and wait until it is ready."""
    async with ServerProcess("supervised", redis, workers=2) as process:
        yield process
