"""Drains, moves and ends: after which of them clients come back, and to where."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.component.socket_io.conftest import PROTOCOLS, SDKS, Sdk
from tests.kit.balancer import Balancer
from tests.kit.deadline import eventually
from tests.kit.redis_process import RedisProcess, running_redis
from tests.kit.server_process import TOKEN_SECRET, ServerProcess
from tests.kit.socket_io import SocketOptions
from tests.kit.tokens import connection_token

pytestmark = pytest.mark.asyncio(loop_scope="module")
ROOM = "chat:moved"
ONE_OF_EACH = pytest.mark.parametrize("sdk", [SDKS[0], SDKS[1], SDKS[3], SDKS[4]], ids=lambda sdk: sdk.name)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def servers() -> AsyncIterator[tuple[ServerProcess, ServerProcess]]:
    """Start two servers of a cluster."""
    redis: RedisProcess
    with running_redis() as redis:
        async with (
            ServerProcess("a", redis, protocols=PROTOCOLS) as one,
            ServerProcess("b", redis, protocols=PROTOCOLS) as other,
        ):
            yield one, other


def socket(user: str) -> SocketOptions:
    """Return a socket that is in the room from the beginning."""
    return SocketOptions("/chat", {"token": connection_token(TOKEN_SECRET, user, channels=[ROOM])})


@ONE_OF_EACH
async def test_a_drain_moves_clients_to_another_server(servers: tuple[ServerProcess, ServerProcess], sdk: Sdk) -> None:
    """They come back by themselves, with the same rooms, and get what is published then."""
    old, new = servers
    sockets = [socket("ann"), SocketOptions("/", socket("ann").auth)]
    async with (
        Balancer([old.client_port]) as balancer,
        new.api() as api,
        sdk.make(f"http://127.0.0.1:{balancer.port}", sdk.transports, sockets) as client,
    ):
        for record in client.records:
            await record.connected()
        balancer.endpoints = [new.client_port]
        await old.admin("POST", "drain", {"connections_per_second": 50})
        try:
            for record in client.records:
                await record.connected(2)
                assert len(record.ends) == 1
            await eventually(old.state, lambda state: state == "drained", what="drained", within=15, every=0.05)
            await api.publish(ROOM, ["moved", 1])
            for record in client.records:
                await record.got(("moved", [1]))
        finally:
            await old.admin("POST", "resume")


@pytest.mark.parametrize("sdk", [SDKS[1], SDKS[4]], ids=lambda sdk: sdk.name)
async def test_polls_may_reach_any_server(servers: tuple[ServerProcess, ServerProcess], sdk: Sdk) -> None:
    """Each request of a client may go to another one than the one before, and nothing is lost."""
    one, other = servers
    async with (
        Balancer([one.client_port, other.client_port]) as balancer,
        other.api() as api,
        sdk.make(f"http://127.0.0.1:{balancer.port}", sdk.transports, [socket("cem")]) as client,
    ):
        [record] = client.records
        await record.connected()
        expected: list[tuple[str, list[object]]] = []
        for number in range(20):
            assert await client.emit("publish", "moved", "from", number) == [{}]
            await api.publish(ROOM, ["api", number])
            expected += [("from", [number]), ("api", [number])]
        await record.got(*expected)
        assert record.ends == []
        assert balancer.accepted > 1


@ONE_OF_EACH
async def test_an_end_by_the_server_api_is_final(servers: tuple[ServerProcess, ServerProcess], sdk: Sdk) -> None:
    """The client is told and does not come back, unless the code allows it."""
    server, _ = servers
    async with sdk(server, socket("bob")) as client, server.api() as api:
        [record] = client.records
        await record.connected()
        await api.call("disconnect", user="bob", disconnect={"code": 4000, "reason": "again"})
        await record.connected(2)
        await api.call("disconnect", user="bob")
        await record.ended(2)
        assert record.ends[1] in {"io server disconnect", "server disconnect"}
        presence = await api.call("presence", channel=ROOM)
        assert presence["presence"] == {}
