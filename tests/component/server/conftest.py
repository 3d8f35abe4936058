"""Servers for the tests of one module, each with a bystander."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.component.server.watch import HastyServer, Watch, watched
from tests.kit.redis_process import running_redis
from tests.kit.server_process import ServerProcess


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def watch() -> AsyncIterator[Watch]:
    """Start a server with the default limits, except for the time limit of a handshake."""
    async with watched(HastyServer("default-limits", None)) as result:
        yield result


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def fast() -> AsyncIterator[Watch]:
    """Start a server that accepts commands at any rate."""
    async with watched(ServerProcess("no-rate", None, limits={"messages_per_second": 10_000_000})) as result:
        yield result


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def waiting() -> AsyncIterator[Watch]:
    """Start such a server with Redis, which commands have to wait for."""
    with running_redis() as redis:
        async with watched(ServerProcess("waits", redis, limits={"messages_per_second": 10_000_000})) as result:
            yield result


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def strict() -> AsyncIterator[Watch]:
    """Start a server for two connections, and for browsers of one origin."""
    async with watched(
        ServerProcess("strict", None, limits={"connections": 2}, origins=["https://app.example"])
    ) as result:
        yield result
