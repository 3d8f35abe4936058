"""Situations of real servers: a healthy one, and one for each fault that an alert is about.

Each is an asynchronous context manager that adds its servers to the targets of a Prometheus, and lasts as its body.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from pathlib import Path

from realtime_operator import naming
from realtime_operator.api.base import JsonObject
from realtime_operator.api.document import text_at
from tests.kit.certificates import Mount
from tests.kit.kube import condition
from tests.kit.local_cluster import LocalCluster, local_cluster
from tests.kit.monitoring.swarm import FAILURES, swarm
from tests.kit.monitoring.targets import Target, Targets
from tests.kit.raw_client import TEXT, frame, raw_stream
from tests.kit.redis_process import RedisProcess, running_redis
from tests.kit.running_cluster import manifest
from tests.kit.server_process import TOKEN_SECRET, ServerProcess
from tests.kit.tls_server import TlsServer
from tests.kit.tokens import connection_token

Situation = Callable[[Targets], contextlib.AbstractAsyncContextManager[None]]

NAMESPACE = "team"
NOBODY_LISTENS = "http://127.0.0.1:9/hook"
LOCAL = {"namespace": "local"}
FILLED = 0.95
"""Part of Redis's memory that is in use where it is near its limit."""
FROZEN_SECONDS, THAWED_SECONDS = 0.9, 0.2
MANY = 3_900
"""Connections that a budget of one per second moves in more than an hour."""


def _target(targets: Targets, server: ServerProcess, cluster: str) -> None:
    targets.add_address(
        f"127.0.0.1:{server.admin_port}", namespace=NAMESPACE, realtime_cluster=cluster, instance=server.name
    )


@contextlib.asynccontextmanager
async def repeating(work: Callable[[], Awaitable[None]], every: float) -> AsyncIterator[None]:
    """Do something again and again while the body runs; what a server refuses is no error."""

    async def run() -> None:
        while True:
            with contextlib.suppress(*FAILURES):
                await work()
            await asyncio.sleep(every)

    task = asyncio.create_task(run(), name="repeating")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@contextlib.asynccontextmanager
async def done_beside(work: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """Do something once while the body runs, which must last longer; raises the error of the work."""
    task = asyncio.create_task(work, name="beside")
    try:
        yield
        task.result()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def publishing(server: ServerProcess, channel: str = "chat:room", every: float = 0.5) -> _Repeating:
    """Publish again and again."""

    async def publish() -> None:
        async with server.api() as api:
            await api.call("publish", channel=channel, data={"text": "hello"})

    return repeating(publish, every)


_Repeating = contextlib.AbstractAsyncContextManager[None]


async def _recover(server: ServerProcess, channel: str, position: JsonObject) -> None:
    """Connect, recover a channel from a position, and leave."""
    async with raw_stream(server.client_port) as stream:
        await stream.connect(connection_token(TOKEN_SECRET, "user-of-a-train"))
        subscribe: JsonObject = {"channel": channel, "recover": True, **position}
        await stream.send(frame(TEXT, json.dumps({"id": 2, "subscribe": subscribe}).encode()))
        await stream.frame()


# servers


@contextlib.asynccontextmanager
async def healthy_servers(targets: Targets) -> AsyncIterator[None]:
    """Two servers with clients, publications and some refused connects, as everywhere."""
    with running_redis() as redis:
        redis.ask("CONFIG", "SET", "maxmemory", 256 << 20)
        async with ServerProcess("healthy-1", redis) as one, ServerProcess("healthy-2", redis) as two:
            for server in (one, two):
                _target(targets, server, "healthy")
            async with contextlib.AsyncExitStack() as stack:
                for server in (one, two):
                    await stack.enter_async_context(swarm(server.client_port, TOKEN_SECRET, 40, "chat:room"))
                await stack.enter_async_context(publishing(one))

                async def come_and_go() -> None:
                    await _recover(two, "feed:news", {})

                async def expired() -> None:
                    async with raw_stream(one.client_port) as stream:
                        await stream.connect("no token")

                await stack.enter_async_context(repeating(come_and_go, 1))
                await stack.enter_async_context(repeating(expired, 30))
                yield


@contextlib.asynccontextmanager
async def refused_clients(targets: Targets) -> AsyncIterator[None]:
    """The clients' tokens are signed by somebody else."""
    async with ServerProcess("refusing", None) as server:
        _target(targets, server, "refusing")
        async with swarm(server.client_port, "a secret that the server does not have", 5):
            yield


@contextlib.asynccontextmanager
async def slow_redis(targets: Targets) -> AsyncIterator[None]:
    """Redis answers in bursts only."""
    with running_redis() as redis:
        async with ServerProcess("slow", redis) as server:
            _target(targets, server, "slow")

            async def freeze() -> None:
                redis.freeze()
                try:
                    await asyncio.sleep(FROZEN_SECONDS)
                finally:
                    redis.thaw()

            async with publishing(server), repeating(freeze, THAWED_SECONDS):
                yield


@contextlib.asynccontextmanager
async def short_history(targets: Targets) -> AsyncIterator[None]:
    """Clients come back after the history has lost what they missed."""
    with running_redis() as redis:
        async with ServerProcess("forgetful", redis) as server:
            _target(targets, server, "forgetful")

            async def come_back() -> None:
                async with server.api() as api:
                    epoch = text_at(await api.call("history", channel="feed:news", limit=0), "epoch")
                await _recover(server, "feed:news", {"offset": 1, "epoch": epoch})

            async with publishing(server, "feed:news", 0.1), repeating(come_back, 2):
                yield


@contextlib.asynccontextmanager
async def no_redis(targets: Targets) -> AsyncIterator[None]:
    """Redis goes away after half a minute."""
    with running_redis() as redis:
        async with ServerProcess("cut-off", redis) as server:
            _target(targets, server, "cut-off")

            async def lose() -> None:
                await asyncio.sleep(30)
                redis.stop()

            task = asyncio.create_task(lose(), name="lose")
            try:
                yield
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)


