"""Kept-alive connections of the server API, and detection of an unused API."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

import aiohttp
import pytest

from realtime_server.admin.api_keys import ApiKeys
from realtime_server.admin.api_server import ApiServer
from realtime_server.admin.api_site import ApiSite
from realtime_server.app import make_node
from realtime_server.core.server_api import ServerApi
from realtime_server.listening import bind
from realtime_server.settings import Api, Settings
from tests.kit.redis_process import free_port
from tests.kit.server_doubles import Clock


@dataclass
class World:
    """Site, the state of its server, and a client that keeps its connections alive."""

    site: ApiSite
    clock: Clock
    url: str
    client: aiohttp.ClientSession
    serves: bool = True

    async def call(self, path: str = "/health") -> str:
        """Send a call and return the Connection header of the answer."""
        async with self.client.get(self.url + path) as response:
            await response.read()
            return response.headers.get("Connection", "keep-alive").lower()


@contextlib.asynccontextmanager
async def opened(*, keeps_connections: bool = True) -> AsyncIterator[World]:
    """Start a site that listens."""
    port, clock = free_port(), Clock()
    server = ApiServer(ServerApi(make_node(Settings())), ApiKeys.of(Api()))
    connector = aiohttp.TCPConnector(force_close=not keeps_connections)
    async with aiohttp.ClientSession(connector=connector) as client:
        site = ApiSite(server, keeps=lambda: world.serves, clock=clock)
        world = World(site, clock, f"http://127.0.0.1:{port}", client)
        await site.setup()
        bound = bind("127.0.0.1", port, shared=True)
        bound.setblocking(False)
        stop = await site.accept(bound)
        try:
            yield world
        finally:
            await stop()
            await client.close()
            await site.close()


@pytest.mark.parametrize("path", ["/health", "/api/openapi.json", "/nowhere", "/api/publish"])
async def test_answers_say_whether_the_connection_is_kept(path: str) -> None:
    """The Connection header depends on the server's state at the time of the answer."""
    async with opened() as world:
        for serves, expected in ((True, "keep-alive"), (False, "close"), (True, "keep-alive")):
            world.serves = serves
            assert await world.call(path) == expected


async def test_a_site_is_unused_when_nobody_has_called_lately() -> None:
    """A site is unused at the start, and again some time after the last call."""
    async with opened(keeps_connections=False) as world:
        assert world.site.is_unused(5)
        await world.call()
        assert not world.site.is_unused(5)
        world.clock.now += 5
        assert world.site.is_unused(5)


async def test_a_site_with_an_open_connection_is_used() -> None:
    """A site with an open connection is in use, however old its last call is."""
    async with opened() as world:
        await world.call()
        world.clock.now += 3600
        assert not world.site.is_unused(5)
