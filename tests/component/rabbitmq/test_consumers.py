"""Messages of a real RabbitMQ that clients of a real server receive."""

from __future__ import annotations

import contextlib
import json
import struct
from collections.abc import AsyncIterator, Iterator

import pytest
from pamqp import encode

from realtime_operator.api.base import JsonObject, JsonValue
from tests.kit.amqp_backend import channel_to, depth, make_queue, publish, take
from tests.kit.clients import Channel, ClientOptions, Disconnected, all_subscribed
from tests.kit.deadline import eventually
from tests.kit.python_sdk import PythonClients
from tests.kit.rabbitmq_process import RabbitMqProcess
from tests.kit.server_process import TOKEN_SECRET, ServerProcess
from tests.kit.tokens import connection_token

pytestmark = pytest.mark.timeout(90)

BY_HEADER: JsonObject = {"channel": "chat:{header.channel}"}
DEAD = "dead-letters"


@contextlib.asynccontextmanager
async def consuming(
    rabbitmq: RabbitMqProcess, queue: str, brokers: list[JsonValue], mapping: JsonObject, **fields: JsonValue
) -> AsyncIterator[tuple[ServerProcess, PythonClients]]:
    """Run a server that consumes a queue, and a client in two channels."""
    await make_queue(rabbitmq.url, queue)
    consumer: JsonObject = {"broker": "main", "queue": queue, "mapping": mapping, **fields}
    async with (
        ServerProcess("consumer", None, brokers=brokers, consumers=[consumer]) as server,
        PythonClients(
            ClientOptions(
                endpoints=[server.url],
                count=1,
                channels=[Channel("chat:1"), Channel("chat:2")],
                tokens=[connection_token(TOKEN_SECRET, "ann")],
            )
        ) as clients,
    ):
        await all_subscribed(clients)
        yield server, clients


async def received(clients: PythonClients, count: int) -> list[tuple[str, JsonValue]]:
    """Wait for this many publications, and return all."""
    await clients.record.wait(lambda r: len(r.publications()) >= count, what=f"{count} publications", within=10)
    return [(publication.channel, publication.data) for publication in clients.record.publications()]


async def metric(server: ServerProcess, name: str) -> float:
    """Return the value of a metric of the consumer, the sum of its labels."""
    lines = [
        line for line in (await server.metrics()).splitlines() if line.startswith(f"realtime_server_consumer_{name}")
    ]
    return sum(float(line.rpartition(" ")[2]) for line in lines)


async def test_messages_arrive_at_clients_in_order(
    rabbitmq: RabbitMqProcess, queue: str, brokers: list[JsonValue]
) -> None:
    """Each is removed from the queue, and one that is published twice with the same id is delivered once."""
    async with consuming(rabbitmq, queue, brokers, BY_HEADER) as (server, clients):
        async with channel_to(rabbitmq.url) as channel:
            for number in range(20):
                body = json.dumps({"number": number}).encode()
                for _ in range(2):
                    await publish(channel, queue, body, message_id=f"m{number}", headers={"channel": 1 + number % 2})
        got = await received(clients, 20)
        expected = [(f"chat:{1 + number % 2}", {"number": number}) for number in range(20)]
        assert sorted(got, key=str) == sorted(expected, key=str)
        for name in ("chat:1", "chat:2"):
            assert [data for channel, data in got if channel == name] == [
                data for channel, data in expected if channel == name
            ]
        await eventually(lambda: metric(server, 'messages_total{outcome="accepted"'), lambda n: n == 40, what="answers",
                         within=5)  # fmt: skip
        assert await depth(rabbitmq.url, queue) == 0
        assert await metric(server, "connected") == 1


