"""Leave of a server while backends publish over kept connections: no call fails, nothing is lost or doubled."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from realtime_operator.api.base import JsonObject, JsonValue
from realtime_operator.api.document import objects_at
from tests.component.supervisor.processes import clients_of
from tests.kit.balancer import Balancer
from tests.kit.deadline import eventually
from tests.kit.document import dig
from tests.kit.kept_alive import Backend, go_on, publishing_backends, stop_backends
from tests.kit.raw_client import RawStream, raw_stream
from tests.kit.redis_process import RedisProcess, running_redis
from tests.kit.server_process import API_KEY, ServerProcess

SETTLE_SECONDS = 2.0
ENDPOINT_SECONDS = 1.0
"""Time for which new connections still reach a leaving server: kube-proxy takes about a second."""
DELAY_SECONDS = 0.02
"""Network delay between backend and server: a server that closes a connection does not know of requests under way."""
INTERVALS = (0.02, 0.7)
CALLS = 2
"""Calls of each backend before a server leaves, and again afterwards."""
DRAIN: JsonObject = {"connections_per_second": 20, "timeout_seconds": 20, "settle_seconds": SETTLE_SECONDS}
END_SECONDS = 20.0


@pytest.fixture
def redis() -> Iterator[RedisProcess]:
    """Start the servers' backplane."""
    with running_redis() as process:
        yield process


