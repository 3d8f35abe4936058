"""Unidirectional protocol in JSON: one request, then pushes without an envelope."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_server import codes
from realtime_server.core.model.commands import (
    Command,
    ConnectRequest,
    ConnectResult,
    SubscribeRequest,
    SubscribeResult,
)
from realtime_server.core.model.publication import content_of
from realtime_server.core.model.pushes import DisconnectPush, Push, SubscribePush, UnsubscribePush
from realtime_server.protocols.centrifuge.json_unidirectional import COMMAND, UnidirectionalJsonCodec, decode_connect

WIRE = UnidirectionalJsonCodec(lambda message: message)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (b"", ConnectRequest()),
        (b" {}\n", ConnectRequest()),
        (b'{"token":"t","name":"a"}', ConnectRequest(token="t", name="a")),
        (
            b'{"subs":{"chat:a":{"recover":true,"offset":3,"epoch":"e"}}}',
            ConnectRequest(subs={"chat:a": SubscribeRequest(recover=True, offset=3, epoch="e")}),
        ),
    ],
)
def test_the_message_of_a_client_is_its_connect_request(message: bytes, expected: ConnectRequest) -> None:
    """The message has no command around it; an empty message is an empty request."""
    assert decode_connect(message) == (Command(COMMAND, connect=expected),)


@pytest.mark.parametrize(
    "message",
    [
        b"[]",
        b"null",
        b"{",
        b'{"token":1}',
        b'{"token":"\xff"}',
        b"[" * 100_000,
        b'{"data":' + b"[" * 600 + b"]" * 600 + b"}",
    ],
)
def test_what_is_none_is_malformed(message: bytes) -> None:
    """A malformed message yields None, never an exception."""
    assert decode_connect(message) is None


@given(st.binary(max_size=200))
def test_no_bytes_break_it(message: bytes) -> None:
    """Any bytes yield one command or None."""
    found = decode_connect(message)
    assert found is None or len(found) == 1


def test_the_answer_to_connect_is_a_push() -> None:
    """The push has the positions of the channels, and no id."""
    position = SubscribeResult(recoverable=True, epoch="e", offset=7)
    result = ConnectResult(client="c", version="1", ping=25, pong=False, subs={"chat:a": position})
    assert msgspec.json.decode(WIRE.reply(COMMAND, result)) == {
        "connect": {
            "client": "c",
            "version": "1",
            "ping": 25,
            "pong": False,
            "subs": {"chat:a": {"recoverable": True, "epoch": "e", "offset": 7}},
        }
    }


def test_publications_stand_alone() -> None:
    """A push has channel and publication, as from the reference server."""
    content = content_of(b'{"a":1}')
    assert WIRE.publication("chat:a", content, 3) == b'{"channel":"chat:a","pub":{"data":{"a":1},"offset":3}}'
    assert WIRE.ping() == b"{}"


@pytest.mark.parametrize(
    ("channel", "push", "expected"),
    [
        ("", DisconnectPush(3, "r", reconnect=True), {"disconnect": {"code": 3, "reason": "r", "reconnect": True}}),
        ("a", UnsubscribePush(2000, "u"), {"channel": "a", "unsubscribe": {"code": 2000, "reason": "u"}}),
        ("a", SubscribePush(), {"channel": "a", "subscribe": {}}),
    ],
)
def test_every_push_stands_alone(channel: str, push: Push, expected: dict[str, object]) -> None:
    """Pushes lack the field `push` around them."""
    assert msgspec.json.decode(WIRE.push(channel, push)) == expected


def test_an_error_is_shown_as_one() -> None:
    """A session disconnects its client instead, so this is for completeness."""
    assert WIRE.error(COMMAND, codes.LIMIT_EXCEEDED) == b'{"error":{"code":106,"message":"limit exceeded"}}'
