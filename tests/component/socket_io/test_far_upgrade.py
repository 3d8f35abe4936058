"""Upgrades whose WebSocket reaches another server than the one that has the polling connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.component.socket_io.conftest import PROTOCOLS, SDKS, Sdk
from tests.kit.api import ServerApi
from tests.kit.deadline import eventually
from tests.kit.document import object_at
from tests.kit.redis_process import running_redis
from tests.kit.request_balancer import RequestBalancer
from tests.kit.server_process import TOKEN_SECRET, ServerProcess
from tests.kit.socket_io import SocketIoClient, SocketOptions
from tests.kit.tokens import connection_token

pytestmark = pytest.mark.asyncio(loop_scope="module")
ROOM = "chat:far"
UPGRADING = pytest.mark.parametrize("sdk", [SDKS[2], SDKS[5]], ids=lambda sdk: sdk.name)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def servers() -> AsyncIterator[tuple[ServerProcess, ServerProcess]]:
    """Start two servers of a cluster."""
    with running_redis() as redis:
        async with (
            ServerProcess("a", redis, protocols=PROTOCOLS) as one,
            ServerProcess("b", redis, protocols=PROTOCOLS) as other,
        ):
            yield one, other


def client_of(balancer: RequestBalancer, sdk: Sdk, user: str) -> SocketIoClient:
    """Return a client that is in the room from the beginning."""
    options = SocketOptions("/chat", {"token": connection_token(TOKEN_SECRET, user, channels=[ROOM])})
    return sdk.make(f"http://127.0.0.1:{balancer.port}", sdk.transports, [options])


async def upgraded(client: SocketIoClient) -> None:
    """Wait until a client goes on by a WebSocket."""
    await eventually(client.transport, lambda name: name == "websocket", what="the upgrade", within=15, every=0.01)


async def publish(api: ServerApi, sent: asyncio.Event) -> int:
    """Publish numbers until the client has sent all of its own; return how many."""
    number = 0
    while not sent.is_set():
        await api.publish(ROOM, ["api", number])
        number += 1
    return number


@UPGRADING
async def test_messages_flow_both_ways_meanwhile(servers: tuple[ServerProcess, ServerProcess], sdk: Sdk) -> None:
    """Every one arrives once and in order, and the client notices nothing else."""
    one, other = servers
    async with (
        RequestBalancer([one.client_port, other.client_port]) as balancer,
        one.api() as api,
        client_of(balancer, sdk, "ann") as client,
    ):
        [record] = client.records
        await record.connected()
        sent = asyncio.Event()
        publishing = asyncio.create_task(publish(api, sent))
        own = 0
        while await client.transport() != "websocket" or own < 50:
            assert await client.emit("publish", "far", "own", own, "x" * own) == [{}]
            own += 1
        await client.send("publish", "far", "message", b"\x00\xff")
        sent.set()
        theirs = await publishing

        async def read() -> int:
            return len(record.events)

        await eventually(read, lambda got: got >= own + theirs + 1, what="all events", within=15, every=0.01)
        found = record.events
        assert [args for name, args in found if name == "own"] == [[number, "x" * number] for number in range(own)]
        assert [args for name, args in found if name == "api"] == [[number] for number in range(theirs)]
        assert [args for name, args in found if name == "message"] == [[b"\x00\xff"]]
        assert (balancer.upgrades, len(record.ids), record.ends) == (1, 1, [])
        presence = object_at(await api.call("presence", channel=ROOM), "presence")
        assert [*presence] == record.ids


@UPGRADING
@pytest.mark.parametrize("drained", ["holder", "other"])
async def test_a_drain_of_either_server_moves_the_client(
    servers: tuple[ServerProcess, ServerProcess], sdk: Sdk, drained: str
) -> None:
    """It is counted at both, comes back by itself, and gets what is published then."""
    async with (
        RequestBalancer([server.client_port for server in servers]) as balancer,
        servers[0].api() as api,
        client_of(balancer, sdk, "bob") as client,
    ):
        [record] = client.records
        await record.connected()
        await upgraded(client)
        holder_is_first = balancer.opened_at == {servers[0].client_port}
        chosen = servers[0] if holder_is_first is (drained == "holder") else servers[1]
        balancer.ports = [server.client_port for server in servers if server is not chosen]
        await chosen.admin("POST", "drain", {"connections_per_second": 50})
        try:
            await record.connected(2)
            await eventually(chosen.state, lambda state: state == "drained", what="drained", within=15, every=0.05)
            assert record.ends in (["transport close"], ["transport error"])
            await api.publish(ROOM, ["moved"])
            await record.got(("moved", []))
        finally:
            await chosen.admin("POST", "resume")
