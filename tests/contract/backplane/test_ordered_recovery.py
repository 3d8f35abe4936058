"""Clients of an ordered namespace that go from server to server, over each Redis."""

from __future__ import annotations

import asyncio
import contextlib
import random
import secrets
from collections.abc import AsyncIterator, Awaitable, Sequence
from pathlib import Path

import pytest

from realtime_server import settings
from realtime_server.backplane.redis import RedisBroker, open_router
from realtime_server.backplane.redis_keys import Keys
from realtime_server.backplane.redis_target import CLUSTER_PARTITIONS
from realtime_server.codes import INSUFFICIENT_STATE
from realtime_server.core.model.channel_options import ChannelOptions
from realtime_server.core.model.namespaces import Namespaces
from realtime_server.core.model.publication import content_in
from realtime_server.core.model.values import HistoryOptions, HistoryQuery, StreamPosition
from realtime_server.core.node import Node
from realtime_server.core.ports.api import Message
from realtime_server.core.server_api import ServerApi
from tests.contract.backplane.conftest import (
    LINKED_DRIVERS,
    ORDERED,
    PASSWORD,
    TIMING,
    password_file,
    redis_settings,
    settings_of,
)
from tests.kit.deadline import eventually
from tests.kit.redis_cluster import running_cluster
from tests.kit.redis_process import RedisProcess
from tests.kit.room_clients import Client, Published
from tests.kit.server_doubles import make_node

ROOMS = tuple(f"rooms:{number}" for number in range(5))
KEPT = HistoryOptions(100_000, 60.0)
OPTIONS = ChannelOptions(history=KEPT, recovery=True, ordered=True)
PUBLISHERS, PUBLICATIONS = 4, 150


@contextlib.asynccontextmanager
async def running_nodes(place: settings.Redis, count: int, prefix: str = "") -> AsyncIterator[list[Node]]:
    """Run nodes that share an ordered namespace."""
    prefix = prefix or secrets.token_hex(4)
    namespaces = Namespaces([(name, OPTIONS) for name in ORDERED])
    brokers = [RedisBroker(open_router(place, prefix, TIMING, ORDERED)) for _ in range(count)]
    nodes = [make_node(broker, namespaces=namespaces, channels=10) for broker in brokers]
    try:
        for broker, node in zip(brokers, nodes, strict=True):
            await broker.start(node, node.uid)
        yield nodes
    finally:
        for node in nodes:
            await node.stop()


async def publish(node: Node, publisher: int) -> None:
    """Publish in all rooms."""
    for number in range(PUBLICATIONS):
        room = ROOMS[(publisher + number) % len(ROOMS)]
        await ServerApi(node).publish(room, Message(b'"%d-%d"' % (publisher, number)))


async def published(node: Node) -> list[Published]:
    """Return all publications in their order."""
    found = []
    for room in ROOMS:
        page = await node.broker.history(room, HistoryQuery(-1), KEPT)
        for one in page.publications:
            assert one.sequence is not None
            position = StreamPosition(one.offset, page.position.epoch)
            found.append((one.sequence.number, Published(room, position, content_in(one).data)))
    return [one for _, one in sorted(found, key=lambda pair: pair[0])]


async def hop(client: Client, nodes: Sequence[Node]) -> None:
    """Connect somewhere, receive some of what comes, and lose the connection with the rest."""
    client.node = random.choice(nodes)
    client.connect()
    for _ in range(random.randrange(2, 20)):
        await asyncio.sleep(0.002)
        client.receive(random.randrange(10))
    client.cut()


async def lacking(client: Client, count: int) -> int:
    """Have a client connected, and return how many publications it still lacks."""
    client.connect()
    client.receive(10_000)
    return count - len(client.received)


