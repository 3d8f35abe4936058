"""Centrifugo's client protocol in Protobuf, compared with the one in JSON."""

from __future__ import annotations

import base64
import json

import centrifuge.protocol.client_pb2 as stock  # the schema of the Python SDK
import pytest
from google.protobuf.json_format import MessageToDict
from hypothesis import given
from hypothesis import strategies as st

from realtime_server.codes import ErrorCode
from realtime_server.core.model.commands import (
    PONG,
    ChannelRequest,
    Command,
    ConnectRequest,
    MalformedCommand,
    RefreshResult,
    Result,
    malformed,
)
from realtime_server.core.model.publication import Content, binary_content_of
from realtime_server.core.model.pushes import Push
from realtime_server.core.model.values import ClientInfo
from realtime_server.protocols.centrifuge import client_pb2 as pb
from realtime_server.protocols.centrifuge.json_codec import JsonCodec
from realtime_server.protocols.centrifuge.json_commands import decode_commands as decode_json
from realtime_server.protocols.centrifuge.protobuf_codec import MAX_TTL, ProtobufCodec
from realtime_server.protocols.centrifuge.protobuf_commands import decode_commands
from realtime_server.protocols.centrifuge.varint import delimited, split_delimited
from tests.unit.realtime_server.protocols.results import (
    ANY_CONTENTS,
    CONTENTS,
    ERRORS,
    JSON,
    NUMBERS,
    OFFSETS,
    PUSHES,
    RESULTS,
    TEXTS,
)

WIRE = ProtobufCodec(lambda message: message)
JSON_WIRE = JsonCodec(lambda message: message)
EMBEDDED = {"data", "conn_info", "chan_info"}
"""Fields that hold JSON as bytes here, and JSON in the other protocol."""


def decoded(frames: bytes) -> pb.Reply:
    """Return the only reply of a message."""
    [message] = split_delimited(frames)
    return pb.Reply.FromString(message)


def as_json(value: object) -> object:
    """Return a message in Protobuf's JSON mapping, with embedded JSON and numbers as in the JSON protocol."""
    if isinstance(value, list):
        return [as_json(one) for one in value]
    if not isinstance(value, dict):
        return value
    document = {}
    for key, inner in value.items():
        if key in EMBEDDED and isinstance(inner, str):
            document[key] = json.loads(base64.b64decode(inner))
        elif key == "offset" and isinstance(inner, str):
            document[key] = int(inner)
        else:
            document[key] = as_json(inner)
    return document


def filled(value: object) -> object:
    """Return a document without its empty fields, which Protobuf omits."""
    if isinstance(value, list):
        return [filled(one) for one in value]
    if not isinstance(value, dict):
        return value
    found = {key: inner if key in EMBEDDED else filled(inner) for key, inner in value.items()}
    return {key: inner for key, inner in found.items() if key in EMBEDDED or inner not in (False, 0, "", [], {})}


def assert_same(protobuf: bytes, json_: bytes) -> None:
    """Assert that both protocols encode the same, and that an SDK's schema agrees."""
    document, expected = MessageToDict(decoded(protobuf), preserving_proto_field_name=True), json.loads(json_)
    assert filled(as_json(document)) == filled(expected)
    assert set(document) - {"id"} == set(expected) - {"id"}
    assert (
        MessageToDict(stock.Reply.FromString(split_delimited(protobuf)[0]), preserving_proto_field_name=True)
        == document
    )
    assert set(document.get("push", {})) - {"channel"} == set(expected.get("push", {})) - {"channel"}


@given(command=NUMBERS, result=RESULTS)
def test_both_protocols_answer_the_same(command: int, result: Result) -> None:
    """Every result, with all its fields, is encoded the same."""
    assert_same(WIRE.reply(command, result), JSON_WIRE.reply(command, result))


@given(command=NUMBERS, error=ERRORS)
def test_both_protocols_refuse_the_same(command: int, error: ErrorCode) -> None:
    """Every error of the catalogue is encoded the same."""
    assert_same(WIRE.error(command, error), JSON_WIRE.error(command, error))


