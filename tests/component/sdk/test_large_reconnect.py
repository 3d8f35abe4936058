"""Client with many subscriptions and long tokens, which reconnects with all of them."""

from __future__ import annotations

import asyncio

import pytest

from tests.component.sdk.conftest import Sdk
from tests.kit.balancer import Balancer
from tests.kit.clients import Transport
from tests.kit.deadline import eventually
from tests.kit.redis_process import RedisProcess
from tests.kit.sdk import JavaScriptClients
from tests.kit.server_process import TOKEN_SECRET, ServerProcess
from tests.kit.tokens import subscription_token

CHANNELS = 128
"""Default maximum of channels per client."""
INFO = "x" * 650
"""Info that makes a token 1 KB long."""


@pytest.mark.parametrize("transport", ["websocket", "http_stream", "sse"])
async def test_it_comes_back_with_all_its_subscriptions(
    transport: Transport, server: ServerProcess, redis: RedisProcess
) -> None:
    """After a drain all are subscribed and recovered, and new publications arrive."""
    sdk = Sdk(f"javascript-{transport}", JavaScriptClients, transport=transport)
    channels = [f"chat:large-{number}" for number in range(CHANNELS)]
    async with (
        ServerProcess("server-b", redis) as other,
        Balancer([server.client_port]) as balancer,
        sdk(f"ws://127.0.0.1:{balancer.port}/connection/websocket") as clients,
        other.api() as api,
    ):
        await clients.record.wait(lambda r: len(r.connected) == 1, what="connected")
        for channel in channels:
            token = subscription_token(TOKEN_SECRET, "user-0", channel, info=INFO)
            assert 1_000 <= len(token) <= 1_100
            await clients.call(0, "subscribe", channel=channel, recoverable=True, token=token)
        await clients.record.wait(lambda r: len(r.subscribed) == CHANNELS, what="all subscribed")
        balancer.endpoints = [other.client_port]
        await server.admin("POST", "drain", {"connections_per_second": 10})
        await eventually(server.state, lambda state: state == "drained", what="the server drained", within=15)
        await clients.record.wait(lambda r: len(r.recoveries()) == CHANNELS, what="all recovered")
        assert all(event.recovered for event in clients.record.recoveries())
        await asyncio.gather(*(api.publish(channel, channel) for channel in channels))
        await clients.record.wait(lambda r: len(r.publications()) == CHANNELS, what="all publications")
        assert len(clients.record.reconnects()) == 1