async def command(server: ServerProcess, name: str) -> None:
    """Run a command of the server's program next to it, as a preStop hook does."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", "realtime_server", name, "--config", str(server.log.parent / "config.json")
    )
    assert await process.wait() == 0


async def stop(server: ServerProcess) -> None:
    """Send SIGTERM and wait for the end."""
    assert server.process is not None
    server.process.terminate()
    async with asyncio.timeout(END_SECONDS):
        assert await server.process.wait() == 0


async def retire(server: ServerProcess) -> None:
    """Act as the operator does: quiesce, settle, drain, and only then stop."""
    await server.admin("POST", "quiesce")
    await asyncio.sleep(SETTLE_SECONDS)
    await server.admin("POST", "drain", {"connections_per_second": 100})
    await eventually(server.state, lambda state: state == "drained", what="drained", within=END_SECONDS)
    await stop(server)


async def retire_at_once(server: ServerProcess) -> None:
    """Drain so fast that it is over before anyone has looked."""
    await server.admin("POST", "drain", {"connections_per_second": 1000})
    await stop(server)


async def evict(server: ServerProcess) -> None:
    """Act as the kubelet does when a pod is evicted."""
    await command(server, "drain")
    await stop(server)


Leave = Callable[[ServerProcess], Awaitable[None]]
WAYS: tuple[Leave, ...] = (retire, retire_at_once, evict, stop)


async def stored(server: ServerProcess, channel: str) -> list[tuple[int, int]]:
    """Return sequence number and offset of all retained publications of the channel."""
    async with server.api() as api:
        result = await api.call("history", channel=channel, limit=-1)
    found = []
    for publication in objects_at(result, "publications"):
        sequence, offset = dig(publication, "data", "sequence"), publication["offset"]
        assert isinstance(sequence, int)
        assert isinstance(offset, int)
        found.append((sequence, offset))
    return found


async def nothing_is_missing(server: ServerProcess, backends: list[Backend]) -> None:
    """Assert that no call has failed, and that each confirmed publication is kept once, in order, at its offset."""
    assert [failure for backend in backends for failure in backend.failed] == []
    for backend in backends:
        assert await stored(server, backend.channel) == sorted(backend.confirmed.items())


@pytest.mark.parametrize("leave", WAYS, ids=lambda way: way.__name__)
async def test_a_server_behind_a_service(redis: RedisProcess, leave: Leave) -> None:
    """New connections reach the server for another second; open ones stay until it closes them."""
    async with (
        ServerProcess("stays", redis, drain=DRAIN) as stays,
        ServerProcess("leaves", redis, drain=DRAIN, workers=2) as leaves,
        Balancer([stays.api_port, leaves.api_port], delay=DELAY_SECONDS) as balancer,
        clients_of(leaves, 10),
        publishing_backends(f"http://127.0.0.1:{balancer.port}", API_KEY, intervals=INTERVALS) as backends,
    ):
        await go_on(backends, CALLS)
        leaving = asyncio.create_task(leave_by(leave, leaves), name="leave")
        await asyncio.sleep(ENDPOINT_SECONDS)
        balancer.endpoints = [stays.api_port]
        await leaving
        await go_on(backends, CALLS)
        await stop_backends(backends)
        await nothing_is_missing(stays, backends)


async def leave_by(leave: Leave, server: ServerProcess) -> None:
    """Let a server leave, in one of the ways."""
    await leave(server)


class Neighbour(ServerProcess):
    """Server that shares the ports of another one."""

    def __init__(
        self, name: str, redis: RedisProcess, ports: tuple[int, int] | None = None, **changes: JsonValue
    ) -> None:
        super().__init__(name, redis, **changes)
        if ports is not None:
            self.client_port, self.api_port = ports
        self._changes["listen"] = {
            "host": "127.0.0.1",
            "client_port": self.client_port,
            "api_port": self.api_port,
            "admin_port": self.admin_port,
            "shared": True,
        }


@pytest.mark.parametrize("leave", WAYS, ids=lambda way: way.__name__)
async def test_servers_that_share_a_port(redis: RedisProcess, leave: Leave) -> None:
    """A leaving server closes its own socket, and the kernel directs new connections to the other one."""
    async with Neighbour("stays", redis, drain=DRAIN) as stays:
        ports = (stays.client_port, stays.api_port)
        async with (
            Neighbour("leaves", redis, ports, drain=DRAIN, workers=2) as leaves,
            publishing_backends(f"http://127.0.0.1:{stays.api_port}", API_KEY, intervals=INTERVALS) as backends,
        ):
            await go_on(backends, CALLS)
            await leave(leaves)
            await go_on(backends, CALLS)
            await stop_backends(backends)
            await nothing_is_missing(stays, backends)


# one connection


def call(body: JsonObject, method: str = "publish") -> bytes:
    """Return the bytes of a call."""
    document = json.dumps(body)
    return (
        f"POST /api/{method} HTTP/1.1\r\nHost: server\r\nX-API-Key: {API_KEY}\r\n"
        f"Content-Length: {len(document)}\r\n\r\n{document}"
    ).encode()


@dataclass
class Kept:
    """Server with a used connection to its API."""

    server: ServerProcess
    stream: RawStream

    async def is_kept(self) -> bool:
        """Return True when the answer to another call leaves the connection open; a closing answer must say so."""
        await self.stream.send(call({}, "info"))
        status, headers = await self.stream.response()
        assert status == 200
        if headers.get("connection", "").lower() != "close":
            return True
        await self.stream.ended()
        return False


@asynccontextmanager
async def kept(**changes: JsonValue) -> AsyncIterator[Kept]:
    """Open a connection that the server keeps."""
    async with ServerProcess("keeps", None, **changes) as server, raw_stream(server.api_port) as stream:
        found = Kept(server, stream)
        assert await found.is_kept()
        yield found


async def test_a_server_that_is_back_keeps_connections() -> None:
    """A quiesced server keeps idle connections until their next call."""
    async with kept() as connection:
        await connection.server.admin("POST", "quiesce")
        await connection.server.admin("POST", "resume")
        assert await connection.is_kept()
        await connection.server.admin("POST", "shed", {"connections": 1, "connections_per_second": 1})
        assert await connection.is_kept()
        await connection.server.admin("POST", "quiesce")
        assert not await connection.is_kept()


@pytest.mark.parametrize("path", ["/health", "/api/openapi.json", "/nowhere"])
async def test_every_answer_of_a_quiesced_server_is_the_last_of_its_connection(path: str) -> None:
    """Error answers close the connection too."""
    async with kept() as connection:
        await connection.server.admin("POST", "drain", {"connections_per_second": 1})
        await connection.stream.send(f"GET {path} HTTP/1.1\r\nHost: server\r\n\r\n".encode())
        _, headers = await connection.stream.response()
        assert headers["connection"] == "close"
        await connection.stream.ended()


async def test_a_call_that_is_being_sent_at_the_end_is_answered() -> None:
    """The first half of the call is sent before SIGTERM, the second when nothing else keeps the server running."""
    async with kept(drain={"settle_seconds": 0}) as connection:
        whole = call({"channel": "chat:a", "data": "a" * 100_000})
        await connection.stream.send(whole[:50_000])
        ending = asyncio.create_task(stop(connection.server), name="stop")
        await asyncio.sleep(1.5)
        await connection.stream.send(whole[50_000:])
        status, headers = await connection.stream.response()
        assert (status, headers["connection"]) == (200, "close")
        await ending


async def test_a_call_that_runs_at_the_end_is_answered(redis: RedisProcess) -> None:
    """The call waits for Redis."""
    async with (
        ServerProcess("waits", redis, drain={"settle_seconds": 0}) as server,
        raw_stream(server.api_port) as stream,
    ):
        redis.freeze()
        try:
            await stream.send(call({"channel": "chat:frozen", "data": 1}))
            ending = asyncio.create_task(stop(server), name="stop")
            await asyncio.sleep(1)
        finally:
            redis.thaw()
        status, headers = await stream.response()
        assert (status, headers["connection"]) == (200, "close")
        await ending


async def test_a_server_that_nobody_calls_ends_at_once() -> None:
    """Without calls the server does not wait for the settle time, also when told twice."""
    loop = asyncio.get_running_loop()
    async with ServerProcess("alone", None, drain={"settle_seconds": 60}) as server:
        began = loop.time()
        await stop(server)
        assert loop.time() - began < 3
    async with kept(drain={"settle_seconds": 60}) as connection:
        began = loop.time()
        ending = asyncio.create_task(stop(connection.server), name="stop")
        await eventually(connection.server.state, lambda state: state == "drained", what="drained", within=5)
        assert not ending.done()
        assert connection.server.process is not None
        connection.server.process.terminate()
        await ending
        assert loop.time() - began < 5
