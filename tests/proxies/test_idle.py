"""Connections without messages for longer than the proxies wait, with and without the servers' pings."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import pytest

from realtime_operator.api.base import JsonObject
from tests.kit.clients import ClientOptions, Transport, all_connected
from tests.kit.proxies import PROXIES, Caddy
from tests.kit.redis_process import RedisProcess
from tests.kit.sdk import JavaScriptClients
from tests.kit.server_process import TOKEN_SECRET
from tests.kit.tokens import connection_token
from tests.proxies.conftest import TRANSPORTS, WITHIN, Placed

IDLE_SECONDS = 75.0
"""All examples but Caddy's end what is silent for 60 s."""
SILENT: JsonObject = {"interval_seconds": 600}


@pytest.mark.timeout(300)
async def test_pings_keep_connections_open_that_proxies_would_end(tmp_path: Path, redis: RedisProcess) -> None:
    """With a ping each 25 s no client loses its connection in 75 s; with one each 600 s all do but Caddy's."""
    ended = {len(PROXIES) + number for number, kind in enumerate(PROXIES) if kind is not Caddy}
    async with (
        Placed("pinging", redis) as pinging,
        Placed("silent", redis, changes={"heartbeat": SILENT}) as silent,
        contextlib.AsyncExitStack() as stack,
    ):
        urls = []
        for server in (pinging, silent):
            for kind in PROXIES:
                folder = tmp_path / f"{kind.name}-{server.name}"
                proxy = await stack.enter_async_context(kind(folder, [server.client_port] * 2))
                urls.append(proxy.url)
        groups = [await stack.enter_async_context(clients_of(urls, transport)) for transport in TRANSPORTS]
        for group in groups:
            await all_connected(group, within=WITHIN)
        await asyncio.sleep(IDLE_SECONDS)
        for group in groups:
            await all_connected(group, within=WITHIN)
            lost = {event.client for event in group.record.lost_connections()}
            assert lost == ended, (group.options.transport, lost)


def clients_of(urls: list[str], transport: Transport) -> JavaScriptClients:
    """Return a client for each URL."""
    tokens = [connection_token(TOKEN_SECRET, f"user-{number}") for number in range(len(urls))]
    return JavaScriptClients(ClientOptions(urls, count=len(urls), tokens=tokens, transport=transport))