@given(channel=TEXTS, push=PUSHES)
def test_both_protocols_push_the_same(channel: str, push: Push) -> None:
    """Every push other than a publication is encoded the same."""
    assert_same(WIRE.push(channel, push), JSON_WIRE.push(channel, push))


@given(channel=TEXTS, content=CONTENTS, offset=OFFSETS)
def test_both_protocols_publish_the_same(channel: str, content: Content, offset: int) -> None:
    """JSON data is JSON in both."""
    assert_same(WIRE.publication(channel, content, offset), JSON_WIRE.publication(channel, content, offset))


@given(channel=TEXTS, content=ANY_CONTENTS, offset=OFFSETS)
def test_data_passes_through_untouched(channel: str, content: Content, offset: int) -> None:
    push = decoded(WIRE.publication(channel, content, offset)).push
    assert (push.channel, push.pub.data, push.pub.offset) == (channel, content.data, offset)


def test_binary_infos_pass_through() -> None:
    """Infos from a backend may be arbitrary bytes."""
    info = ClientInfo("alice", "c1", b"\xff", b"\xfe")
    sent = decoded(WIRE.publication("a", Content(b"1", info), 0)).push.pub.info
    assert (sent.conn_info, sent.chan_info) == (b"\xff", b"\xfe")


def test_differences_are_told() -> None:
    """The data of a delta is the patch; a full publication has no mark."""
    content = binary_content_of(b"\xff\x01")
    assert decoded(WIRE.delta_publication("a", content, 2, None)).push.pub == pb.Publication(data=b"\xff\x01", offset=2)
    short = decoded(WIRE.delta_publication("a", content, 3, b"\xfe")).push.pub
    assert short == pb.Publication(data=b"\xfe", offset=3, delta=True)


def test_a_ping_is_an_empty_reply() -> None:
    """The message has one part of no bytes."""
    assert WIRE.ping() == b"\x00"


def test_a_time_to_live_without_end_is_cut() -> None:
    """The ttl is capped to 32 bits, since a token may be valid for longer."""
    assert decoded(WIRE.reply(1, RefreshResult("c", "0", True, 2**40))).refresh.ttl == MAX_TTL


# what clients say

SUBSCRIPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "channel": TEXTS, "token": TEXTS, "recover": st.booleans(), "epoch": TEXTS, "offset": OFFSETS, "data": JSON,
        "positioned": st.booleans(), "recoverable": st.booleans(), "join_leave": st.booleans(),
        "delta": st.sampled_from(("", "fossil")), "flag": NUMBERS, "type": st.integers(0, 3),
    },
)  # fmt: skip
CHANNEL: st.SearchStrategy[dict[str, object]] = st.fixed_dictionaries({"channel": TEXTS})
REQUESTS: dict[str, st.SearchStrategy[dict[str, object]]] = {
    "connect": st.fixed_dictionaries(
        {},
        optional={
            "token": TEXTS, "data": JSON, "subs": st.dictionaries(TEXTS, SUBSCRIPTIONS, max_size=2), "name": TEXTS,
            "version": TEXTS, "headers": st.dictionaries(TEXTS, TEXTS, max_size=2), "flag": NUMBERS,
        },
    ),
    "subscribe": SUBSCRIPTIONS,
    "unsubscribe": CHANNEL,
    "publish": st.fixed_dictionaries(
        {}, optional={"channel": TEXTS, "data": JSON, "type": st.integers(0, 3), "key": TEXTS, "removed": st.booleans()}
    ),
    "presence": CHANNEL,
    "presence_stats": CHANNEL,
    "history": st.fixed_dictionaries(
        {},
        optional={
            "channel": TEXTS, "limit": st.integers(-1, 100), "reverse": st.booleans(),
            "since": st.fixed_dictionaries({}, optional={"offset": OFFSETS, "epoch": TEXTS}),
        },
    ),
    "ping": st.just({}),
    "send": st.fixed_dictionaries({"data": JSON}),
    "rpc": st.fixed_dictionaries({"method": TEXTS, "data": JSON}),
    "refresh": st.fixed_dictionaries({"token": TEXTS}),
    "sub_refresh": st.fixed_dictionaries({"channel": TEXTS, "token": TEXTS}),
}  # fmt: skip
COMMANDS = st.one_of(
    *(st.fixed_dictionaries({"id": NUMBERS, name: request}) for name, request in REQUESTS.items()),
    st.just({}),
)


