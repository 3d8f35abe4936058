"""Servers behind each proxy, and clients of every transport through it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import operator
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import aiohttp
import pytest

from realtime_operator.api.base import JsonValue
from tests.kit.clients import Channel, ClientOptions, StockClients, Transport, all_subscribed
from tests.kit.deadline import eventually
from tests.kit.document import object_at, parse, whole_at
from tests.kit.listener import accepts
from tests.kit.proxies import PROXIES, Proxy
from tests.kit.python_sdk import PythonClients
from tests.kit.redis_process import RedisProcess, running_redis
from tests.kit.sdk import JavaScriptClients
from tests.kit.server_process import TOKEN_SECRET, ServerProcess
from tests.kit.tokens import connection_token

CHAT = Channel("chat:room", recoverable=True)
GROUPS: tuple[tuple[type[JavaScriptClients | PythonClients], Transport], ...] = (
    (JavaScriptClients, "websocket"),
    (PythonClients, "websocket"),
    (JavaScriptClients, "sse"),
    (JavaScriptClients, "http_stream"),
)
TRANSPORTS: tuple[Transport, ...] = ("websocket", "sse", "http_stream")
LOOPBACK = "127.0.0.1/32"
KEPT = 20
"""Requests at the same time, after which every proxy has kept sockets: it keeps those that had no other to wait for."""
WITHIN = 30.0
CHECKED_SECONDS = 3.0
"""Time in which every proxy has usually noticed a change of a server: they check each second."""


class Placed(ServerProcess):
    """Server that trusts the proxies, and leaves its port while it is quiesced (`listen.shared`).

    `port` is that of one that was there before; `changes` replace top-level fields of the configuration.
    """

    def __init__(
        self,
        name: str,
        redis: RedisProcess,
        port: int | None = None,
        changes: Mapping[str, JsonValue] = MappingProxyType({}),
    ) -> None:
        listen = changes.get("listen", {})
        assert isinstance(listen, dict)
        listen = {"shared": True, "trusted_proxies": [LOOPBACK], **listen}
        super().__init__(name, redis, **{**changes, "listen": listen})
        if port is not None:
            self.client_port = self.listen["client_port"] = port


async def established(port: int) -> int:
    """Return the number of open sockets of a port of this machine."""
    process = await asyncio.create_subprocess_exec(
        "ss", "-Htn", "state", "established", f"( sport = :{port} )", stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    assert process.returncode == 0
    return len(out.splitlines())


async def command_of_a_client(session: aiohttp.ClientSession, url: str) -> str:
    """Return the body of a command of an SSE client, which is answered with 204 also after its end."""
    connect = json.dumps({"id": 1, "connect": {"token": connection_token(TOKEN_SECRET, "keeper")}})
    async with session.get(f"{url}/connection/sse", params={"cf_connect": connect}) as response:
        line = await response.content.readline()
    reply = object_at(parse(line.removeprefix(b"data: ")), "connect")
    return json.dumps({"session": reply["session"], "node": reply["node"], "data": "{}"})


async def end(server: ServerProcess) -> None:
    """Kill a server, and wait until its workers have ended too and its port refuses connections."""
    assert server.process is not None
    server.process.kill()
    await server.process.wait()
    await eventually(
        lambda: accepts("127.0.0.1", server.client_port),
        operator.not_,
        what=f"server {server.name} has ended",
        within=WITHIN,
    )


@pytest.fixture
def redis() -> Iterator[RedisProcess]:
    """Start the servers' backplane."""
    with running_redis() as process:
        yield process


@pytest.fixture(params=PROXIES, ids=lambda kind: kind.name)
def kind(request: pytest.FixtureRequest) -> type[Proxy]:
    """Return each proxy in turn."""
    found: type[Proxy] = request.param
    return found


@dataclass(frozen=True, slots=True)
class Site:
    """Two servers behind a proxy."""

    proxy: Proxy
    one: ServerProcess
    two: ServerProcess

    def clients(
        self,
        transport: Transport,
        *,
        sdk: type[JavaScriptClients | PythonClients] = JavaScriptClients,
        count: int = 2,
        token: str | None = None,
    ) -> StockClients:
        """Return clients that subscribe to CHAT through the proxy."""
        tokens = [connection_token(TOKEN_SECRET, f"user-{n}") if token is None else token for n in range(count)]
        return sdk(
            ClientOptions(
                [self.proxy.url],
                count=count,
                channels=[CHAT],
                tokens=tokens,
                transport=transport,
                min_reconnect_delay=0.1,
                max_reconnect_delay=1.0,
            )
        )

    async def connections(self) -> dict[str, int]:
        """Return how many clients each server has that runs."""
        running = [one for one in (self.one, self.two) if one.process is not None and one.process.returncode is None]
        return {one.name: whole_at(await one.admin("GET", "status"), "connections") for one in running}

    async def keep_sockets(self, *servers: ServerProcess) -> None:
        """Let the proxy keep idle sockets to these servers, by default to both."""

        async def post(session: aiohttp.ClientSession, body: str) -> int:
            async with session.post(f"{self.proxy.http}/emulation", data=body) as response:
                return response.status

        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector) as session:
            body = await command_of_a_client(session, self.proxy.http)
            assert set(await asyncio.gather(*(post(session, body) for _ in range(KEPT)))) == {204}
        connections = await self.connections()
        for server in servers or (self.one, self.two):
            assert await established(server.client_port) > connections[server.name], "the proxy has kept no socket"

    @contextlib.asynccontextmanager
    async def subscribers(self, count: int = 4) -> AsyncIterator[list[StockClients]]:
        """Run subscribed clients of every transport, `count` each, while the body runs."""
        async with contextlib.AsyncExitStack() as stack:
            groups = [
                await stack.enter_async_context(self.clients(transport, sdk=sdk, count=count))
                for sdk, transport in GROUPS
            ]
            for group in groups:
                await all_subscribed(group, within=WITHIN)
            yield groups


@contextlib.asynccontextmanager
async def site(
    kind: type[Proxy], folder: Path, redis: RedisProcess, lines: Mapping[str, str] | None = None, **changes: JsonValue
) -> AsyncIterator[Site]:
    """Start two servers and a proxy. `lines` changes the proxy's configuration, `changes` that of the servers."""
    async with (
        Placed("one", redis, changes=changes) as one,
        Placed("two", redis, changes=changes) as two,
        kind(folder / kind.name, [one.client_port, two.client_port], lines) as proxy,
    ):
        yield Site(proxy, one, two)
