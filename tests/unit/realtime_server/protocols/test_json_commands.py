"""Decoding of JSON commands, malformed ones included."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_server.core.model.commands import (
    PONG,
    Command,
    ConnectRequest,
    MalformedCommand,
    PublishRequest,
    SubscribeRequest,
    malformed,
)
from realtime_server.protocols.centrifuge.json_commands import decode_commands


def test_several_commands_stand_in_lines() -> None:
    """Commands are in the order of the lines; empty lines are skipped."""
    message = b'{"id":1,"connect":{"name":"js"}}\n\n{"id":2,"subscribe":{"channel":"a"}}\n{}\n'
    assert decode_commands(message) == (
        Command(id=1, connect=ConnectRequest(name="js")),
        Command(id=2, subscribe=SubscribeRequest(channel="a")),
        PONG,
    )


def test_what_a_newer_sdk_adds_is_ignored() -> None:
    """Unknown fields are ignored, so that an update of an SDK breaks no client."""
    assert decode_commands(b'{"id":1,"connect":{"future":{"a":[1]}},"other":1}') == (
        Command(id=1, connect=ConnectRequest()),
    )


@pytest.mark.parametrize(
    "message",
    [b"", b"\n", b"{", b"[]", b"null", b"1", b'"x"', b'{"id":"1"}', b'{"id":1.5}', b"\xff\xfe", b'{"id":1}\n{',
     b"{" * 100_000, b"[" * 100_000, b'{"rpc":{"data":NaN}}', b'{"id":0,"rpc":{"data":NaN}}',
     b'{"id":1,"rpc":{"data":NaN}},', b'{"id":1,"rpc":{"data":NaN', b'{"\\u0072pc":{"data":NaN},"id":1}'],
)  # fmt: skip
def test_what_is_malformed_is_none(message: bytes) -> None:
    """An unreadable message yields None, never an exception; the session then closes with 3501."""
    assert decode_commands(message) is None


@given(st.binary(max_size=200))
def test_garbage_raises_nothing(message: bytes) -> None:
    """Any bytes yield commands or None."""
    commands = decode_commands(message)
    assert commands is None or all(isinstance(command, Command) for command in commands)


BAD_VALUES = {
    "the first half of a surrogate pair": b'"\\ud83d"',
    "the second half": b'"\\ude00"',
    "half a pair before more": b'["\\ud83d!"]',
    "half a pair in a name": b'{"\\ud83d":1}',
    "NaN": b"NaN",
    "Infinity": b"[-Infinity]",
    "no UTF-8": b'"\xff"',
    "too deep": b"[" * 600 + b"]" * 600,
    "far too deep": b"[" * 20_000 + b"]" * 20_000,
    "too deep and not closed": b"[" * 20_000,
    "a leading zero": b"01",
    "a trailing comma": b"[1,]",
    "a control character": b'"\x01"',
    "an unknown escape": b'"\\x"',
    "nothing": b"",
}


@pytest.mark.parametrize("value", BAD_VALUES.values(), ids=BAD_VALUES.keys())
@pytest.mark.parametrize(
    "line",
    [b'{"id":7,"publish":{"channel":"a","data":%b}}', b' { "publish" : {"channel":"a","data":%b} , "id" : 7 } '],
    ids=["id first", "id last"],
)
def test_a_bad_value_spoils_its_own_command_alone(line: bytes, value: bytes) -> None:
    """The other commands of the message are decoded."""
    message = b'{"id":6,"connect":{"name":"js"}}\n' + line % value + b'\n{"id":8,"subscribe":{"channel":"a"}}'
    assert decode_commands(message) == (
        Command(id=6, connect=ConnectRequest(name="js")),
        MalformedCommand(7),
        Command(id=8, subscribe=SubscribeRequest(channel="a")),
    )


@pytest.mark.parametrize(
    "request_",
    [b'"subscribe":[]', b'"subscribe":{"channel":1}', b'"subscribe":{"channel":"a","offset":-1.5}',
     b'"subscribe":{"channel":"\\ud83d"}', b'"history":{"channel":"a","limit":1e400}', b'"rpc":{"method":null}',
     b'"what":NaN'],
)  # fmt: skip
def test_a_request_of_wrong_types_is_malformed(request_: bytes) -> None:
    """The id is decoded, so that the command can be answered with an error."""
    assert decode_commands(b'{"id":7,%b}' % request_) == (MalformedCommand(7),)


def test_a_malformed_command_is_as_legal_as_a_good_one() -> None:
    """The name of a malformed command is decoded, since it decides when the command is legal; `send` needs no id."""
    assert decode_commands(b'{"id":7,"connect":{"data":NaN}}') == (malformed(7, "connect"),)
    assert decode_commands(b'{"id":7,"ping":NaN}') == (malformed(7, "ping"),)
    assert decode_commands(b'{"send":{"data":NaN}}') == (malformed(0, "send"),)
    assert malformed(0, "send") != PONG


@pytest.mark.parametrize("value", [b"1e99999", b"1" + b"0" * 5000, b'{"a":1,"a":2}', b'"\\u0000"', b'"\\ud83d\\ude00"'])
def test_what_is_legal_json_passes_through(value: bytes) -> None:
    """Numbers and names are not limited, as RFC 8259 does not limit them."""
    [command] = decode_commands(b'{"id":7,"publish":{"channel":"a","data":%b}}' % value) or ()
    assert isinstance(command.publish, PublishRequest)
    assert bytes(command.publish.data) == value
