"""A backend that publishes to a queue of RabbitMQ and reads another: with confirms, again until each is confirmed."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field

import aiormq
from aiormq.abc import AbstractChannel, DeliveredMessage
from aiormq.exceptions import AMQPError, ChannelInvalidStateError
from pamqp.commands import Basic
from pamqp.common import FieldValue

from tests.kit.ledger import Published

CONFIRM_SECONDS = 5.0
JSON = "application/json"
QUORUM: Mapping[str, FieldValue] = {"x-queue-type": "quorum", "x-single-active-consumer": True}
"""Arguments of a queue that keeps its messages, and delivers them to one consumer at a time."""


@contextlib.asynccontextmanager
async def channel_to(url: str) -> AsyncIterator[AbstractChannel]:
    """Open a channel with confirms while the body runs."""
    connection = await aiormq.connect(url)
    try:
        yield await connection.channel(publisher_confirms=True, on_return_raises=True)
    finally:
        await connection.close()


async def make_queue(url: str, name: str, arguments: Mapping[str, FieldValue] = QUORUM) -> None:
    """Declare a durable queue."""
    async with channel_to(url) as channel:
        await channel.queue_declare(name, durable=True, arguments=dict(arguments))


async def publish(
    channel: AbstractChannel,
    queue: str,
    body: bytes,
    *,
    exchange: str = "",
    message_id: str = "",
    content_type: str | None = JSON,
    headers: Mapping[str, FieldValue] | None = None,
) -> None:
    """Publish a durable message; returns when it is confirmed. Without an exchange it goes to the queue itself."""
    properties = Basic.Properties(
        content_type=content_type, message_id=message_id or None, headers=dict(headers or {}), delivery_mode=2
    )
    await channel.basic_publish(
        body, exchange=exchange, routing_key=queue, properties=properties, mandatory=True, timeout=CONFIRM_SECONDS
    )


async def take(url: str, queue: str) -> DeliveredMessage | None:
    """Take a message out of a queue, None when it is empty."""
    async with channel_to(url) as channel:
        message = await channel.basic_get(queue, no_ack=True)
        return message if isinstance(message.delivery, Basic.GetOk) else None


async def depth(url: str, queue: str) -> int:
    """Return the number of messages in a queue that are not being delivered."""
    async with channel_to(url) as channel:
        return (await channel.queue_declare(queue, passive=True)).message_count or 0


@dataclass
class AmqpPublisher:
    """Publishes numbered messages for channels at a rate; the header `channel` names the last part of each.

    What is not confirmed is published again with the same id until it is: some messages are then in the queue twice.
    """

    url: str
    queue: str
    channels: tuple[str, ...]
    prefix: str
    published: list[Published] = field(default_factory=list)
    repeated: int = 0
    _sequence: int = 0

    async def run(self, count: int, per_second: float) -> None:
        """Publish this many messages, in their order for each channel; return when all are confirmed."""
        lanes: dict[str, asyncio.Queue[int | None]] = {channel: asyncio.Queue() for channel in self.channels}
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._lane(channel, numbers)) for channel, numbers in lanes.items()]
            for _ in range(count):
                self._sequence += 1
                await lanes[random.choice(self.channels)].put(self._sequence)
                await asyncio.sleep(1 / per_second)
            for numbers in lanes.values():
                await numbers.put(None)
            await asyncio.gather(*tasks)

    async def _lane(self, name: str, numbers: asyncio.Queue[int | None]) -> None:
        """Publish the messages of one channel, each after the one before was confirmed."""
        number = await numbers.get()
        while number is not None:
            try:
                async with channel_to(self.url) as channel:
                    while number is not None:
                        await self._publish(channel, name, number)
                        self.published.append(Published(f"{self.prefix}:{name}", number, 0, ""))
                        number = await numbers.get()
            except (AMQPError, ChannelInvalidStateError, OSError):
                self.repeated += 1
                await asyncio.sleep(0.2)

    async def _publish(self, channel: AbstractChannel, name: str, number: int) -> None:
        body = json.dumps({"sequence": number}).encode()
        await publish(channel, self.queue, body, message_id=f"{self.queue}-{number}", headers={"channel": name})
