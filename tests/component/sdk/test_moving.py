"""Lost connections, drains and failures, as a subscriber of a recoverable channel sees them."""

from __future__ import annotations

import asyncio
import signal
import time

from tests.component.sdk.conftest import Sdk
from tests.kit.accounting import settle
from tests.kit.api import publishing
from tests.kit.balancer import Balancer
from tests.kit.clients import Channel, all_subscribed
from tests.kit.deadline import eventually
from tests.kit.document import whole_at
from tests.kit.ledger import most_ahead
from tests.kit.redis_process import RedisProcess, running_redis
from tests.kit.server_process import ServerProcess

CHAT = Channel("chat:room", recoverable=True)


def behind(balancer: Balancer) -> str:
    """Return the balancer's address for clients."""
    return f"ws://127.0.0.1:{balancer.port}/connection/websocket"


async def test_a_broken_connection_is_recovered(sdk: Sdk, shared_server: ServerProcess) -> None:
    """Publications during the absence arrive once, in order, and the SDK reports a recovery."""
    async with (
        Balancer([shared_server.client_port]) as balancer,
        sdk(behind(balancer), count=2, channels=[CHAT]) as clients,
        shared_server.api() as api,
    ):
        await all_subscribed(clients)
        async with publishing(api, CHAT.name, per_second=100) as publisher:
            for cut in (1, 2, 3):
                await asyncio.sleep(0.3)
                balancer.cut()
                await clients.record.wait(lambda r, n=2 * cut: len(r.reconnects()) == n, what="reconnected")  # type: ignore[misc]
                await all_subscribed(clients)
        result = await settle(clients, publisher)
        assert result.exact, result.describe()
        assert len(clients.record.recoveries()) == 6
        assert all(event.recovered for event in clients.record.recoveries())


async def test_more_missed_than_history_keeps_is_told_truthfully(sdk: Sdk, shared_server: ServerProcess) -> None:
    """The SDK reports no recovery, and nothing of the missed part is delivered."""
    channel = Channel("feed:short", recoverable=True)
    async with (
        Balancer([shared_server.client_port]) as balancer,
        sdk(behind(balancer), channels=[channel]) as clients,
        shared_server.api() as api,
    ):
        await all_subscribed(clients)
        await api.publish(channel.name, "seen")
        await clients.record.wait(lambda r: len(r.publications()) == 1, what="the first publication")
        balancer.endpoints = []
        balancer.cut()
        await clients.record.wait(lambda r: not r.connected, what="disconnected")
        for number in range(20):
            await api.publish(channel.name, number)
        balancer.endpoints = [shared_server.client_port]
        await clients.record.wait(lambda r: len(r.recoveries()) == 1, what="a recovery")
        assert not clients.record.recoveries()[0].recovered
        await api.publish(channel.name, "after")
        await clients.record.wait(lambda r: len(r.publications()) == 2, what="the publication after")
        assert [p.data for p in clients.record.publications()] == ["seen", "after"]


async def test_a_drain_moves_connections_and_loses_nothing(
    sdk: Sdk, server: ServerProcess, other_shared_server: ServerProcess
) -> None:
    """40 subscribers move by code 3011, within the rate, while a publisher goes on."""
    count, rate = 40, 20.0
    async with (
        Balancer([server.client_port]) as balancer,
        sdk(behind(balancer), count=count, channels=[CHAT]) as clients,
        other_shared_server.api() as api,
    ):
        await all_subscribed(clients)
        async with publishing(api, CHAT.name, per_second=50) as publisher:
            balancer.endpoints = [other_shared_server.client_port]
            began = time.time()
            await server.admin("POST", "drain", {"connections_per_second": rate})
            await eventually(server.state, lambda s: s == "drained", what="the server drained", within=15)
            await all_subscribed(clients)
        result = await settle(clients, publisher)
        assert result.exact, result.describe()
        assert publisher.failed == []
        lost = clients.record.lost_connections()
        assert [event.code for event in lost] == [3011] * count
        assert all(event.recovered for event in clients.record.recoveries())
        assert most_ahead((event.at for event in lost), began, rate) <= 2
        assert whole_at(await other_shared_server.admin("GET", "status"), "connections") == count
        assert not await server.ready()


