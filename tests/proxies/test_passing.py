"""What passes through each proxy: events one by one, codes and reasons, addresses; and where new clients get in."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import aiohttp
import pytest
from websockets.exceptions import InvalidStatus

from realtime_operator.api.base import JsonObject
from tests.kit.clients import Disconnected, StockClients, all_subscribed
from tests.kit.http_backend import HttpBackend
from tests.kit.proxies import HaProxy, Nginx, Proxy
from tests.kit.raw_client import raw_client
from tests.kit.redis_process import RedisProcess
from tests.kit.server_process import TOKEN_SECRET
from tests.kit.tokens import connection_token
from tests.proxies.conftest import CHAT, LOOPBACK, TRANSPORTS, WITHIN, Site, site

pytestmark = pytest.mark.timeout(300)
HELD_BACK_SECONDS = 0.15
"""Delay of an event that a proxy has held back: HAProxy waits for 200 ms. The fastest of several others takes less."""
FEW, MANY = 8, 80
"""Events that are all held back; and events of which one is not, on however slow a machine."""
ORIGIN = "https://app.example"


async def fastest(behind: Site, clients: StockClients, tries: int) -> float:
    """Return the shortest delay in seconds of events that are published one at a time, until one was not held back."""
    delays: list[float] = []
    async with behind.two.api() as api:
        while len(delays) < tries and min(delays, default=HELD_BACK_SECONDS) >= HELD_BACK_SECONDS:
            await asyncio.sleep(0.3)
            began = time.time()
            await api.publish(CHAT.name, {"number": len(delays)})
            got = len(delays) + 1
            await clients.record.wait(lambda r, got=got: len(r.publications()) == got, what="the event")  # type: ignore[misc]
            delays.append(clients.record.publications()[-1].at - began)
    return min(delays)


async def test_each_event_passes_at_once(kind: type[Proxy], tmp_path: Path, redis: RedisProcess) -> None:
    """By every transport."""
    async with site(kind, tmp_path, redis) as behind:
        for transport in TRANSPORTS:
            async with behind.clients(transport, count=1) as clients:
                await all_subscribed(clients, within=WITHIN)
                assert await fastest(behind, clients, MANY) < HELD_BACK_SECONDS, transport


async def test_haproxy_holds_events_back_without_its_option(tmp_path: Path, redis: RedisProcess) -> None:
    """`option http-no-delay` is needed."""
    without = {"  option http-no-delay ": "  # "}
    async with site(HaProxy, tmp_path, redis, without) as behind, behind.clients("sse", count=1) as clients:
        await all_subscribed(clients, within=WITHIN)
        assert await fastest(behind, clients, FEW) >= HELD_BACK_SECONDS


async def test_nginx_takes_no_websocket_by_its_default_version(tmp_path: Path, redis: RedisProcess) -> None:
    """Without `proxy_http_version 1.1` the server answers 426, and passes SSE on."""
    async with (
        site(Nginx, tmp_path, redis, {"proxy_http_version 1.1;": ""}) as behind,
        behind.clients("sse", count=1) as others,
    ):
        await all_subscribed(others, within=WITHIN)
        with pytest.raises(InvalidStatus) as refused:
            async with raw_client(behind.proxy.url):
                pass
        assert refused.value.response.status_code == 426


# codes, reasons, statuses


async def test_codes_and_reasons_reach_the_client(kind: type[Proxy], tmp_path: Path, redis: RedisProcess) -> None:
    """A refused client gets 3500, and one that your backend disconnects gets its code. No token is in the log."""
    refused: JsonObject = {"code": 4501, "reason": "banned for a day"}
    token = connection_token(TOKEN_SECRET, "mallory")
    async with site(kind, tmp_path, redis) as behind, behind.one.api() as api:
        for transport in TRANSPORTS:
            async with behind.clients(transport, count=1, token="wrong") as clients:
                assert await end_of(clients) == (3500, "invalid token")
            async with behind.clients(transport, count=1, token=token) as clients:
                await all_subscribed(clients, within=WITHIN)
                await api.call("disconnect", user="mallory", disconnect=refused)
                assert await end_of(clients) == (4501, "banned for a day")
        assert token.partition(".")[0] not in behind.proxy.log


async def end_of(clients: StockClients) -> tuple[int, str]:
    """Return code and reason with which the one client is disconnected for good."""
    await clients.record.wait(lambda r: r.first(Disconnected) is not None, what="disconnected", within=WITHIN)
    event = clients.record.first(Disconnected)
    assert isinstance(event, Disconnected)
    return event.code, event.reason


async def test_statuses_and_bodies_of_the_server_are_passed_on(
    kind: type[Proxy], tmp_path: Path, redis: RedisProcess
) -> None:
    """No proxy replaces an error by its own page, and no answer about a page of another origin gets lost."""
    async with site(kind, tmp_path, redis, origins=[ORIGIN]) as behind, aiohttp.ClientSession() as session:
        for path, headers, expected, said in (
            ("/connection/sse", {"Origin": "https://evil.example"}, 403, '"code":403'),
            ("/connection/sse", {"Origin": ORIGIN}, 400, '"code":400'),
            ("/nowhere", {}, 404, '"code":404'),
            ("/connection/websocket", {}, 426, "WebSocket"),
        ):
            url = f"{behind.proxy.http}{path}"
            async with session.get(url, headers=headers) as response:
                assert (response.status, said in await response.text()) == (expected, True)


# the client's address


async def test_the_clients_address_is_passed_on(kind: type[Proxy], tmp_path: Path, redis: RedisProcess) -> None:
    """With `trusted_proxies` hooks get the address of the client, and not one that it claims."""
    async with HttpBackend({"connect": lambda _: {"result": {"user": "alice"}}}) as backend:
        hooks: JsonObject = {"connect": {"url": backend.url("connect")}}
        async with site(kind, tmp_path, redis, hooks=hooks) as behind:
            await connect_from("127.0.0.2", behind.proxy.port, {"X-Forwarded-For": "203.0.113.9"})
            assert [body["remote_address"] for body in backend.bodies("connect")] == ["127.0.0.2"]


async def connect_from(address: str, port: int, headers: dict[str, str]) -> None:
    """Connect by SSE from an address of this machine, with headers, until the first event."""
    url = f"http://127.0.0.1:{port}/connection/sse"
    connector = aiohttp.TCPConnector(local_addr=(address, 0))
    async with (
        aiohttp.ClientSession(connector=connector, headers=headers) as session,
        session.get(url, params={"cf_connect": '{"id":1,"connect":{}}'}) as response,
    ):
        assert response.status == 200
        assert b'"connect"' in await response.content.readline()


async def test_haproxy_sends_the_proxy_protocol(tmp_path: Path, redis: RedisProcess) -> None:
    """With `send-proxy-v2` and `proxy_protocol` the servers get the address from it; checks send it too."""
    lines = {"default-server check ": "default-server send-proxy-v2 check check-send-proxy "}
    async with HttpBackend({"connect": lambda _: {"result": {"user": "alice"}}}) as backend:
        hooks: JsonObject = {"connect": {"url": backend.url("connect")}}
        listen: JsonObject = {"trusted_proxies": [LOOPBACK], "proxy_protocol": True}
        async with site(HaProxy, tmp_path, redis, lines, hooks=hooks, listen=listen) as behind:
            await connect_from("127.0.0.2", behind.proxy.port, {})
            assert [body["remote_address"] for body in backend.bodies("connect")] == ["127.0.0.2"]
