"""Connection state recovery with npm's client: on another server it goes on with its id, its rooms and every event."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Self

import pytest
import pytest_asyncio

from realtime_operator.api.base import JsonObject
from tests.component.socket_io.conftest import SDKS
from tests.component.supervisor.processes import children_of
from tests.kit.api import ServerApi
from tests.kit.balancer import Balancer
from tests.kit.deadline import eventually
from tests.kit.redis_process import RedisProcess, running_redis
from tests.kit.request_balancer import RequestBalancer
from tests.kit.server_process import NAMESPACES, TOKEN_SECRET, ServerProcess
from tests.kit.socket_io import JavaScriptSocketIo, SocketOptions, SocketRecord
from tests.kit.tokens import connection_token

GUIDE = Path(__file__).parents[3] / "docs" / "guides" / "socket-io.md"
pytestmark = pytest.mark.asyncio(loop_scope="module")
PROTOCOLS: JsonObject = {
    "socket_io": {"enabled": True, "namespaces": [{"name": "/rooms", "channel_namespace": "rooms"}]}
}
ROOMS: JsonObject = {
    "name": "rooms",
    "history": {"size": 1000, "ttl_seconds": 300},
    "recovery": True,
    "ordered": True,
    "publish": "subscribers",
    "subscribe": "anyone",
}
GRANTED, JOINED = ("rooms:a", "rooms:b"), "rooms:c"
SECONDS = 0.02
"""Time between two publications."""


@contextlib.asynccontextmanager
async def a_server(name: str, redis: RedisProcess) -> AsyncIterator[ServerProcess]:
    """Start a server of the cluster."""
    async with ServerProcess(name, redis, protocols=PROTOCOLS, namespaces=[*NAMESPACES, ROOMS]) as process:
        yield process


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def redis() -> AsyncIterator[RedisProcess]:
    """Start a Redis."""
    with running_redis() as process:
        yield process


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def one(redis: RedisProcess) -> AsyncIterator[ServerProcess]:
    """Start a server."""
    async with a_server("a", redis) as process:
        yield process


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def other(redis: RedisProcess) -> AsyncIterator[ServerProcess]:
    """Start another server."""
    async with a_server("b", redis) as process:
        yield process


def kill_tree(pid: int) -> None:
    """Kill the processes of a server at once."""
    for each in (pid, *children_of(pid)):
        os.kill(each, signal.SIGKILL)


def socket(user: str) -> SocketOptions:
    """Return a socket that is in two rooms from the beginning."""
    return SocketOptions("/rooms", {"token": connection_token(TOKEN_SECRET, user, channels=[*GRANTED])})


def client_at(balancer: Balancer, user: str, transports: Sequence[str] = ("websocket",)) -> JavaScriptSocketIo:
    """Return a client."""
    return JavaScriptSocketIo(f"http://127.0.0.1:{balancer.port}", transports, [socket(user)])


class Publisher:
    """Publisher in all rooms in turn, 50 times a second, while its context is entered."""

    def __init__(self, api: ServerApi) -> None:
        self.count = 0
        self._api = api
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Begin."""
        self._task = asyncio.create_task(self._publish(), name="publisher")
        return self

    async def __aexit__(self, *_: object) -> None:
        """End."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _publish(self) -> None:
        for room in itertools.cycle((*GRANTED, JOINED)):
            await asyncio.shield(self._api.publish(room, ["tick", self.count]))
            self.count += 1
            await asyncio.sleep(SECONDS)

    async def wait(self, more: int) -> None:
        """Wait until it has published more."""
        until = self.count + more

        async def read() -> int:
            return self.count

        await eventually(read, lambda count: count >= until, what=f"{more} publications", within=30, every=0.01)


async def names(record: SocketRecord, count: int) -> list[str]:
    """Wait until a socket has got so many events, and return their names."""

    async def read() -> int:
        return len(record.events)

    await eventually(read, lambda got: got >= count, what=f"{count} events", within=30, every=0.01)
    return [name for name, _ in record.events]


async def verify(record: SocketRecord, count: int) -> None:
    """Check that the client has got every tick once and in order, and that it recovered each time with its first id."""
    await names(record, count)
    assert [(name, args[0]) for name, args in record.events] == [("tick", number) for number in range(count)]
    assert record.recovered == [False] + [True] * (len(record.ids) - 1)
    assert len(set(record.ids)) == 1


@pytest.mark.parametrize("transports", [["websocket"], ["polling"], ["polling", "websocket"]], ids="-".join)
async def test_a_lost_transport(one: ServerProcess, other: ServerProcess, transports: list[str]) -> None:
    """The client comes back to the other server, and back again, while publications go on."""
    async with (
        Balancer([one.client_port]) as balancer,
        other.api() as api,
        client_at(balancer, "ann", transports) as client,
    ):
        [record] = client.records
        await record.connected()
        assert "offset" in str(await client.emit("subscribe", "c"))
        async with Publisher(api) as publisher:
            for connects, server in ((2, other), (3, one)):
                await publisher.wait(20)
                balancer.endpoints = [server.client_port]
                await client.cut()
                await record.connected(connects)
            await publisher.wait(20)
        await verify(record, publisher.count)


async def test_a_drain(one: ServerProcess, other: ServerProcess) -> None:
    async with Balancer([one.client_port]) as balancer, other.api() as api, client_at(balancer, "bob") as client:
        [record] = client.records
        await record.connected()
        assert "offset" in str(await client.emit("subscribe", "c"))
        async with Publisher(api) as publisher:
            await publisher.wait(20)
            balancer.endpoints = [other.client_port]
            await one.admin("POST", "drain", {"connections_per_second": 50})
            try:
                await record.connected(2)
                await publisher.wait(20)
            finally:
                await one.admin("POST", "resume")
        await verify(record, publisher.count)


async def test_a_killed_server(redis: RedisProcess, other: ServerProcess) -> None:
    """Its state was stored while it lived: the client recovers, with the room that it joined just before."""
    async with (
        a_server("killed", redis) as killed,
        Balancer([killed.client_port]) as balancer,
        other.api() as api,
        client_at(balancer, "cem") as client,
    ):
        [record] = client.records
        await record.connected()
        assert "offset" in str(await client.emit("subscribe", "c"))
        async with Publisher(api) as publisher:
            await publisher.wait(30)
            assert killed.process is not None
            balancer.endpoints = [other.client_port]
            kill_tree(killed.process.pid)
            await record.connected(2)
            await publisher.wait(30)
        await verify(record, publisher.count)


async def test_a_client_without_recovery_asks_for_what_it_missed(
    one: ServerProcess, other: ServerProcess, tmp_path: Path
) -> None:
    """The program of the guide, by python-socketio: every event once and in order, through two moves."""
    found = re.search(r"```python\n(import asyncio\n.*?)^```$", GUIDE.read_text(), re.MULTILINE | re.DOTALL)
    assert found is not None
    program = tmp_path / "catch_up.py"
    program.write_text(found[1].replace("/chat", "/rooms").replace('"lobby"', '"c"'))
    token = connection_token(TOKEN_SECRET, "fay")
    async with Balancer([one.client_port]) as balancer, other.api() as api:
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(program), f"http://127.0.0.1:{balancer.port}", token, stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        try:
            await eventually(one.metrics, lambda text: 'subscriptions{worker="0"} 1.0' in text, what="join", within=30)
            await api.publish(JOINED, ["first"])
            assert await asyncio.wait_for(process.stdout.readline(), 30) == b"first\n"
            async with Publisher(api) as publisher:
                for server, next_one in ((one, other), (other, one)):
                    balancer.endpoints = [next_one.client_port]
                    await server.admin("POST", "drain", {"connections_per_second": 50})
                    await publisher.wait(60)
                    await server.admin("POST", "resume")
                await publisher.wait(30)
            numbers = range(2, publisher.count, 3)
            lines = [await asyncio.wait_for(process.stdout.readline(), 30) for _ in numbers]
            assert lines == [f"tick {number}\n".encode() for number in numbers]
        finally:
            process.kill()
            await process.wait()


@pytest.mark.parametrize("killed_is", ["holder", "relay"])
async def test_a_killed_server_of_an_upgrade_between_two(
    redis: RedisProcess, other: ServerProcess, killed_is: str
) -> None:
    """Whether it had the connection or passed on its WebSocket: the client recovers at the one that is left."""
    async with a_server("killed", redis) as killed:
        ports = [other.client_port, killed.client_port]
        async with (
            RequestBalancer(ports if killed_is == "holder" else [*reversed(ports)]) as balancer,
            other.api() as api,
            JavaScriptSocketIo(
                f"http://127.0.0.1:{balancer.port}", ["polling", "websocket"], [socket(f"hal-{killed_is}")]
            ) as client,
        ):
            [record] = client.records
            await record.connected()
            assert "offset" in str(await client.emit("subscribe", "c"))
            await eventually(client.transport, lambda name: name == "websocket", what="upgraded", within=15, every=0.01)
            assert balancer.upgrades == 1
            assert balancer.opened_at == {(killed if killed_is == "holder" else other).client_port}
            async with Publisher(api) as publisher:
                await publisher.wait(30)
                assert killed.process is not None
                balancer.ports = [other.client_port]
                kill_tree(killed.process.pid)
                await record.connected(2, within=30)
                await publisher.wait(30)
            await verify(record, publisher.count)


async def test_claims_that_give_nothing(one: ServerProcess, other: ServerProcess) -> None:
    """A private id of another user, an unknown one, and bad input begin a new session with the rooms of the token."""
    async with (
        Balancer([one.client_port]) as balancer,
        other.api() as api,
        client_at(balancer, "dan") as owner,
        client_at(balancer, "eve") as client,
    ):
        await owner.records[0].connected()
        assert "offset" in str(await owner.emit("subscribe", "c"))
        await api.publish(JOINED, ["secret"])
        assert await names(owner.records[0], 1) == ["secret"]
        pid, offset = await owner.claimed()
        [record] = client.records
        await record.connected()
        claims = [(pid, offset), ("0" * 32, offset), (pid[:-1], offset), ("x" * 50_000, offset), (pid, "y" * 50_000)]
        for number, claim in enumerate(claims, 2):
            await client.claim(*claim)
            await client.cut()
            await record.connected(number)
        assert record.recovered == [False] * (1 + len(claims))
        assert len(set(record.ids)) == 1 + len(claims)
        await api.publish(JOINED, ["secret"])
        await api.publish(GRANTED[0], ["open"])
        assert await names(record, 1) == ["open"]


async def test_python_clients_come_back_without_recovery(one: ServerProcess, other: ServerProcess) -> None:
    """They know nothing of it: they get the position as one more argument, and a new id."""
    sdk = next(sdk for sdk in SDKS if sdk.name == "python-websocket")
    async with (
        Balancer([one.client_port]) as balancer,
        other.api() as api,
        sdk.make(f"http://127.0.0.1:{balancer.port}", sdk.transports, [socket("fay")]) as client,
    ):
        [record] = client.records
        await record.connected()
        balancer.endpoints = [other.client_port]
        await one.admin("POST", "drain", {"connections_per_second": 50})
        try:
            await record.connected(2)
        finally:
            await one.admin("POST", "resume")
        assert len(set(record.ids)) == 2
        await api.publish(GRANTED[0], ["hi"])
        await api.call("publish", channel=GRANTED[0], data=["hi"], skip_history=True)
        await names(record, 2)
        assert [(name, type(args[-1])) for name, args in record.events] == [("hi", str), ("hi", type(None))]
