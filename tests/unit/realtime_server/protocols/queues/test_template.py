"""Tests of templates of the channels of queues."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_server.core.model.namespaces import MAX_CHANNEL_BYTES, namespace_of
from realtime_server.core.ports.message_broker import QueuedMessage
from realtime_server.protocols.channel_templates import PlaceholderError, TemplateError
from realtime_server.protocols.queues.template import parse_template

MESSAGE = QueuedMessage(b"{}", "orders.eu.42", {"device": "d1", "X-Tenant": "acme"})


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("orders", "orders"),
        ("orders:{routing_key.3}", "orders:42"),
        ("orders:{routing_key}", "orders:orders.eu.42"),
        ("orders:{routing_key.2}-{routing_key.3}", "orders:eu-42"),
        ("devices:{header.device}", "devices:d1"),
        ("tenant:{header.X-Tenant}", "tenant:acme"),
        ("#{header.device}", "#d1"),
    ],
)
def test_a_message_fills_placeholders(template: str, expected: str) -> None:
    assert parse_template(template).channel(MESSAGE) == expected


@pytest.mark.parametrize(
    ("template", "why"),
    [
        ("", "must not be empty"),
        ("orders:{", "a brace is not closed"),
        ("orders:{sub}", "{sub} is no placeholder; use {routing_key}"),
        ("orders:{routing_key.0}", "is no placeholder"),
        ("orders:{routing_key.100}", "is no placeholder"),
        ("orders:{header.}", "is no placeholder"),
        ("{routing_key.1}:all", "must not be in the namespace"),
        ("orders: all", "must not have white space"),
    ],
)
def test_a_template_that_cannot_be_used_is_refused(template: str, why: str) -> None:
    with pytest.raises(TemplateError) as error:
        parse_template(template)
    assert why in str(error.value)


@pytest.mark.parametrize(
    ("template", "message", "why"),
    [
        ("o:{routing_key.4}", MESSAGE, "{routing_key.4}: is missing, the routing key has 3 words"),
        ("o:{header.absent}", MESSAGE, "{header.absent}: is missing"),
        ("o:{routing_key.2}", QueuedMessage(b"", "orders..42"), "{routing_key.2}: is empty"),
        ("o:{routing_key}", QueuedMessage(b"", ""), "{routing_key}: is empty"),
        ("o:{header.device}", QueuedMessage(b"", "", {"device": "a:b"}), "has a character that is not allowed"),
        ("o:{header.device}", QueuedMessage(b"", "", {"device": "a" * 129}), "is longer than 128 bytes"),
    ],
)
def test_a_message_that_does_not_fit_is_refused_without_its_values(
    template: str, message: QueuedMessage, why: str
) -> None:
    with pytest.raises(PlaceholderError) as error:
        parse_template(template).channel(message)
    assert why in str(error.value)
    assert "a:b" not in str(error.value)


def test_the_namespace_is_that_of_every_channel() -> None:
    assert parse_template("orders:{routing_key}").namespace == "orders"
    assert parse_template("orders").namespace is None


@given(st.text(max_size=300), st.text(max_size=300))
def test_no_message_chooses_the_namespace_or_a_longer_name(routing_key: str, header: str) -> None:
    """Whoever publishes to the exchange reaches the channels of the template and no others."""
    template = parse_template("orders:{routing_key.1}:{header.h}")
    try:
        channel = template.channel(QueuedMessage(b"", routing_key, {"h": header}))
    except PlaceholderError:
        return
    assert namespace_of(channel) == "orders"
    assert channel.count(":") == 2
    assert len(channel.encode()) <= MAX_CHANNEL_BYTES