@pytest.mark.parametrize("driver", LINKED_DRIVERS)
async def test_a_client_may_go_to_any_server(driver: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """It gets each publication of its rooms once and in order, however often it is cut off."""
    async with running_nodes(settings_of(driver, request, tmp_path), 2) as nodes:
        await follow(nodes)


async def test_links_that_are_lost_disorder_nothing(redis: RedisProcess, tmp_path: Path) -> None:
    """What a link has lost is delivered in the order of all rooms, on connections that stay."""

    async def kill() -> None:
        for _ in range(5):
            await asyncio.sleep(0.05)
            redis.ask("CLIENT", "KILL", "TYPE", "pubsub")

    async with running_nodes(redis_settings(redis, tmp_path), 2) as nodes:
        await follow_while(nodes, kill())


async def test_a_slot_that_moves_disorders_nothing(tmp_path: Path) -> None:
    """In a cluster all rooms are in one slot, which moves to another primary while it is published to."""
    with running_cluster(PASSWORD) as cluster:
        prefix = secrets.token_hex(4)
        keys = Keys(prefix, CLUSTER_PARTITIONS, ORDERED)
        source = cluster.primary_of(keys.of(ROOMS[0], "stream"))
        target = next(node for node in cluster.nodes if node is not source)
        move = asyncio.to_thread(cluster.move_slot, keys.slot(keys.partition_of(ROOMS[0])), source, target)
        found = settings.RedisCluster(addresses=cluster.addresses)
        place = settings.Redis(cluster=found, password_file=password_file(PASSWORD, tmp_path))
        async with running_nodes(place, 2, prefix) as nodes:
            await follow_while(nodes, move)
        assert cluster.primary_of(keys.of(ROOMS[0], "stream")) is target


async def follow_while(nodes: Sequence[Node], disturbance: Awaitable[None]) -> None:
    """Publish while something disturbs the servers, a client hops, and another stays connected to each of them."""
    steady = [Client(node, ROOMS, []) for node in nodes]
    for client in steady:
        client.connect()
        assert client.task is not None
        await client.task
    await asyncio.gather(follow(nodes), disturbance)
    log = await published(nodes[0])
    for client in steady:
        await verify(client, log)


async def test_redis_without_its_data_loses_nothing_silently(redis: RedisProcess, tmp_path: Path) -> None:
    """Connections are closed, and a client that comes back is told, also when the numbers have grown again."""
    async with running_nodes(redis_settings(redis, tmp_path), 2) as nodes:
        client = Client(nodes[0], ROOMS, [])
        client.connect()
        assert client.task is not None
        await client.task
        for room in ROOMS:
            await ServerApi(nodes[1]).publish(room, Message(b'"before"'))
        await eventually(lambda: lacking(client, len(ROOMS)), lambda count: not count, what="all before", within=20)
        await asyncio.to_thread(redis.stop)
        redis.lose_data()
        await asyncio.to_thread(redis.start)
        await eventually(lambda: is_closed(client), lambda closed: closed, what="the connection is closed", within=20)
        for room in ROOMS * 3:
            await ServerApi(nodes[1]).publish(room, Message(b'"missed"'))
        client.node = nodes[1]
        client.received = []
        await eventually(lambda: connections_anew(client), lambda anew: anew == 2, what="a loss", within=20)
        await ServerApi(nodes[0]).publish(ROOMS[0], Message(b'"after"'))
        await eventually(lambda: lacking(client, 1), lambda count: not count, what="what follows", within=20)
        assert client.received == [b'"after"']


async def is_closed(client: Client) -> bool:
    """Return True when the server has closed the connection because publications were lost."""
    return client.wire is not None and client.wire.closed_by is INSUFFICIENT_STATE


async def connections_anew(client: Client) -> int:
    """Have a client connected, and return how often it did not recover."""
    client.connect()
    return client.anew


async def follow(nodes: Sequence[Node]) -> None:
    """Publish while a client hops, and verify what it has received."""
    client = Client(nodes[0], ROOMS, [])
    client.connect()
    assert client.task is not None
    await client.task
    await ServerApi(nodes[0]).publish(ROOMS[0], Message(b'"first"'))
    await eventually(lambda: lacking(client, 1), lambda count: not count, what="a position", within=20)
    publishing = asyncio.gather(*(publish(nodes[number % 2], number) for number in range(PUBLISHERS)))
    while not publishing.done():
        await hop(client, nodes)
    await publishing
    log = await published(nodes[0])
    assert len(log) == PUBLISHERS * PUBLICATIONS + 1
    await verify(client, log)


async def verify(client: Client, log: Sequence[Published]) -> None:
    """Wait until a client has received as many as were published, and check that they are those, in order."""
    await eventually(lambda: lacking(client, len(log)), lambda count: not count, what="the client has all", within=20)
    client.log.extend(log)
    client.verify(client.begun, whole=True)
    assert client.anew == 1
