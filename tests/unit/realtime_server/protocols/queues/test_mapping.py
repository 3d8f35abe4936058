"""Tests of mappings of queued messages to commands."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_server import codes
from realtime_server.codes import ErrorCode
from realtime_server.core.model.errors import CommandError
from realtime_server.core.ports.api import Message
from realtime_server.core.ports.message_broker import ApiCommand, PublishCommand, QueuedCommand, QueuedMessage
from realtime_server.protocols.queues.mapping import (
    MAX_CHANNELS,
    MAX_ID_LENGTH,
    CommandMapping,
    HeaderMapping,
    Mapping,
    TemplateMapping,
)
from realtime_server.protocols.queues.template import parse_template

TEMPLATE = TemplateMapping(parse_template("orders:{routing_key.2}"), 100)
HEADER = HeaderMapping("channels", 100)
COMMAND = CommandMapping()


def queued(body: bytes = b'{"total":3}', **fields: object) -> QueuedMessage:
    """Return a message with JSON, an id and a routing key."""
    given = {"routing_key": "orders.42", "message_id": "m1", "content_type": "application/json", **fields}
    return QueuedMessage(body, **given)  # type: ignore[arg-type] # the tests pass what fits


def error_of(mapping: Mapping, message: QueuedMessage) -> tuple[ErrorCode, str]:
    """Return the error with which a mapping refuses a message."""
    with pytest.raises(CommandError) as error:
        mapping.command(message)
    return error.value.error, error.value.why


def test_a_message_is_published_in_the_channel_of_the_template() -> None:
    """Its id is the idempotency key."""
    expected = PublishCommand(("orders:42",), Message(b'{"total":3}', idempotency_key="m1"))
    assert TEMPLATE.command(queued()) == expected


def test_a_body_without_a_content_type_counts_as_bytes() -> None:
    """Whether it is JSON is found out when it is published."""
    command = TEMPLATE.command(queued(b"\x00\xff", content_type="", message_id=""))
    assert command == PublishCommand(("orders:42",), Message(b"\x00\xff", binary=True))


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "Application/JSON", "text/json"])
def test_json_is_known_by_its_content_type(content_type: str) -> None:
    command = TEMPLATE.command(queued(content_type=content_type))
    assert isinstance(command, PublishCommand)
    assert not command.message.binary


def test_a_header_names_channels() -> None:
    """Each once, in their order."""
    command = HEADER.command(queued(headers={"channels": "orders:1, orders:2,orders:1"}))
    assert isinstance(command, PublishCommand)
    assert command.channels == ("orders:1", "orders:2")


def test_a_body_is_a_command() -> None:
    """Of a publication the message's id is the idempotency key."""
    command = COMMAND.command(queued(b'{"publish": {"channel": "orders:1", "data": {"a": [1, 2]}}}'))
    assert isinstance(command, ApiCommand)
    assert (command.method, command.subjects) == ("publish", ("orders:1",))
    assert json.loads(command.request) == {"channel": "orders:1", "data": {"a": [1, 2]}, "idempotency_key": "m1"}


def test_a_commands_own_idempotency_key_stays() -> None:
    command = COMMAND.command(queued(b'{"publish": {"channel": "c", "data": 1, "idempotency_key": "own"}}'))
    assert isinstance(command, ApiCommand)
    assert json.loads(command.request)["idempotency_key"] == "own"


@pytest.mark.parametrize(
    ("body", "subjects"),
    [
        (b'{"broadcast": {"channels": ["a", "b", "a"], "data": 1}}', ("a", "b")),
        (b'{"subscribe": {"user": "alice", "channel": "a"}}', ("a", "alice")),
        (b'{"disconnect": {"user": "alice"}}', ("alice",)),
        (b'{"emit": {"rooms": ["a", "b"], "event": "news"}}', ("a", "b")),
        (b'{"broadcast": {"channels": 7, "data": 1}}', ()),
        (b'{"publish": {"channel": ["a"], "data": 1}}', ()),
        (b'{"info": {}}', ()),
    ],
)
def test_a_command_is_about_channels_and_users(body: bytes, subjects: tuple[str, ...]) -> None:
    """What is no name is refused when the command is carried out."""
    command = COMMAND.command(queued(body))
    assert isinstance(command, ApiCommand)
    assert command.subjects == subjects


