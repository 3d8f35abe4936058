"""Clients that publish as fast as their program allows: they are slowed, and stay connected."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from realtime_operator.api.base import JsonValue
from tests.component.sdk.conftest import Sdk
from tests.kit.clients import StockClients
from tests.kit.server_process import ServerProcess

pytestmark = pytest.mark.asyncio(loop_scope="module")

HEARTBEAT: JsonValue = {"interval_seconds": 2, "timeout_seconds": 1.8}
LIMITS: JsonValue = {"messages_per_second": 25, "channels_per_connection": 8}
BEYOND_THE_BURST = 10 * 25 + 8 + 1 + 100
"""Number of publishes of which the last wait for 4 s, less than an SDK's timeout; few enough for a busy machine."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pinging() -> AsyncIterator[ServerProcess]:
    """Start a server with a low limit that soon misses a pong."""
    async with ServerProcess("pinging", None, heartbeat=HEARTBEAT, limits=LIMITS) as process:
        yield process


async def publish(clients: StockClients, count: int) -> None:
    """Publish in a loop without waiting; then wait until all are confirmed."""
    calls = (clients.call(0, "publish", channel="open:burst", data=number) for number in range(count))
    await asyncio.gather(*calls)


async def test_publishes_in_a_loop_are_all_confirmed(sdk: Sdk, pinging: ServerProcess) -> None:
    """The client stays connected, although its pongs are not read while it is slowed."""
    async with sdk(pinging.url) as clients:
        await clients.record.wait(lambda r: len(r.connected) == 1, what="connected")
        await publish(clients, BEYOND_THE_BURST)
        assert clients.record.reconnects() == []
    assert 'limit_exceeded_total{limit="messages_per_second",worker="0"} 0.0' not in await pinging.metrics()
