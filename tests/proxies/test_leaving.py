"""New clients and requests while a server is quiesced or killed behind each proxy."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import aiohttp
import pytest

from realtime_operator.api.base import JsonObject
from tests.kit.deadline import eventually
from tests.kit.proxies import Caddy, Nginx, Proxy
from tests.kit.raw_client import raw_client
from tests.kit.redis_process import RedisProcess
from tests.kit.server_process import TOKEN_SECRET, ServerProcess
from tests.kit.tokens import connection_token
from tests.proxies.conftest import WITHIN, Site, command_of_a_client, end, site

pytestmark = pytest.mark.timeout(300)
SENDERS = 8
ROUNDS = 3


async def where(behind: Site, count: int = 12) -> dict[str, int]:
    """Connect clients by WebSocket, all of which must get in at the first try; return how many each server has."""
    async with contextlib.AsyncExitStack() as stack:
        for number in range(count):
            client = await stack.enter_async_context(raw_client(behind.proxy.url))
            await client.connect(connection_token(TOKEN_SECRET, f"user-{number}"))
        return await behind.connections()


async def taken_up(behind: Site, server: ServerProcess) -> None:
    """Wait until the proxy sends new clients to a server."""
    await eventually(lambda: where(behind), lambda found: found[server.name] > 0, what="taken up", within=WITHIN)


async def test_new_clients_go_to_the_server_that_takes_them(
    kind: type[Proxy], tmp_path: Path, redis: RedisProcess
) -> None:
    """The quiesced server leaves its port: nobody gets in there, and nobody is refused, from the first moment.

    Nor does anybody by sockets that the proxy has kept. The same holds when the other one is gone.
    """
    async with site(kind, tmp_path, redis) as behind:
        await behind.keep_sockets()
        await behind.one.admin("POST", "quiesce")
        assert await where(behind) == {"one": 0, "two": 12}
        await behind.one.admin("POST", "resume")
        await taken_up(behind, behind.one)
        await end(behind.two)
        assert await where(behind) == {"one": 12}


async def test_checks_find_a_quiesced_server_that_keeps_its_port(
    kind: type[Proxy], tmp_path: Path, redis: RedisProcess
) -> None:
    """HAProxy, Caddy and Apache ask /health each second; nginx cannot, and needs a server that leaves its port."""
    async with site(kind, tmp_path, redis, listen={"shared": False}) as behind:
        await behind.one.admin("POST", "quiesce")
        if kind is Nginx:
            await asyncio.sleep(3)
            assert (await where(behind))["one"] > 0
        else:
            await eventually(lambda: where(behind), lambda found: found["one"] == 0, what="left out", within=WITHIN)


async def test_nginx_repeats_at_one_address_what_a_kept_socket_does_not_take(
    tmp_path: Path, redis: RedisProcess
) -> None:
    """As in front of a Service: nobody is refused, though the server behind is quiesced, and no other is there."""
    alone = {"server 10.0.0.2:8000 max_fails=0;": "# 10.0.0.2:8000"}
    async with site(Nginx, tmp_path, redis, alone, listen={"shared": False}) as behind:
        await behind.keep_sockets(behind.one)
        await behind.one.admin("POST", "quiesce")
        assert await where(behind, 24) == {"one": 24, "two": 0}


async def test_requests_on_kept_sockets_are_answered_while_servers_are_quiesced(
    kind: type[Proxy], tmp_path: Path, redis: RedisProcess
) -> None:
    """A POST that the proxy sends on a socket which it has kept must not meet a closed one: it is sent once.

    Without `trusted_proxies` every proxy answered some with 502, and HAProxy closed some without an answer. Caddy 2.6
    does not send a POST again that was refused, so its server keeps its port.
    """
    statuses: list[int] = []

    async def send(session: aiohttp.ClientSession, url: str, command: str) -> None:
        while True:
            async with session.post(url, data=command) as response:
                statuses.append(response.status)
            await asyncio.sleep(0.005)

    async def answered(count: int) -> None:
        wanted = len(statuses) + count

        async def so_far() -> int:
            return len(statuses)

        await eventually(so_far, lambda found: found >= wanted, what="requests are answered", within=WITHIN)

    listen: JsonObject = {"shared": kind is not Caddy}
    async with site(kind, tmp_path, redis, listen=listen) as behind, aiohttp.ClientSession() as session:
        command = await command_of_a_client(session, behind.proxy.http)
        senders = [
            asyncio.create_task(send(session, f"{behind.proxy.http}/emulation", command)) for _ in range(SENDERS)
        ]
        try:
            for server in [behind.one, behind.two] * ROUNDS:
                await answered(100)
                await server.admin("POST", "quiesce")
                await answered(100)
                await server.admin("POST", "resume")
                await taken_up(behind, server)
        finally:
            for sender in senders:
                sender.cancel()
            ends = await asyncio.gather(*senders, return_exceptions=True)
        assert all(isinstance(one, asyncio.CancelledError) for one in ends), ends
        assert set(statuses) == {204}
