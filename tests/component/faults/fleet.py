"""Two servers, subscribers that move between them, and a publisher, during faults of Redis."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

from realtime_operator.api.base import JsonValue
from tests.kit.api import Publisher, ServerApi, publishing
from tests.kit.balancer import Balancer
from tests.kit.clients import Channel, ClientOptions, all_subscribed
from tests.kit.deadline import eventually
from tests.kit.python_sdk import PythonClients
from tests.kit.server_process import API_KEY, TOKEN_SECRET, RedisPlace, ServerProcess
from tests.kit.tokens import connection_token
from tests.kit.truth import Truth, truth_of

CHANNEL = Channel("chat:room", recoverable=True)
SUBSCRIBERS = 4
CALL_SECONDS = 4.5
"""No call of the API takes longer: two seconds for Redis to answer, as long for a partition that settles, and a margin
for a busy machine."""
HEALTH_SECONDS = 6.5
"""Time within which a server becomes unhealthy when Redis is away, in any way, with the same margin."""
BACK_SECONDS = 12.0
"""Time within which all works again once Redis does, with the same margin."""


class TimedApi(ServerApi):
    """Server API that records its longest call."""

    longest = 0.0

    async def publish(self, channel: str, data: JsonValue) -> tuple[int, str]:
        """See ServerApi."""
        began = time.monotonic()
        try:
            return await super().publish(channel, data)
        finally:
            self.longest = max(self.longest, time.monotonic() - began)


@dataclass
class Fleet:
    """Two servers, subscribers that connect to either of them, and a publisher at the first."""

    servers: list[ServerProcess]
    clients: PythonClients
    publisher: Publisher
    api: TimedApi
    balancer: Balancer

    def move_clients(self) -> None:
        """Cut all connections; the SDKs reconnect to either server."""
        self.balancer.cut()

    async def wait_health(self, *, healthy: bool, within: float) -> float:
        """Wait until all servers are healthy, or all are not; return the seconds that took."""
        began = time.monotonic()

        async def read() -> list[bool]:
            return [await server.ready() for server in self.servers]

        await eventually(read, lambda seen: seen == [healthy] * 2, what=f"ready: {healthy}", within=within, every=0.05)
        took = time.monotonic() - began
        for server in self.servers:
            await _agree(server, healthy=healthy)
        print(f"all servers ready: {healthy} after {took:.2f} s, longest call {self.api.longest:.2f} s")
        return took

    async def settle(self) -> Truth:
        """Stop publishing, wait until every subscriber has reached the channel's position, and return their events."""
        await self.publisher.stop()
        await all_subscribed(self.clients, within=BACK_SECONDS)
        page = await self.api.call("history", channel=CHANNEL.name, limit=0)
        wanted = {(client, CHANNEL.name): (page["epoch"], page["offset"]) for client in range(SUBSCRIBERS)}

        def arrived() -> bool:
            return truth_of(self.clients.record.events, self.publisher.published).positions == wanted

        await self.clients.record.wait(lambda _: arrived(), what=f"all at {page}", within=BACK_SECONDS)
        return truth_of(self.clients.record.events, self.publisher.published)

    async def goes_on_without_a_loss(self) -> None:
        """Assert that all is well: moved clients recover, no report of a recovery was false, no call was slow."""
        await self.wait_health(healthy=True, within=BACK_SECONDS)
        self.move_clients()
        await self.publisher.confirm_more(50, within=BACK_SECONDS)
        truth = await self.settle()
        assert truth.lies == []
        assert truth.told_of_a_loss == 0
        assert self.api.longest < CALL_SECONDS


async def _agree(server: ServerProcess, *, healthy: bool) -> None:
    """Assert that a server's statements about itself agree, unless they change meanwhile, and that it is alive."""
    assert await server.live()
    status = await server.admin("GET", "status")
    metrics = await server.metrics()
    if await server.ready() is healthy:
        assert status["backplane_healthy"] is healthy
        assert f'realtime_server_backplane_healthy{{worker="0"}} {float(healthy)}' in metrics


@contextlib.asynccontextmanager
async def fleet(redis: RedisPlace) -> AsyncIterator[Fleet]:
    """Run a fleet; some publications have arrived before the body runs."""
    async with (
        ServerProcess("fault-a", redis) as one,
        ServerProcess("fault-b", redis) as other,
        Balancer([one.client_port, other.client_port]) as balancer,
    ):
        options = ClientOptions(
            endpoints=[f"ws://127.0.0.1:{balancer.port}/connection/websocket"],
            count=SUBSCRIBERS,
            channels=[CHANNEL],
            tokens=[connection_token(TOKEN_SECRET, f"user-{number}") for number in range(SUBSCRIBERS)],
            min_reconnect_delay=0.05,
            max_reconnect_delay=0.5,
        )
        async with PythonClients(options) as clients, TimedApi(one.api().address, API_KEY) as api:
            await all_subscribed(clients)
            async with publishing(api, CHANNEL.name, per_second=100) as publisher:
                await publisher.confirm_more(30, within=5)
                yield Fleet([one, other], clients, publisher, api, balancer)
