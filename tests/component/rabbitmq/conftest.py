"""A RabbitMQ for all tests of a module, and servers that consume from it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from realtime_operator.api.base import JsonObject, JsonValue
from tests.kit.rabbitmq_process import RabbitMqProcess, running_rabbitmq


@pytest.fixture(scope="module")
def rabbitmq() -> Iterator[RabbitMqProcess]:
    """Start a RabbitMQ."""
    with running_rabbitmq() as process:
        yield process


@pytest.fixture
def queue() -> str:
    """Name of a queue of the test's own."""
    return f"queue-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def brokers(rabbitmq: RabbitMqProcess, tmp_path: Path) -> list[JsonValue]:
    """Setting `brokers` of a server."""
    return brokers_of(rabbitmq, tmp_path)


def brokers_of(rabbitmq: RabbitMqProcess, folder: Path) -> list[JsonValue]:
    """Return the setting `brokers` for a RabbitMQ, whose URL is in a file of this folder."""
    url_file = folder / "amqp-url"
    url_file.write_text(f"{rabbitmq.url}\n")
    broker: JsonObject = {"name": "main", "rabbitmq": {"url_file": str(url_file)}}
    return [broker]
