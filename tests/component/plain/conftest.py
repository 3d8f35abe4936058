"""A server with routes for all tests of a module."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from tests.component.plain.routes_site import CLOSED, SIGNING_KEY, Site, routes_of
from tests.kit.cloud_events_backend import CloudEventsBackend
from tests.kit.redis_process import RedisProcess, running_redis
from tests.kit.server_process import NAMESPACES, ServerProcess


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisProcess]:
    """Start a Redis."""
    with running_redis() as process:
        yield process


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(redis: RedisProcess, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    """Start a server with the routes, and their backend."""
    key = tmp_path_factory.mktemp("hooks") / "key"
    key.write_text(SIGNING_KEY)
    async with (
        CloudEventsBackend() as backend,
        ServerProcess(
            "plain",
            redis,
            namespaces=[*NAMESPACES, CLOSED],
            protocols={"web_socket": {"routes": routes_of(backend)}},
            hooks={"secret_file": str(key), "forward_headers": ["x-device", "ce-userid"]},
            origins=["https://app.example"],
            compression={"enabled": True, "threshold_bytes": 200},
        ) as server,
    ):
        yield Site(server, backend)
