"""Stock subscribers of two SDKs and a steady publisher, during changes of the cluster."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass

from tests.kit.accounting import settle
from tests.kit.api import Publisher, publishing
from tests.kit.clients import (
    Channel,
    ClientOptions,
    Connecting,
    StockClients,
    Subscribed,
    all_connected,
    all_subscribed,
)
from tests.kit.ledger import Balance
from tests.kit.python_sdk import PythonClients
from tests.kit.running_cluster import RunningCluster
from tests.kit.sdk import JavaScriptClients

CHANNEL = "chat:traffic"


@dataclass(frozen=True, slots=True)
class Traffic:
    """Groups of subscribers, and their publisher."""

    groups: tuple[StockClients, ...]
    publisher: Publisher

    async def settle(self, *, within: float = 10) -> Balance:
        """Wait until the last publication is delivered to all, or the time is over; then compare."""
        balances = [await settle(group, self.publisher, within=within) for group in self.groups]
        return Balance(tuple(account for balance in balances for account in balance.accounts))

    async def subscribed(self, *, within: float = 30) -> None:
        """Wait until all clients are connected and subscribed."""
        for group in self.groups:
            await all_connected(group, within=within)
            await all_subscribed(group, within=within)

    def lost_connections(self) -> list[Connecting]:
        """Return the events of all lost connections."""
        return [event for group in self.groups for event in group.record.lost_connections()]

    def recoveries(self) -> list[Subscribed]:
        """Return the successful subscribes that requested recovery."""
        return [event for group in self.groups for event in group.record.recoveries()]


async def clients_of(
    cluster: RunningCluster,
    kind: type[JavaScriptClients | PythonClients],
    *,
    count: int = 2,
    channels: Iterable[str] = (CHANNEL,),
    connects_per_second: float = 0,
) -> JavaScriptClients | PythonClients:
    """Return options of clients, one user each, that subscribe to recoverable channels of the cluster."""
    return kind(
        ClientOptions(
            endpoints=[await cluster.url()],
            count=count,
            channels=[Channel(name, recoverable=True) for name in channels],
            tokens=[await cluster.token(f"user-{number}") for number in range(count)],
            min_reconnect_delay=0.1,
            max_reconnect_delay=1.0,
            connects_per_second=connects_per_second,
        )
    )


@contextlib.asynccontextmanager
async def subscribers(cluster: RunningCluster, *, per_sdk: int = 2) -> AsyncIterator[tuple[StockClients, ...]]:
    """Run subscribers of both SDKs while the body runs."""
    javascript = await clients_of(cluster, JavaScriptClients, count=per_sdk)
    python = await clients_of(cluster, PythonClients, count=per_sdk)
    async with javascript, python:
        for group in (javascript, python):
            await all_subscribed(group, within=30)
        yield javascript, python


@contextlib.asynccontextmanager
async def traffic(cluster: RunningCluster, *, per_sdk: int = 2, per_second: float = 50) -> AsyncIterator[Traffic]:
    """Run subscribers and a publisher while the body runs; call `finish` at its end to compare."""
    async with (
        subscribers(cluster, per_sdk=per_sdk) as groups,
        await cluster.api() as api,
        publishing(api, CHANNEL, per_second=per_second) as publisher,
    ):
        yield Traffic(groups, publisher)


async def finish(running: Traffic, *, seconds_more: float = 0.5) -> Balance:
    """Continue the traffic for a moment with all clients subscribed, stop publishing, and compare."""
    await running.subscribed()
    await asyncio.sleep(seconds_more)
    await running.publisher.stop()
    return await running.settle()


async def assert_nothing_lost(running: Traffic, *, moved_by: int | None = 3011) -> None:
    """Compare, and assert exactly-once delivery in order, successful recoveries, and expected close codes only."""
    result = await finish(running)
    assert result.exact, result.describe()
    assert running.publisher.failed == []
    assert all(event.recovered for event in running.recoveries()), running.recoveries()
    if moved_by is not None:
        assert {event.code for event in running.lost_connections()} == {moved_by}, running.lost_connections()
