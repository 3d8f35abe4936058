"""Tests of what the driver of RabbitMQ decides without a connection; tests/component/rabbitmq has the rest."""

from __future__ import annotations

from pathlib import Path

import pytest
from aiormq.abc import DeliveredMessage
from pamqp.commands import Basic
from pamqp.header import ContentHeader

from realtime_server.core.ports.message_broker import Delivery, MessageBrokerError, QueuedMessage
from realtime_server.message_broker_settings import RabbitMq
from realtime_server.message_brokers.rabbitmq import QueueOptions, RabbitMqQueue, parsed_url, queued_message

SECRET = "the-password"


async def ignore(_delivery: Delivery) -> None:
    """Take no delivery."""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("amqp://ann:pw@rabbit", "amqp://ann:pw@rabbit/?heartbeat=10"),
        ("amqps://ann:pw@rabbit:5671/%2Fshop", "amqps://ann:pw@rabbit:5671/%2Fshop?heartbeat=10"),
        ("amqp://rabbit/shop?heartbeat=30", "amqp://rabbit/shop?heartbeat=30"),
        ("amqps://rabbit/?no_verify_ssl=1&cafile=/tmp/ca", "amqps://rabbit/?heartbeat=10"),
    ],
)
def test_a_url_has_a_heartbeat_and_no_other_option(text: str, expected: str) -> None:
    """Above all none that turns verification off."""
    assert str(parsed_url(text)) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        f"http://ann:{SECRET}@rabbit",
        f"ann:{SECRET}@rabbit:5672",
        f"amqp://ann:{SECRET}@",
        f"amqp://ann:{SECRET}@rabbit:port/",
        f"amqp://ann:{SECRET}@rabbit/?heartbeat=often",
        f"amqp://ann:{SECRET}@rabbit/?heartbeat=0",
        f"amqp://ann:{SECRET}@[::1",
    ],
)
def test_what_is_no_url_is_refused_without_its_text(text: str) -> None:
    """It has the password."""
    with pytest.raises(MessageBrokerError, match="the URL of RabbitMQ") as error:
        parsed_url(text)
    assert SECRET not in str(error.value)
    assert error.value.__cause__ is None


@pytest.mark.parametrize("field", ["ca_file", "certificate_file"])
async def test_certificates_need_a_url_with_tls(tmp_path: Path, field: str) -> None:
    """Otherwise somebody would believe that the connection is encrypted."""
    url_file = tmp_path / "url"
    url_file.write_text(f"amqp://ann:{SECRET}@127.0.0.1:1/")
    files = {"ca_file": {"ca_file": url_file}, "certificate_file": {"certificate_file": url_file, "key_file": url_file}}
    queue = RabbitMqQueue(RabbitMq(url_file=url_file, **files[field]), QueueOptions("q", 1, None, "test"))
    with pytest.raises(MessageBrokerError, match="must begin with amqps://"):
        await queue.open(ignore)


def delivered(properties: Basic.Properties, *, redelivered: bool = False) -> DeliveredMessage:
    """Return a delivery as aiormq makes it."""
    frame = Basic.Deliver("tag", 7, redelivered, "shop", "order.42")
    channel = None
    return DeliveredMessage(frame, ContentHeader(properties=properties), b"body", channel)  # type: ignore[arg-type] # not used


def test_headers_are_texts() -> None:
    """Tables, lists, bytes and nothing are no texts."""
    properties = Basic.Properties(
        headers={"a": "text", "b": 7, "c": True, "d": 1.5, "e": None, "f": ["x"], "g": {"x": 1}, "h": b"x"},
        message_id="m1",
        content_type="application/json",
    )
    assert queued_message(delivered(properties)) == QueuedMessage(
        b"body", "order.42", {"a": "text", "b": "7", "c": "true", "d": "1.5"}, "m1", "application/json", 0
    )


@pytest.mark.parametrize(
    ("count", "redelivered", "returns"), [(0, False, 0), (3, True, 3), (None, False, 0), (None, True, 1)]
)
def test_returns_are_counted_where_the_queue_counts_them(count: int | None, redelivered: bool, returns: int) -> None:
    """A quorum queue does; another one only says that it was delivered before."""
    headers = {} if count is None else {"x-delivery-count": count}
    message = queued_message(delivered(Basic.Properties(headers={**headers}), redelivered=redelivered))
    assert message.returns == returns
