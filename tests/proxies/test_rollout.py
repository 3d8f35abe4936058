"""Changes of servers and of the proxy's configuration, with a publisher and clients of every transport."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from tests.kit.accounting import settle
from tests.kit.api import Publisher, publishing
from tests.kit.clients import StockClients, all_subscribed
from tests.kit.deadline import eventually
from tests.kit.document import whole_at
from tests.kit.proxies import Caddy, Proxy
from tests.kit.redis_process import RedisProcess
from tests.kit.server_process import ServerProcess
from tests.proxies.conftest import CHAT, CHECKED_SECONDS, WITHIN, Placed, end, site

pytestmark = pytest.mark.timeout(300)
RATE = 20.0


async def retire(server: ServerProcess) -> None:
    """Act as the operator does: quiesce, settle, drain, and only then stop."""
    await server.admin("POST", "quiesce")
    await asyncio.sleep(CHECKED_SECONDS)
    await server.admin("POST", "drain", {"connections_per_second": RATE})
    await eventually(server.state, lambda state: state == "drained", what="drained", within=WITHIN)
    assert server.process is not None
    server.process.terminate()
    async with asyncio.timeout(WITHIN):
        assert await server.process.wait() == 0


async def nothing_is_missing(groups: list[StockClients], publisher: Publisher) -> None:
    """Assert that each client got each publication once and in order, and that every recovery succeeded."""
    for group in groups:
        await all_subscribed(group, within=WITHIN)
    await publisher.confirm_more(10, within=WITHIN)
    await publisher.stop()
    assert publisher.failed == []
    for group in groups:
        result = await settle(group, publisher, within=WITHIN)
        assert result.exact, result.describe()
        assert all(event.recovered for event in group.record.recoveries())


async def connections(server: ServerProcess) -> int:
    """Return how many clients a server has."""
    return whole_at(await server.admin("GET", "status"), "connections")


async def test_a_rollout_behind_a_proxy_loses_nothing(kind: type[Proxy], tmp_path: Path, redis: RedisProcess) -> None:
    """Both servers are replaced at their addresses, and clients are disconnected by the two drains alone."""
    async with (
        site(kind, tmp_path, redis) as behind,
        Placed("beside", redis) as beside,
        beside.api() as api,
        behind.subscribers() as groups,
        publishing(api, CHAT.name, per_second=20) as publisher,
    ):
        await behind.keep_sockets()
        await retire(behind.one)
        async with Placed("new", redis, behind.one.client_port) as new:
            await asyncio.sleep(CHECKED_SECONDS)
            await retire(behind.two)
            await nothing_is_missing(groups, publisher)
            assert await connections(new) == sum(group.options.count for group in groups)
            for group in groups:
                lost = group.record.lost_connections()
                assert {event.code for event in lost} == {3011}, lost
                if group.options.transport != "http_stream":  # its POST is not repeated, and so taken on a kept socket
                    assert max(Counter(event.client for event in lost).values()) <= 2, lost


async def test_a_reload_with_open_connections(kind: type[Proxy], tmp_path: Path, redis: RedisProcess) -> None:
    """All proxies but Caddy keep open connections, and take new clients to the new list of servers.

    Caddy cuts every WebSocket, and no stream; the clients come back and recover.
    """
    async with (
        site(kind, tmp_path, redis) as behind,
        Placed("three", redis) as three,
        three.api() as api,
        behind.subscribers() as groups,
        publishing(api, CHAT.name, per_second=20) as publisher,
    ):
        await behind.proxy.reload([behind.one.client_port, three.client_port])
        await asyncio.sleep(CHECKED_SECONDS)
        async with behind.clients("websocket", count=6) as late:
            await all_subscribed(late, within=WITHIN)
            assert await connections(three) > 0
        await nothing_is_missing(groups, publisher)
        for group in groups:
            cut = {event.client for event in group.record.lost_connections()}
            is_cut = kind is Caddy and group.options.transport == "websocket"
            expected = set(range(group.options.count)) if is_cut else set()
            assert cut == expected, (group.options.transport, cut)


async def test_a_killed_server_costs_its_clients_a_recovery(
    kind: type[Proxy], tmp_path: Path, redis: RedisProcess
) -> None:
    """All clients are with the other server afterwards, and nothing is missing."""
    async with (
        site(kind, tmp_path, redis) as behind,
        behind.two.api() as api,
        behind.subscribers() as groups,
        publishing(api, CHAT.name, per_second=20) as publisher,
    ):
        await end(behind.one)
        total = sum(group.options.count for group in groups)

        async def moved() -> int:
            return await connections(behind.two)

        await eventually(moved, lambda count: count == total, what="all with the other", within=WITHIN)
        await nothing_is_missing(groups, publisher)