@contextlib.asynccontextmanager
async def full_redis(targets: Targets) -> AsyncIterator[None]:
    """Redis has a limit slightly above what it uses."""
    with running_redis() as redis:
        async with ServerProcess("filled", redis) as server:
            await _limit(redis)
            _target(targets, server, "filled")
            yield


async def _limit(redis: RedisProcess) -> None:
    await asyncio.sleep(1)
    used = int(redis.client().info("memory")["used_memory"])
    redis.ask("CONFIG", "SET", "maxmemory", int(used / FILLED))


@contextlib.asynccontextmanager
async def full_server(targets: Targets) -> AsyncIterator[None]:
    """More clients want to connect than the server accepts, and try again every two seconds."""
    async with ServerProcess("full", None, limits={"connections": 20}) as server:
        _target(targets, server, "full")
        async with swarm(server.client_port, TOKEN_SECRET, 28):
            yield


@contextlib.asynccontextmanager
async def silent_backend(targets: Targets) -> AsyncIterator[None]:
    """Nobody listens at the address of the RPC hook."""
    hooks: JsonObject = {"rpc": {"url": NOBODY_LISTENS}}
    async with ServerProcess("hooked", None, hooks=hooks) as server:
        _target(targets, server, "hooked")

        async def call() -> None:
            async with raw_stream(server.client_port) as stream:
                await stream.connect(connection_token(TOKEN_SECRET, "caller"))
                for number in range(2, 12):
                    await stream.send(frame(TEXT, json.dumps({"id": number, "rpc": {"method": "x"}}).encode()))
                    await stream.frame()

        async with repeating(call, 1):
            yield


@contextlib.asynccontextmanager
async def open_server(targets: Targets) -> AsyncIterator[None]:
    """A server runs in the development mode."""
    server = ServerProcess("open", None, development=True)
    server.options = ("--ignore-tokens",)
    async with server:
        _target(targets, server, "open")
        yield