def embedded(value: object) -> object:
    """Return a JSON command with the values that are bytes in Protobuf as JSON."""
    if isinstance(value, dict):
        return {key: embedded(inner) for key, inner in value.items()}
    return json.loads(value) if isinstance(value, bytes) else value


def _command(command: dict[str, object]) -> pb.Command:
    return pb.Command(**command)  # type: ignore[arg-type] # what is wrong is refused at run time


@given(st.lists(COMMANDS, min_size=1, max_size=4))
def test_both_protocols_understand_the_same(commands: list[dict[str, object]]) -> None:
    """Every command, with all its fields, is decoded the same, also several in one message."""
    protobuf = b"".join(delimited(_command(command).SerializeToString()) for command in commands)
    lines = b"\n".join(compact(embedded(command)) for command in commands)
    assert decode_commands(protobuf) == decode_json(lines)


def compact(value: object) -> bytes:
    """Return JSON as the strategies write it."""
    return json.dumps(value, ensure_ascii=False).encode()


def test_what_a_newer_sdk_adds_is_ignored() -> None:
    """Unknown fields are ignored, so that an update of an SDK breaks no client."""
    assert decode_commands(delimited(b"\x08\x01\x22\x02\x48\x01\xfa\x3f\x01x")) == (
        Command(id=1, connect=ConnectRequest()),
    )


@pytest.mark.parametrize(
    "message",
    [b"", b"\x01", b"\x02\x08", b"\x03\x22\x05a", b"\xff" * 30, b"\x04\x22\x02\x0a\x05",
     delimited(b"\x2a\x03\x0a\x01\xff"), delimited(b"\x23" * 200)],
    ids=["empty", "cut off", "cut off number", "cut off request", "long length", "cut off field", "not UTF-8",
         "nested groups"],
)  # fmt: skip
def test_what_is_malformed_is_none(message: bytes) -> None:
    """An unreadable message yields None, never an exception; the session then closes with 3501."""
    assert decode_commands(message) is None


BROKEN = {
    "not UTF-8": (5, b"\x0a\x01\xff"),
    "cut off field": (7, b"\x0a\x05"),
    "nested groups": (13, b"\x23" * 200),
}


@pytest.mark.parametrize(("field", "request_"), BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_request_spoils_its_own_command_alone(field: int, request_: bytes) -> None:
    """The other commands of the message are decoded."""
    broken = b"\x08\x07" + bytes((field << 3 | 2,)) + delimited(request_)
    messages = (b"\x08\x06\x22\x00", broken, b"\x08\x08\x32\x00")
    assert decode_commands(b"".join(map(delimited, messages))) == (
        Command(id=6, connect=ConnectRequest()),
        MalformedCommand(7),
        Command(id=8, unsubscribe=ChannelRequest()),
    )


def test_a_malformed_command_is_as_legal_as_a_good_one() -> None:
    """The name of a malformed command is decoded, since it decides when the command is legal; `send` needs no id."""
    assert decode_commands(delimited(b"\x08\x07\x22\x02\x0a\x05")) == (malformed(7, "connect"),)
    assert decode_commands(delimited(b"\x62\x02\x0a\x05")) == (malformed(0, "send"),)


@given(st.binary(max_size=200) | st.binary(max_size=200).map(delimited))
def test_garbage_raises_nothing(message: bytes) -> None:
    """Any bytes yield commands or None."""
    commands = decode_commands(message)
    assert commands is None or all(isinstance(command, Command) for command in commands)


def test_the_answer_to_a_ping_is_an_empty_command() -> None:
    assert decode_commands(b"\x00") == (PONG,)
