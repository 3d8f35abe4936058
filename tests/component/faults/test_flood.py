"""Clients that keep publishing while Redis hangs: their replies, delays, and the memory of the server."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from dataclasses import dataclass, field

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosedError

from realtime_operator.api.base import JsonObject
from tests.component.faults.fleet import BACK_SECONDS, CALL_SECONDS, HEALTH_SECONDS
from tests.kit.deadline import eventually
from tests.kit.document import dig
from tests.kit.raw_client import RawClient, raw_client
from tests.kit.redis_process import running_redis
from tests.kit.server_process import TOKEN_SECRET, ServerProcess
from tests.kit.tokens import connection_token

MEBIBYTE = 1024 * 1024
POLITE, FLOODING = 5, 20
LARGE = 60_000
FLOOD_SECONDS = 8.0
TEMPORARY: JsonObject = {"code": 100, "message": "internal server error", "temporary": True}
SERVER_MEBIBYTES = 100
"""By so much the server may grow: 1 MiB of commands of each client that floods, 32 MiB that wait for the link, which
the network and the interpreter hold more than once. Without bounds it is what was sent, several times as much."""


@dataclass
class Outcome:
    """Replies that clients got."""

    longest: float = 0.0
    errors: list[JsonObject] = field(default_factory=list)
    published: int = 0
    sent_bytes: int = 0
    closed_with: list[int | None] = field(default_factory=list)


async def publish_politely(client: RawClient, outcome: Outcome) -> None:
    """Publish one message after the other, each with its reply."""
    number = 2
    while True:
        number += 1
        began = time.monotonic()
        reply = await client.command(id=number, publish={"channel": "open:a", "data": number})
        outcome.longest = max(outcome.longest, time.monotonic() - began)
        if "error" in reply:
            error = dig(reply, "error")
            assert isinstance(error, dict)
            outcome.errors.append(error)
        else:
            outcome.published += 1
        await asyncio.sleep(0.05)


async def flood(server: ServerProcess, token: str, outcome: Outcome) -> None:
    """Publish large messages without waiting for replies, reconnecting each time."""
    publish = json.dumps({"id": 2, "publish": {"channel": "open:b", "data": "x" * LARGE}})
    while True:
        try:
            async with connect(server.url, compression=None, max_queue=None, proxy=None) as connection:
                await connection.send(json.dumps({"id": 1, "connect": {"token": token}}))
                while True:
                    await connection.send(publish)
                    outcome.sent_bytes += LARGE
                    await asyncio.sleep(0.015)
        except ConnectionClosedError as error:
            outcome.closed_with.append(error.rcvd.code if error.rcvd is not None else None)
            await asyncio.sleep(0.2)


async def resident(server: ServerProcess) -> float:
    """Return the memory of the server's worker in MiB."""
    text = (await server.metrics()).partition('realtime_server_memory_bytes{worker="0"} ')[2]
    return float(text.split("\n")[0]) / MEBIBYTE


async def test_clients_that_publish_while_redis_hangs() -> None:
    """Calls end with a temporary error within their time limit, memory is bounded, and all works afterwards."""
    polite, flooding = Outcome(), Outcome()
    with running_redis() as redis:
        async with ServerProcess("flood", redis) as server, contextlib.AsyncExitStack() as stack:
            tasks = []
            for number in range(POLITE):
                client = await stack.enter_async_context(raw_client(server.url))
                await client.connect(connection_token(TOKEN_SECRET, f"polite-{number}"))
                tasks.append(asyncio.create_task(publish_politely(client, polite)))
            await asyncio.sleep(0.5)
            assert (polite.errors, polite.published > POLITE) == ([], True)
            before, most = await resident(server), 0.0
            redis.freeze()
            for number in range(FLOODING):
                token = connection_token(TOKEN_SECRET, f"flood-{number}")
                tasks.append(asyncio.create_task(flood(server, token, flooding)))
            deadline = time.monotonic() + FLOOD_SECONDS
            while time.monotonic() < deadline:
                most = max(most, await resident(server))
                assert await server.live()
                await asyncio.sleep(0.1)
            assert not await server.ready()
            for task in tasks[POLITE:]:
                task.cancel()
            redis.thaw()
            await eventually(server.ready, bool, what="ready", within=BACK_SECONDS, every=0.05)
            published = polite.published

            async def more() -> bool:
                return polite.published >= published + 2 * POLITE

            await eventually(more, bool, what="published again", within=HEALTH_SECONDS, every=0.05)
            failed = [task for task in tasks[:POLITE] if task.done()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        print(
            f"{len(polite.errors)} errors, the longest call {polite.longest:.2f} s; flood of "
            f"{flooding.sent_bytes / MEBIBYTE:.0f} MiB, {len(flooding.closed_with)} connections closed, "
            f"the server grew by {most - before:.0f} MiB"
        )
        assert failed == []
        assert len(polite.errors) >= POLITE
        assert all(error == TEMPORARY for error in polite.errors)
        assert polite.longest < CALL_SECONDS
        assert flooding.closed_with == []  # they are read more slowly, and stay
        assert most - before < SERVER_MEBIBYTES < flooding.sent_bytes / MEBIBYTE
