"""Scenario of backends with keep-alive connections to the server API during a rolling update."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

from tests.kit.api import ServerApi, publishing
from tests.kit.clients import Record, all_subscribed
from tests.kit.document import whole_at
from tests.kit.running_cluster import RunningCluster, manifest
from tests.kit.sdk import JavaScriptClients
from tests.kit.traffic import clients_of

BACKENDS = 8
SUBSCRIBERS = 2


def received(record: Record, channel: str, client: int) -> list[int]:
    """Return the numbers that a client received in a channel, in order."""
    found = [p for p in record.publications() if p.channel == channel and p.client == client]
    return [whole_at(publication.data, "sequence") for publication in found]


async def test_no_call_on_a_kept_connection_fails_in_a_rolling_update(cluster: RunningCluster) -> None:
    """Eight backends have a connection each: every publication is confirmed, and delivered once."""
    await cluster.apply(manifest("main", replicas=2))
    await cluster.wait_ready()
    channels = [f"chat:backend-{number}" for number in range(BACKENDS)]
    subscribers = await clients_of(cluster, JavaScriptClients, count=SUBSCRIBERS, channels=channels)
    async with subscribers, AsyncExitStack() as stack, await cluster.api() as known:
        await all_subscribed(subscribers, within=30)
        publishers = []
        for channel in channels:
            api = await stack.enter_async_context(ServerApi(known.address, known.key, kept=True))
            publishers.append(await stack.enter_async_context(publishing(api, channel, per_second=10)))
        await cluster.patch(server={"limits": {"messagesPerSecond": 200}})
        await cluster.wait_ready(within=90)
        await asyncio.sleep(0.5)
        for publisher in publishers:
            await publisher.stop()
        assert [failed for publisher in publishers for failed in publisher.failed] == []
        for channel, publisher in zip(channels, publishers, strict=True):
            confirmed = [publication.sequence for publication in publisher.published]
            assert len(confirmed) > 50
            for client in range(SUBSCRIBERS):
                await subscribers.record.wait(
                    lambda record, c=channel, n=client, wanted=confirmed: received(record, c, n) == wanted,  # type: ignore[misc]
                    what=f"all publications of {channel}, once and in order",
                )