async def test_shedding_moves_as_many_as_asked(
    sdk: Sdk, server: ServerProcess, other_shared_server: ServerProcess
) -> None:
    """Other connections stay, and the server goes on serving."""
    async with (
        Balancer([server.client_port]) as balancer,
        sdk(behind(balancer), count=10, channels=[CHAT]) as clients,
    ):
        await all_subscribed(clients)
        balancer.endpoints = [other_shared_server.client_port]
        await server.admin("POST", "shed", {"connections": 4, "connections_per_second": 100})
        await clients.record.wait(lambda r: len(r.reconnects()) == 4, what="4 moved")
        await all_subscribed(clients)
        assert whole_at(await server.admin("GET", "status"), "connections") == 6
        assert whole_at(await other_shared_server.admin("GET", "status"), "connections") == 4
        assert await server.state() == "serving"


async def test_a_terminated_server_drains_first(
    sdk: Sdk, server: ServerProcess, other_shared_server: ServerProcess
) -> None:
    """SIGTERM drains with code 3011 and exit status 0, without loss."""
    async with (
        Balancer([server.client_port]) as balancer,
        sdk(behind(balancer), count=10, channels=[CHAT]) as clients,
        other_shared_server.api() as api,
    ):
        await all_subscribed(clients)
        async with publishing(api, CHAT.name, per_second=50) as publisher:
            balancer.endpoints = [other_shared_server.client_port]
            assert server.process is not None
            server.process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(20):
                assert await server.process.wait() == 0
            await all_subscribed(clients)
        result = await settle(clients, publisher)
        assert result.exact, result.describe()
        assert {event.code for event in clients.record.lost_connections()} == {3011}


async def test_a_killed_server_costs_a_recovery_and_nothing_else(
    sdk: Sdk, server: ServerProcess, other_shared_server: ServerProcess
) -> None:
    """After SIGKILL the server's clients reconnect elsewhere and recover."""
    async with (
        Balancer([server.client_port]) as balancer,
        sdk(behind(balancer), count=4, channels=[CHAT]) as clients,
        other_shared_server.api() as api,
    ):
        await all_subscribed(clients)
        async with publishing(api, CHAT.name, per_second=50) as publisher:
            await asyncio.sleep(0.3)
            balancer.endpoints = [other_shared_server.client_port]
            assert server.process is not None
            server.process.kill()
            await clients.record.wait(lambda r: len(r.reconnects()) == 4, what="reconnected")
            await all_subscribed(clients)
        result = await settle(clients, publisher)
        assert result.exact, result.describe()
        assert all(event.recovered for event in clients.record.recoveries())


async def test_a_restarted_redis_does_not_cost_connections(sdk: Sdk) -> None:
    """Publishing fails temporarily while Redis is away; afterwards all confirmed publications have arrived."""
    with running_redis() as redis:
        async with (
            ServerProcess("without-redis", redis) as server,
            sdk(server.url, channels=[CHAT]) as clients,
            server.api() as api,
        ):
            await all_subscribed(clients)
            async with publishing(api, CHAT.name, per_second=50) as publisher:
                await asyncio.sleep(0.3)
                redis.stop()
                await eventually(server.ready, lambda ready: not ready, what="not ready", within=10)
                redis.start()
                await eventually(server.ready, bool, what="ready again", within=20)
                await publisher.confirm_more(10, within=10)
            assert clients.record.lost_connections() == []
            assert publisher.failed, "publications while Redis was away must not be confirmed"
            await all_subscribed(clients)
            result = await settle(clients, publisher)
            failed = [event for event in clients.record.recoveries() if not event.recovered]
            assert result.exact or failed, result.describe()


async def test_a_server_with_workers_drains_all_of_them(
    sdk: Sdk, redis: RedisProcess, shared_server: ServerProcess
) -> None:
    """Two workers share the port; their connections are counted together and all move."""
    async with (
        ServerProcess("workers", redis, workers=2) as wide,
        Balancer([wide.client_port]) as balancer,
        sdk(behind(balancer), count=20, channels=[CHAT]) as clients,
        shared_server.api() as api,
    ):
        await all_subscribed(clients)
        assert whole_at(await wide.admin("GET", "status"), "connections") == 20
        async with publishing(api, CHAT.name, per_second=50) as publisher:
            balancer.endpoints = [shared_server.client_port]
            await wide.admin("POST", "drain", {"connections_per_second": 40})
            await eventually(wide.state, lambda s: s == "drained", what="drained", within=15)
            await all_subscribed(clients)
        result = await settle(clients, publisher)
        assert result.exact, result.describe()
