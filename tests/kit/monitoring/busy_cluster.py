"""A local cluster in which everything happens that the dashboard shows."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator

from redis import Redis

from realtime_operator import naming
from realtime_operator.api.base import JsonObject
from tests.kit.api import ApiError
from tests.kit.local_cluster import LocalCluster
from tests.kit.monitoring.situations import clients_of, platform, repeating
from tests.kit.monitoring.targets import Targets
from tests.kit.raw_client import TEXT, frame, raw_stream
from tests.kit.tokens import connection_token

REDIS_BYTES = 64 << 20
LONG_CHANNEL = "chat:" + "x" * 300


@contextlib.asynccontextmanager
async def busy_cluster(targets: Targets, name: str, clients: int, every: float = 1.0) -> AsyncIterator[LocalCluster]:
    """Run a cluster with clients that stay and clients that come and go, while a backend publishes.

    `every` is the pause between two of each in seconds. Some clients and calls are refused.
    """
    async with contextlib.AsyncExitStack() as stack:
        cluster = await stack.enter_async_context(platform(targets, name))
        await stack.enter_async_context(clients_of(cluster, clients, "chat:lobby"))
        await limit_redis(cluster, name)
        secret = await cluster.credential(naming.KEY_TOKEN_SECRET)

        async def publish() -> None:
            async with await cluster.api() as api:
                await api.call("publish", channel="chat:lobby", data={"text": "hello"})
                with contextlib.suppress(ApiError):
                    await api.call("publish", channel=LONG_CHANNEL, data={})

        async def come_back() -> None:
            async with raw_stream(cluster.up.port) as stream:
                await stream.connect(connection_token(secret, "visitor"))
                positions: tuple[JsonObject, ...] = ({"offset": 0, "epoch": ""}, {"offset": 1, "epoch": "another"})
                for number, position in enumerate(positions, 2):
                    subscribe: JsonObject = {"channel": f"chat:room-{number}", "recover": True, **position}
                    await stream.send(frame(TEXT, json.dumps({"id": number, "subscribe": subscribe}).encode()))
                    await stream.frame()
                await stream.send(frame(TEXT, json.dumps({"id": 4, "subscribe": {"channel": LONG_CHANNEL}}).encode()))
                await stream.frame()

        async def be_refused() -> None:
            async with raw_stream(cluster.up.port) as stream:
                await stream.connect("no token")

        for work in (publish, come_back, be_refused):
            await stack.enter_async_context(repeating(work, every))
        yield cluster


async def limit_redis(cluster: LocalCluster, name: str) -> None:
    """Set a limit of its memory, which the managed Redis has on Kubernetes and the local one has not."""
    password = await cluster.secret(naming.redis(name), naming.KEY_REDIS_PASSWORD)
    with Redis(unix_socket_path=str(cluster.control.with_name("redis.sock")), password=password) as redis:
        redis.config_set("maxmemory", REDIS_BYTES)


async def update(cluster: LocalCluster) -> None:
    """Begin a rolling update."""
    await cluster.patch(server={"heartbeat": {"interval": "24s"}})


async def update_later(cluster: LocalCluster, seconds: float) -> None:
    """Begin a rolling update after a while."""
    await asyncio.sleep(seconds)
    await update(cluster)
