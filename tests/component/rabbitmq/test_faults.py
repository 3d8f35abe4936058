"""Faults of RabbitMQ, of Redis and of servers, while a backend publishes: an account from its publish to clients."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from realtime_operator.api.base import JsonObject, JsonValue
from tests.component.rabbitmq.conftest import brokers_of
from tests.kit.accounting import delivered
from tests.kit.amqp_backend import AmqpPublisher, depth, make_queue
from tests.kit.clients import Channel, ClientOptions, all_subscribed
from tests.kit.deadline import eventually
from tests.kit.ledger import Balance, balance
from tests.kit.python_sdk import PythonClients
from tests.kit.rabbitmq_process import RabbitMqProcess
from tests.kit.redis_process import RedisProcess, running_redis
from tests.kit.server_process import TOKEN_SECRET, ServerProcess
from tests.kit.tokens import connection_token

pytestmark = pytest.mark.timeout(240)

PER_SECOND = 200.0
CHANNELS = ("0", "1", "2", "3")
SETTLE_SECONDS = 60.0


@pytest.fixture
def redis() -> Iterator[RedisProcess]:
    """Start a Redis for one test, which may kill it."""
    with running_redis() as process:
        yield process


@dataclass
class Site:
    """Two servers that consume a queue, and clients at a third that does not."""

    rabbitmq: RabbitMqProcess
    redis: RedisProcess
    publisher: AmqpPublisher
    clients: PythonClients
    servers: tuple[ServerProcess, ServerProcess]

    async def account(self) -> Balance:
        """Wait until the queue is empty and the clients have everything, or time is over; then compare."""
        await eventually(
            lambda: depth(self.rabbitmq.url, self.publisher.queue),
            lambda n: n == 0,
            what="empty",
            within=SETTLE_SECONDS,
        )
        expected = len(self.publisher.published) * self.clients.options.count
        await self.clients.record.wait(
            lambda r: len(r.publications()) >= expected, what=f"{expected} publications", within=SETTLE_SECONDS
        )
        await asyncio.sleep(1)  # for those that should not come
        return balance(self.publisher.published, delivered(self.clients.record, self.clients.options.count))

    async def dead_letters(self) -> float:
        """Return the number of dead letters of both servers."""
        return sum([await metric(server, 'messages_total{outcome="dead_lettered"') for server in self.servers])


async def metric(server: ServerProcess, name: str) -> float:
    """Return the value of a metric of a server's consumer."""
    begin = f"realtime_server_consumer_{name}"
    return sum(float(x.rpartition(" ")[2]) for x in (await server.metrics()).splitlines() if x.startswith(begin))


def server_of(name: str, redis: RedisProcess, brokers: list[JsonValue], queue: str) -> ServerProcess:
    """Return a server that consumes a queue."""
    consumer: JsonObject = {
        "broker": "main",
        "queue": queue,
        "mapping": {"channel": "chat:{header.channel}"},
        "dead_letter": {"exchange": "amq.fanout"},
    }
    return ServerProcess(name, redis, brokers=brokers, consumers=[consumer])


@pytest_asyncio.fixture
async def site(rabbitmq: RabbitMqProcess, redis: RedisProcess, queue: str, tmp_path: Path) -> AsyncIterator[Site]:
    """Start servers and clients."""
    await make_queue(rabbitmq.url, queue)
    brokers = brokers_of(rabbitmq, tmp_path)
    async with (
        server_of("one", redis, brokers, queue) as one,
        server_of("other", redis, brokers, queue) as other,
        ServerProcess("clients", redis) as third,
        PythonClients(
            ClientOptions(
                endpoints=[third.url],
                count=2,
                channels=[Channel(f"chat:{name}", recoverable=True) for name in CHANNELS],
                tokens=[connection_token(TOKEN_SECRET, user) for user in ("ann", "bob")],
                min_reconnect_delay=0.1,
                max_reconnect_delay=0.5,
            )
        ) as clients,
    ):
        await all_subscribed(clients)
        publisher = AmqpPublisher(rabbitmq.url, queue, CHANNELS, "chat")
        yield Site(rabbitmq, redis, publisher, clients, (one, other))


async def test_nothing_is_lost_when_rabbitmq_is_killed_or_suspended(site: Site) -> None:
    """Every message arrives once and in the order of its channel."""
    publishing = asyncio.ensure_future(site.publisher.run(4000, PER_SECOND))
    await asyncio.sleep(3)
    site.rabbitmq.kill()
    await asyncio.sleep(1)
    await asyncio.to_thread(site.rabbitmq.start)
    await asyncio.sleep(3)
    site.rabbitmq.freeze()
    await asyncio.sleep(4)
    site.rabbitmq.thaw()
    await publishing
    result = await site.account()
    assert result.exact, result.describe()
    assert len(site.publisher.published) == 4000
    assert site.publisher.repeated > 0
    assert await site.dead_letters() == 0


async def test_nothing_is_lost_when_servers_are_replaced_or_killed(site: Site, tmp_path: Path) -> None:
    """Whichever of them consumes, the other goes on."""
    publishing = asyncio.ensure_future(site.publisher.run(2000, PER_SECOND))
    one, other = site.servers
    async with server_of("new", site.redis, brokers_of(site.rabbitmq, tmp_path), site.publisher.queue) as new:
        await asyncio.sleep(1)
        assert one.process is not None
        one.process.send_signal(signal.SIGTERM)
        await one.process.wait()
        await asyncio.sleep(2)
        assert other.process is not None
        other.process.send_signal(signal.SIGKILL)
        await other.process.wait()
        await publishing
        result = await site.account()
        assert result.exact, result.describe()
        assert await metric(new, "messages_total") > 0


async def test_nothing_is_lost_while_redis_is_away(site: Site) -> None:
    """The consumers pause, and no message spends its attempts."""
    publishing = asyncio.ensure_future(site.publisher.run(3000, PER_SECOND))
    await asyncio.sleep(2)
    site.redis.stop()
    await asyncio.sleep(7)
    waiting = await depth(site.rabbitmq.url, site.publisher.queue)
    assert [await metric(server, "connected") for server in site.servers] == [0, 0]
    site.redis.start()
    await publishing
    result = await site.account()
    assert result.exact, result.describe()
    assert waiting > 500
    assert await site.dead_letters() == 0
