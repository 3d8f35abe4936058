"""Client that stops reading for a while, over a real socket: dropped publications and how they are reported."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import pytest_asyncio
from websockets.asyncio.client import ClientConnection, connect

from realtime_operator.api.base import JsonObject, JsonValue
from tests.kit.api import ServerApi
from tests.kit.document import object_at, parse, whole_at
from tests.kit.server_process import TOKEN_SECRET, ServerProcess
from tests.kit.tokens import connection_token

NAMESPACES: list[JsonValue] = [
    {"name": "log", "slow_consumer": "dropOldest"},
    {"name": "price", "slow_consumer": "conflate"},
    {"name": "chat"},
]
FILLER = "x" * 50_000
PUBLICATIONS = 400
"""Number of publications: 20 MB, more than kernel and server hold for one connection."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server() -> AsyncIterator[ServerProcess]:
    """Start a server with a namespace for each policy, and without pings during the test."""
    async with ServerProcess("slow", None, namespaces=NAMESPACES, limits={"outbox_bytes": 262_144}) as process:
        yield process


@dataclass(frozen=True)
class Got:
    """Publication that the client has read."""

    number: int
    dropped: int
    conflated: int


async def publish(api: ServerApi, channel: str, number: int, key: str | None) -> None:
    """Return the publication of this number."""
    data: JsonObject = {"number": number, "filler": FILLER}
    await api.call("publish", channel=channel, data=data, tags={} if key is None else {"key": key})


def parity(number: int) -> str:
    """Return one of two keys."""
    return "even" if number % 2 == 0 else "odd"


async def read_until(client: ClientConnection, last: int) -> list[Got]:
    """Return all publications up to the one of this number."""
    got: list[Got] = []
    async with asyncio.timeout(20):
        while not got or got[-1].number != last:
            for line in str(await client.recv()).split("\n"):
                document = parse(line)
                if "push" in document:
                    publication = object_at(object_at(document, "push"), "pub")
                    got.append(_got(publication))
    return got


def _got(publication: JsonObject) -> Got:
    tags = object_at(publication.get("tags", {}))
    dropped, conflated = (int(str(tags.get(f"realtime.{name}", 0))) for name in ("dropped", "conflated"))
    return Got(whole_at(object_at(publication, "data"), "number"), dropped, conflated)


async def subscribed(client: ClientConnection, channel: str) -> None:
    """Connect and subscribe the client."""
    token = connection_token(TOKEN_SECRET, "user-0")
    for command in ({"id": 1, "connect": {"token": token}}, {"id": 2, "subscribe": {"channel": channel}}):
        await client.send(json.dumps(command))
        assert "error" not in parse(str(await client.recv()))


@pytest.mark.parametrize("policy", ["dropOldest", "conflate"])
async def test_what_is_left_out_is_told(server: ServerProcess, policy: str) -> None:
    """The connection stays; read and reported publications add up to all, in order."""
    channel = "log:a" if policy == "dropOldest" else "price:a"
    async with (
        connect(server.url, ping_interval=None, max_size=None, max_queue=1, proxy=None) as client,
        server.api() as api,
    ):
        await subscribed(client, channel)
        client.transport.pause_reading()
        for number in range(PUBLICATIONS):
            await publish(api, channel, number, parity(number))
        client.transport.resume_reading()
        got = await read_until(client, PUBLICATIONS - 1)
        await publish(api, channel, PUBLICATIONS, parity(PUBLICATIONS))
        got += await read_until(client, PUBLICATIONS)
    numbers = [one.number for one in got]
    assert numbers == sorted(numbers)
    assert len(got) < PUBLICATIONS
    assert sum(1 + one.dropped + one.conflated for one in got) == PUBLICATIONS + 1
    left_out = sum(one.dropped if policy == "dropOldest" else one.conflated for one in got)
    assert left_out == PUBLICATIONS + 1 - len(got)
    counted = f'realtime_server_publications_dropped_total{{policy="{policy}",worker="0"}} {float(left_out)}'
    assert counted in await server.metrics()


async def test_where_nothing_is_left_out_the_connection_ends(server: ServerProcess) -> None:
    """The code is 3008 when the outbox overflows."""
    async with (
        connect(server.url, ping_interval=None, max_size=None, max_queue=1, proxy=None) as client,
        server.api() as api,
    ):
        await subscribed(client, "chat:a")
        client.transport.pause_reading()
        for number in range(PUBLICATIONS):
            await publish(api, "chat:a", number, None)
        metrics = await server.metrics()
    assert 'disconnects_total{code="3008",worker="0"} 1.0' in metrics


async def test_of_each_key_the_newest_arrives(server: ServerProcess) -> None:
    """Keys do not replace one another; publications without a key share one."""
    keys = ["a", "b", "c", None]
    async with (
        connect(server.url, ping_interval=None, max_size=None, max_queue=1, proxy=None) as client,
        server.api() as api,
    ):
        await subscribed(client, "price:keys")
        client.transport.pause_reading()
        for number in range(PUBLICATIONS):
            await publish(api, "price:keys", number, keys[number % len(keys)])
        client.transport.resume_reading()
        got = await read_until(client, PUBLICATIONS - 1)
    assert [one.number for one in got][-len(keys) :] == list(range(PUBLICATIONS - len(keys), PUBLICATIONS))
    assert sum(1 + one.conflated for one in got) == PUBLICATIONS
    assert sum(one.dropped for one in got) == 0


@pytest.mark.parametrize("channel", ["log:burst", "price:burst"])
async def test_a_burst_ends_no_connection_where_something_may_be_left_out(server: ServerProcess, channel: str) -> None:
    """A burst within one loop iteration is held, or dropped and reported."""
    async with (
        connect(server.url, ping_interval=None, max_size=None, proxy=None) as client,
        server.api() as api,
    ):
        await subscribed(client, channel)
        burst = 15
        data: JsonObject = {"filler": FILLER}
        commands: list[JsonValue] = [
            {"publish": {"channel": channel, "data": {"number": number, **data}}} for number in range(burst)
        ]
        await api.call("batch", commands=commands)
        got = await read_until(client, burst - 1)
    assert sum(1 + one.dropped + one.conflated for one in got) == burst
