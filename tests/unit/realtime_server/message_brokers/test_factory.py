"""Tests of the consumers that the settings describe."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from realtime_server.core.ports.message_broker import QueuedCommand
from realtime_server.message_broker_settings import Consumer, MessageBroker, QueuedCommands, QueueMapping, RabbitMq
from realtime_server.message_brokers.factory import mapping_of, open_consumers, queue_name, worker_of
from realtime_server.protocols.queues.mapping import CommandMapping, HeaderMapping, Mapping, TemplateMapping
from realtime_server.settings import Backplane, Redis, Settings

BROKER = MessageBroker(name="main", rabbitmq=RabbitMq(url_file=Path("url")))


class NoExecutor:
    """Executor of nothing."""

    async def execute(self, command: QueuedCommand) -> None:
        """Not called."""


def consumer(queue: str) -> Consumer:
    """Return the settings of a queue."""
    return Consumer(broker="main", queue=queue, mapping=QueueMapping(channel="a"))


@pytest.mark.parametrize("workers", [1, 2, 3])
async def test_each_queue_is_consumed_by_one_worker_of_a_server(workers: int) -> None:
    queues = [consumer(f"queue-{number}") for number in range(40)]
    settings = Settings(
        workers=workers, backplane=Backplane(redis=Redis(address="localhost:6379")), brokers=(BROKER,),
        consumers=tuple(queues),
    )  # fmt: skip
    found = [open_consumers(settings, index, NoExecutor(), lambda: True).consumers for index in range(workers)]
    names = Counter(each.name for consumers in found for each in consumers)
    assert names == dict.fromkeys(map(queue_name, queues), 1)
    assert min(map(len, found)) >= 40 / workers / 3


def test_the_worker_of_a_queue_is_the_same_in_every_process() -> None:
    """It must not depend on Python's random hashes."""
    assert [worker_of(consumer(f"queue-{number}"), 4) for number in range(6)] == [1, 3, 1, 3, 0, 2]


@pytest.mark.parametrize(
    ("mapping", "kind"),
    [
        (QueueMapping(channel="a:{routing_key}"), TemplateMapping),
        (QueueMapping(channels_header="to"), HeaderMapping),
        (QueueMapping(commands=QueuedCommands()), CommandMapping),
    ],
)
def test_each_mapping_has_its_kind(mapping: QueueMapping, kind: type[Mapping]) -> None:
    assert isinstance(mapping_of(mapping, 1), kind)
