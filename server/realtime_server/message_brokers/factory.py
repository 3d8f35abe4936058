"""Consumers of a worker, as the settings describe them."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable, Sequence

from prometheus_client.registry import Collector

from realtime_server import settings
from realtime_server.core.ports.message_broker import CommandExecutor, MessageQueue
from realtime_server.message_broker_settings import Consumer, QueueMapping, RabbitMq
from realtime_server.message_brokers.consumer_metrics import ConsumerCollector
from realtime_server.message_brokers.queue_consumer import QueueConsumer, RetryPolicy
from realtime_server.protocols.queues.mapping import CommandMapping, HeaderMapping, Mapping, TemplateMapping
from realtime_server.protocols.queues.template import parse_template


class Consumers:
    """Consumers of one worker."""

    def __init__(self, consumers: Sequence[QueueConsumer]) -> None:
        self.consumers = consumers

    def collector(self, worker: int) -> Collector:
        """Return the collector of their metrics."""
        return ConsumerCollector(self.consumers, worker)

    def start(self) -> None:
        """Consume in tasks."""
        for consumer in self.consumers:
            consumer.start()

    async def stop(self) -> None:
        """Stop all of them; see QueueConsumer.stop. Idempotent."""
        await asyncio.gather(*(consumer.stop() for consumer in self.consumers))


def open_consumers(
    all_settings: settings.Settings, index: int, executor: CommandExecutor, is_healthy: Callable[[], bool]
) -> Consumers:
    """Return the consumers of the worker with this index, not started."""
    brokers = {broker.name: broker.rabbitmq for broker in all_settings.brokers}
    data_bytes = all_settings.limits.outbox_bytes // 2
    return Consumers(
        [
            QueueConsumer(
                queue_name(consumer),
                _queue(brokers[consumer.broker], consumer, index),
                mapping_of(consumer.mapping, data_bytes),
                executor,
                is_healthy,
                policy=RetryPolicy(
                    consumer.retries.attempts, consumer.retries.first_delay_seconds, consumer.retries.max_delay_seconds
                ),
            )
            for consumer in all_settings.consumers
            if worker_of(consumer, all_settings.workers) == index
        ]
    )


def queue_name(consumer: Consumer) -> str:
    """Return the name of a queue among all brokers."""
    return f"{consumer.broker}/{consumer.queue}"


def worker_of(consumer: Consumer, workers: int) -> int:
    """Return the index of the one worker of a server that consumes a queue: they share the queues evenly."""
    return zlib.crc32(queue_name(consumer).encode()) % workers


def mapping_of(mapping: QueueMapping, data_bytes: int) -> Mapping:
    """Return the mapping that the settings describe. `data_bytes` is the maximum size of a publication."""
    if mapping.channel is not None:
        return TemplateMapping(parse_template(mapping.channel), data_bytes)
    if mapping.channels_header is not None:
        return HeaderMapping(mapping.channels_header, data_bytes)
    assert mapping.commands is not None
    return CommandMapping(frozenset(mapping.commands.methods))


def _queue(broker: RabbitMq, consumer: Consumer, index: int) -> MessageQueue:
    # Only now: aiormq takes time and memory of every worker that imports it.
    from realtime_server.message_brokers.rabbitmq import QueueOptions, RabbitMqQueue

    name = f"realtime {settings.server_name()} worker {index}"
    return RabbitMqQueue(broker, QueueOptions(consumer.queue, consumer.prefetch, consumer.dead_letter, name))
