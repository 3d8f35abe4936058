"""`python -m bench.drain --output docs/performance`: replace all servers under clients that stay, in several ways."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path

from tests.kit.accounting import settle
from tests.kit.api import Publisher, ServerApi, publishing
from tests.kit.balancer import Balancer
from tests.kit.clients import Channel, ClientOptions, all_connected, all_subscribed
from tests.kit.local_cluster import local_cluster
from tests.kit.redis_process import RedisProcess, running_redis
from tests.kit.running_cluster import manifest
from tests.kit.sdk import JavaScriptClients
from tests.kit.server_process import TOKEN_SECRET, ServerProcess
from tests.kit.tokens import connection_token

from bench import machine
from bench.drain import drain_report
from bench.drain.outcome import AT_ONCE, OURS, SINGLE, SLEEP, Outcome, judge, moved
from realtime_operator.api.base import JsonObject

CHANNEL = "chat:all"
PUBLICATIONS_PER_SECOND = 4
BEFORE_SECONDS, AFTER_SECONDS = 2.0, 3.0
SLEEP_SECONDS = 5.0
"""The sleep of a preStop hook, for proxies that are slow to notice."""
SINGLE_CLIENTS, SINGLE_RATE = 60, 5.0
"""Clients, and connections per second at which none meets another."""
UNLIMITED_RATE = 100_000.0
"""Connections per second at which a server closes all that it has at once."""
CONNECTS_PER_SECOND = 200.0
LIMIT_SECONDS = 120.0

Change = Callable[[], Awaitable[None]]


async def observe(name: str, url: str, tokens: Sequence[str], api: ServerApi, change: Change) -> Outcome:
    """Connect a client for each token, carry the change out, and return what the clients saw."""
    options = ClientOptions(
        [url], len(tokens), [Channel(CHANNEL, recoverable=True)], tokens, connects_per_second=CONNECTS_PER_SECOND
    )
    async with JavaScriptClients(options) as clients:
        await all_subscribed(clients, within=60)
        async with api, publishing(api, CHANNEL, per_second=PUBLICATIONS_PER_SECOND) as publisher:
            await asyncio.sleep(BEFORE_SECONDS)
            begin = time.monotonic()
            await change()
            whole = time.monotonic() - begin
            await all_connected(clients, within=LIMIT_SECONDS)
            await all_subscribed(clients, within=LIMIT_SECONDS)
            await asyncio.sleep(AFTER_SECONDS)
            await publisher.stop()
            return await _outcome(name, clients, publisher, whole)


async def _outcome(name: str, clients: JavaScriptClients, publisher: Publisher, whole: float) -> Outcome:
    balance = await settle(clients, publisher, within=20)
    found = moved(clients.record.events)
    outcome = Outcome(
        name, len(found.closes), found.reconnects, found.gaps, whole,
        balance.delivered, balance.lost, balance.duplicated, found.unrecovered,
    )  # fmt: skip
    print(f"{name}: {outcome.moves} moves, peak {outcome.peak:.0f}/s, gap p99 {outcome.gap(0.99):.2f} s,"
          f" {outcome.duration:.1f} s, {outcome.lost} lost", file=sys.stderr)  # fmt: skip
    return outcome


@contextlib.asynccontextmanager
async def started(redis: RedisProcess, count: int) -> AsyncIterator[list[ServerProcess]]:
    """Run servers while the body runs."""
    limits: JsonObject = {"connections": 20_000, "messages_per_second": 1_000}
    async with contextlib.AsyncExitStack() as stack:
        stack.enter_context(contextlib.redirect_stdout(None))  # the servers' logs
        servers = [ServerProcess(f"drain-{number}", redis, workers=1, limits=limits) for number in range(count)]
        await asyncio.gather(*(stack.enter_async_context(server) for server in servers))
        yield servers


def end_without_moves(server: ServerProcess) -> None:
    """Let a server close everything and end, as one does that knows no moves."""
    assert server.process is not None
    server.process.send_signal(signal.SIGTERM)
    server.process.send_signal(signal.SIGTERM)


def tokens(count: int) -> list[str]:
    """Return a token for each client."""
    return [connection_token(TOKEN_SECRET, f"user-{number}") for number in range(count)]


async def one_at_a_time() -> Outcome:
    """Move a few connections so slowly that each is alone."""
    with running_redis() as redis:
        async with started(redis, 2) as (old, new), Balancer([old.client_port]) as balancer:

            async def change() -> None:
                balancer.endpoints = [new.client_port]
                await old.admin("POST", "drain", {"connections_per_second": SINGLE_RATE})
                await asyncio.sleep(SINGLE_CLIENTS / SINGLE_RATE + 1)

            url = f"ws://127.0.0.1:{balancer.port}/connection/websocket"
            return await observe(SINGLE, url, tokens(SINGLE_CLIENTS), new.api(), change)


async def without_moves(name: str, count: int, clients: int, *, together: bool) -> Outcome:
    """Replace the servers one after another with a sleep before each end, or all together."""
    with running_redis() as redis:
        async with (
            started(redis, count) as old,
            started(redis, count) as new,
            Balancer([server.client_port for server in old]) as balancer,
        ):

            async def change() -> None:
                if together:
                    balancer.endpoints = [server.client_port for server in new]
                    body: JsonObject = {"connections_per_second": UNLIMITED_RATE}
                    await asyncio.gather(*(server.admin("POST", "drain", body) for server in old))
                    return
                for leaving, coming in zip(old, new, strict=True):
                    balancer.endpoints.append(coming.client_port)
                    balancer.endpoints.remove(leaving.client_port)
                    await asyncio.sleep(SLEEP_SECONDS)
                    end_without_moves(leaving)

            url = f"ws://127.0.0.1:{balancer.port}/connection/websocket"
            return await observe(name, url, tokens(clients), new[0].api(), change)


async def by_the_operator(count: int, clients: int, budget: int) -> Outcome:
    """Change the spec of a cluster of the local platform."""
    async with contextlib.AsyncExitStack() as stack:
        stack.enter_context(contextlib.redirect_stdout(None))  # the logs
        cluster = await stack.enter_async_context(local_cluster())
        rollout = {"maxSurge": "100%", "drain": {"connectionsPerSecond": budget, "settle": "1s"}}
        await cluster.apply(manifest("main", replicas=count, rollout=rollout))
        await cluster.wait_ready(within=LIMIT_SECONDS)

        async def change() -> None:
            await cluster.patch(server={"limits": {"messagesPerSecond": 200}})
            await cluster.wait_ready(within=LIMIT_SECONDS + clients / budget)

        signed = [await cluster.token(f"user-{number}") for number in range(clients)]
        return await observe(OURS, await cluster.url(), signed, await cluster.api(), change)


async def measure(servers: int, clients: int, budget: int) -> list[Outcome]:
    """Replace the servers in every way."""
    return [
        await one_at_a_time(),
        await without_moves(SLEEP, servers, clients, together=False),
        await without_moves(AT_ONCE, servers, clients, together=True),
        await by_the_operator(servers, clients, budget),
    ]


def parser() -> argparse.ArgumentParser:
    """Build the parser of the command line."""
    found = argparse.ArgumentParser(prog="bench.drain", description="Replace all servers under clients that stay.")
    found.add_argument("--servers", type=int, default=4, help="default: 4")
    found.add_argument("--clients", type=int, default=400, help="default: 400")
    found.add_argument("--budget", type=int, default=20, help="connections per second (default: 20)")
    found.add_argument("--output", type=Path, help="folder for drain.md and drain.svg (default: print only)")
    return found


def main(given: Sequence[str] | None = None) -> int:
    """Measure and report; return 1 when a goal is not reached."""
    arguments = parser().parse_args(given)
    busy = machine.busy()
    if busy is not None:
        print(f"note: {busy}", file=sys.stderr)
    outcomes = asyncio.run(measure(arguments.servers, arguments.clients, arguments.budget))
    if arguments.output is not None:
        drain_report.write(arguments.output, outcomes, arguments.clients, arguments.budget, arguments.servers)
    print(drain_report.markdown(outcomes, arguments.clients, arguments.budget, arguments.servers))
    return 0 if all(verdict.met for verdict in judge(outcomes, arguments.clients, arguments.budget)) else 1


if __name__ == "__main__":
    sys.exit(main())