@pytest.mark.parametrize(
    ("mapping", "message", "error", "why"),
    [
        (TEMPLATE, queued(routing_key="orders"), codes.BAD_REQUEST, "channel orders:{routing_key.2}: {routing_key.2}"),
        (TEMPLATE, queued(b""), codes.BAD_REQUEST, "the body is empty"),
        (TEMPLATE, queued(b"1" * 101), codes.LIMIT_EXCEEDED, "the body has 101 bytes, more than 100"),
        (TEMPLATE, queued(b"{"), codes.BAD_REQUEST, "the body is not JSON, which its content type says"),
        (TEMPLATE, queued(b'"\xff"'), codes.BAD_REQUEST, "the body is not JSON"),
        (TEMPLATE, queued(b"[" * 99), codes.BAD_REQUEST, "the body is not JSON"),
        (TEMPLATE, queued(message_id="i" * (MAX_ID_LENGTH + 1)), codes.LIMIT_EXCEEDED, "the message id is longer"),
        (HEADER, queued(), codes.BAD_REQUEST, "the header channels is missing"),
        (HEADER, queued(headers={"channels": "a,,b"}), codes.BAD_REQUEST, "has an empty name"),
        (
            HEADER,
            queued(headers={"channels": ",".join(map(str, range(MAX_CHANNELS + 1)))}),
            codes.LIMIT_EXCEEDED,
            "names 1001 channels, not 1000",
        ),
        (COMMAND, queued(b"[]"), codes.BAD_REQUEST, "the body is no command"),
        (COMMAND, queued(b"{}"), codes.BAD_REQUEST, "the body is no command"),
        (COMMAND, queued(b'{"publish": {}, "info": {}}'), codes.BAD_REQUEST, "the body is no command"),
        (COMMAND, queued(b'{"publish": []}'), codes.BAD_REQUEST, "the body is no command"),
        (COMMAND, queued(b'{"publish": {"data": "\xff"}}'), codes.BAD_REQUEST, "the body is no command"),
        (COMMAND, queued(b'{"publish": {"channel": "\\ud800"}}'), codes.BAD_REQUEST, "the body is no command"),
        (COMMAND, queued(b"[" * 100_000), codes.BAD_REQUEST, "the body is no command"),
        (
            CommandMapping(frozenset({"publish"})),
            queued(b'{"disconnect": {"user": "alice"}}'),
            codes.PERMISSION_DENIED,
            "the method is not one of those",
        ),
    ],
)
def test_a_message_that_cannot_be_carried_out_is_refused(
    mapping: Mapping, message: QueuedMessage, error: ErrorCode, why: str
) -> None:
    """For good: a second try would say the same."""
    found, text = error_of(mapping, message)
    assert found is error
    assert not error.temporary
    assert why in text


_VALUES = st.recursive(st.none() | st.integers() | st.text(), lambda inner: st.lists(inner, max_size=3))
_BODIES = st.binary() | st.dictionaries(st.text(), st.dictionaries(st.text(), _VALUES)).map(
    lambda document: json.dumps(document).encode(errors="replace")
)


@pytest.mark.parametrize("mapping", [TEMPLATE, HEADER, COMMAND], ids=["template", "header", "command"])
@given(
    body=_BODIES,
    routing_key=st.text(),
    ident=st.text(),
    headers=st.dictionaries(st.just("channels") | st.text(), st.text()),
    content_type=st.sampled_from(["", "application/json"]),
)
def test_every_message_is_a_command_or_refused(
    mapping: Mapping, body: bytes, routing_key: str, ident: str, headers: dict[str, str], content_type: str
) -> None:
    """Nothing else is raised: a poison message stops no queue."""
    message = QueuedMessage(body, routing_key, headers, ident, content_type)
    command: QueuedCommand | None = None
    with contextlib.suppress(CommandError):
        command = mapping.command(message)
    if command is None:
        error, why = error_of(mapping, message)
        assert why
        assert not error.temporary
    elif isinstance(command, PublishCommand):
        assert command.channels
        assert command.message.data == body
    else:
        assert isinstance(json.loads(command.request), dict)