@contextlib.asynccontextmanager
async def old_certificate(targets: Targets) -> AsyncIterator[None]:
    """The certificate is valid for two more days."""
    with tempfile.TemporaryDirectory(prefix="certificate-") as folder:
        mount = Mount(Path(folder) / "tls")
        mount.issue(days=2)
        async with TlsServer(mount) as server:
            _target(targets, server, "expiring")
            yield


# local platforms, with what an operator says about them


@contextlib.asynccontextmanager
async def platform(targets: Targets, name: str, **spec: object) -> AsyncIterator[LocalCluster]:
    """Run a local cluster that is Ready, with its servers and its operator as targets."""
    async with local_cluster() as cluster:
        await cluster.apply(manifest(name, **spec))
        await cluster.wait_ready(within=60)

        async def discover() -> list[Target]:
            operator = Target({"instance": f"operator-of-{name}"}, socket=str(cluster.control))
            try:
                entries = await cluster.server_entries()
            except (OSError, TimeoutError):
                return [operator]
            return [operator, *(_server_target(entry, name) for entry in entries)]

        targets.add(discover)
        yield cluster


def _server_target(entry: Mapping[str, object], cluster: str) -> Target:
    labels = {**LOCAL, "realtime_cluster": cluster, "instance": str(entry["name"])}
    return Target(labels, socket=str(entry["admin_socket"]))


@contextlib.asynccontextmanager
async def clients_of(cluster: LocalCluster, count: int, channel: str | None = None) -> AsyncIterator[None]:
    """Keep clients connected to a local cluster; those of a channel have tokens."""
    secret = await cluster.credential(naming.KEY_TOKEN_SECRET) if channel is not None else ""
    async with swarm(cluster.up.port, secret, count, channel) as clients:
        await clients.all_connected(count, within=120)
        yield


@contextlib.asynccontextmanager
async def healthy_rollout(targets: Targets) -> AsyncIterator[None]:
    """A rolling update begins after a minute and moves all clients."""
    async with platform(targets, "rolling") as cluster, clients_of(cluster, 120, "chat:room"):

        async def update() -> None:
            await asyncio.sleep(60)
            await cluster.patch(server={"heartbeat": {"interval": "24s"}})

        async with done_beside(update()):
            yield


@contextlib.asynccontextmanager
async def held_moves(targets: Targets) -> AsyncIterator[None]:
    """The new servers refuse the clients, so the operator stops moving them."""
    async with platform(targets, "stuck", auth={"anonymous": "Allow"}) as cluster, clients_of(cluster, 60):
        await cluster.patch(hooks={"connect": {"url": NOBODY_LISTENS}})
        await cluster.wait(
            lambda o: condition(o, "Degraded").get("reason") == "MovedNotArriving", what="moves are held", within=120
        )
        yield


@contextlib.asynccontextmanager
async def small_budget(targets: Targets) -> AsyncIterator[None]:
    """Thousands of connections are to be moved, one per second."""
    rollout = {"drain": {"connectionsPerSecond": 1, "timeout": "8h"}}
    auth = {"anonymous": "Allow"}
    async with platform(targets, "slowly", rollout=rollout, auth=auth) as cluster, clients_of(cluster, MANY):
        await cluster.patch(server={"heartbeat": {"interval": "24s"}})
        yield


@contextlib.asynccontextmanager
async def new_credentials(targets: Targets) -> AsyncIterator[None]:
    """Somebody has edited a generated credential."""
    async with platform(targets, "replaced") as cluster:
        name = naming.credentials_secret("replaced")
        (cluster.up.state / "secrets" / name / naming.KEY_API).write_text("another key than the operator generated")
        yield


SITUATIONS: dict[str, Situation] = {
    "healthy": healthy_servers,
    "healthy-rollout": healthy_rollout,
    "refused-clients": refused_clients,
    "slow-redis": slow_redis,
    "short-history": short_history,
    "no-redis": no_redis,
    "full-redis": full_redis,
    "full-server": full_server,
    "silent-backend": silent_backend,
    "open-server": open_server,
    "old-certificate": old_certificate,
    "held-moves": held_moves,
    "small-budget": small_budget,
    "new-credentials": new_credentials,
}
"""All that need no API server, by the name of their recording."""