async def test_a_body_is_any_command_of_the_server_api(
    rabbitmq: RabbitMqProcess, queue: str, brokers: list[JsonValue]
) -> None:
    """Here a broadcast, then the end of a connection."""
    commands: list[JsonObject] = [
        {"broadcast": {"channels": ["chat:1", "chat:2"], "data": {"to": "all"}}},
        {"disconnect": {"user": "ann"}},
    ]
    async with consuming(rabbitmq, queue, brokers, {"commands": {}}) as (_, clients):
        async with channel_to(rabbitmq.url) as channel:
            for command in commands:
                await publish(channel, queue, json.dumps(command).encode())
        assert await received(clients, 2) == [("chat:1", {"to": "all"}), ("chat:2", {"to": "all"})]
        await clients.record.wait(lambda r: r.first(Disconnected) is not None, what="disconnected", within=5)


async def test_a_message_that_cannot_be_carried_out_becomes_a_dead_letter(
    rabbitmq: RabbitMqProcess, queue: str, brokers: list[JsonValue]
) -> None:
    """With the reason in a header; messages after it arrive, and what RabbitMQ itself does not read stops nothing."""
    dead = f"{DEAD}-{queue}"
    async with channel_to(rabbitmq.url) as channel:
        await channel.exchange_declare(exchange=DEAD, exchange_type="direct", durable=True)
        await channel.queue_declare(dead, durable=True, arguments={"x-queue-type": "quorum"})
        await channel.queue_bind(dead, exchange=DEAD, routing_key=queue)
    target: JsonObject = {"exchange": DEAD}
    async with consuming(rabbitmq, queue, brokers, BY_HEADER, dead_letter=target) as (server, clients):
        async with channel_to(rabbitmq.url) as channel:
            await publish(channel, queue, b"not JSON", message_id="bad", headers={"channel": "1", "CC": ["elsewhere"]})
            await publish(channel, queue, b'{"number":1}', headers={"channel": "1"})
            with unreadable_properties():
                await publish(channel, queue, b'{"number":2}', message_id="text", headers={"channel": "2"})
            await publish(channel, queue, b'{"number":3}', headers={"channel": "2"})
        got = await received(clients, 3)
        assert sorted(str(data) for _, data in got) == ["{'number': 1}", "{'number': 2}", "{'number': 3}"]
        await eventually(lambda: depth(rabbitmq.url, dead), lambda n: n == 1, what="dead letter", within=10)
        letter = await take(rabbitmq.url, dead)
        assert letter is not None
        assert letter.body == b"not JSON"
        properties = letter.header.properties
        assert properties.message_id == "bad"
        assert properties.headers is not None
        assert (
            properties.headers["x-realtime-reason"] == "bad request: the body is not JSON, which its content type says"
        )
        assert properties.headers["x-realtime-code"] == 107
        assert properties.headers["x-realtime-queue"] == queue
        assert properties.headers["channel"] == "1"
        assert await metric(server, 'messages_total{outcome="dead_lettered"') == 1
        assert await metric(server, "connected") == 1


@contextlib.contextmanager
def unreadable_properties() -> Iterator[None]:
    """Write a message id that is not UTF-8 while the body runs, as a publisher in another language may."""
    usual = encode.METHODS["shortstr"]
    encode.METHODS["shortstr"] = lambda value: struct.pack("B2s", 2, b"\xff\xfe") if value == "text" else usual(value)
    try:
        yield
    finally:
        encode.METHODS["shortstr"] = usual


async def test_a_queue_that_is_missing_is_consumed_as_soon_as_it_is_there(
    rabbitmq: RabbitMqProcess, queue: str, brokers: list[JsonValue]
) -> None:
    """The log says what is missing, and no secret."""
    consumer: JsonObject = {"broker": "main", "queue": queue, "mapping": BY_HEADER}
    async with ServerProcess("early", None, brokers=brokers, consumers=[consumer]) as server:

        async def log() -> str:
            return server.log.read_text()

        await eventually(log, lambda text: "NOT_FOUND - no queue" in text, what="told", within=10)
        await make_queue(rabbitmq.url, queue)
        await eventually(lambda: metric(server, "connected"), lambda n: n == 1, what="consumed", within=15)
        assert "guest" not in server.log.read_text()
        async with channel_to(rabbitmq.url) as channel:
            await channel.queue_delete(queue)
        await eventually(log, lambda text: "the queue was deleted" in text, what="told", within=10)
