"""Templates of channels: what the operator accepts, servers accept too; otherwise they would not start."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from realtime_operator.api.v1alpha1_message_brokers import QueueTemplate
from realtime_operator.api.v1alpha1_routes import SECRET_PLACEHOLDER, TEMPLATE, ChannelTemplate, namespace_of
from realtime_server.protocols.channel_templates import TemplateError
from realtime_server.protocols.plain.template import SECRETS, Source, parse_template
from realtime_server.protocols.queues import template as queues_template

PIECES = (
    "a", ":", "#", "$", "ö", " ", "{sub}", "{query.id}", "{meta.tenant}", "{header.x-id}", "{path.room}", "{header.X}",
    "{", "}", "{path.a-b}",
    "{id}", "{query.}", "{header.cookie}", "\t", "{query." + "x" * 65 + "}",
)  # fmt: skip
ADAPTER: TypeAdapter[str] = TypeAdapter(ChannelTemplate)


@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join))
def test_both_accept_the_same_templates(text: str) -> None:
    """And find the same namespace in them."""
    try:
        accepted: str | None = ADAPTER.validate_python(text)
    except ValidationError:
        accepted = None
    try:
        parsed = parse_template(text)
    except TemplateError:
        assert accepted is None
        return
    assert accepted == text
    assert namespace_of(text) == parsed.namespace


QUEUE_PIECES = (
    "a", ":", "#", "$", "ö", " ", "{routing_key}", "{routing_key.2}", "{routing_key.0}", "{routing_key.100}",
    "{header.X-Id}", "{header.}", "{", "}", "{sub}", "\t", "{header." + "x" * 65 + "}",
)  # fmt: skip
QUEUE_ADAPTER: TypeAdapter[str] = TypeAdapter(QueueTemplate)


@given(st.lists(st.sampled_from(QUEUE_PIECES), max_size=12).map("".join))
def test_both_accept_the_same_templates_of_queues(text: str) -> None:
    """And find the same namespace in them."""
    try:
        accepted: str | None = QUEUE_ADAPTER.validate_python(text)
    except ValidationError:
        accepted = None
    try:
        parsed = queues_template.parse_template(text)
    except TemplateError:
        assert accepted is None
        return
    assert accepted == text
    assert namespace_of(text) == parsed.namespace


@pytest.mark.parametrize("name", sorted(SECRETS))
def test_both_know_the_same_secrets(name: str) -> None:
    assert re.search(SECRET_PLACEHOLDER, f"{{header.{name}}}")


def test_both_know_the_same_sources() -> None:
    assert {source for source in Source if f"({source}" in TEMPLATE or f"|{source}" in TEMPLATE} == set(Source)
