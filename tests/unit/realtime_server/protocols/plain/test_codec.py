"""Tests of what plain clients receive."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_server import codes
from realtime_server.core.model.publication import binary_content_of, content_of
from realtime_server.core.model.pushes import (
    DisconnectPush,
    JoinPush,
    LeavePush,
    MessagePush,
    Push,
    RefreshPush,
    SubscribePush,
    UnsubscribePush,
)
from realtime_server.core.model.values import ClientInfo, StreamPosition
from realtime_server.protocols.plain.codec import (
    NOTHING,
    Bare,
    Envelope,
    EventStreamCodec,
    ResumableEventCodec,
    WebSocketCodec,
)
from realtime_server.protocols.plain.resumption import LOST, tag_of

INFO = ClientInfo("alice", "c1", None, None)
TEXT = WebSocketCodec(Bare(binary=False), bytes, b"ping", lambda _: "e", binary=False)
BINARY = WebSocketCodec(Bare(binary=True), bytes, b"ping", lambda _: "e", binary=True)
JSON = WebSocketCodec(Envelope(), bytes, b"ping", lambda _: "e", binary=False)
EVENTS = EventStreamCodec(Bare(binary=False), bytes, lambda _: "e")
ENVELOPED_EVENTS = EventStreamCodec(Envelope(), bytes, lambda _: "e")


def test_a_bare_publication_is_its_data() -> None:
    assert TEXT.publication("orders:1", content_of(b'{"a": 1}', info=INFO), 5) == b'{"a": 1}'
    assert TEXT.publication("orders:1", binary_content_of(b"hello"), 0) == b"hello"
    assert TEXT.publication("orders:1", binary_content_of(b"\xff\x00"), 0) == base64.b64encode(b"\xff\x00")
    assert BINARY.publication("orders:1", binary_content_of(b"\xff\x00"), 0) == b"\xff\x00"


def test_an_envelope_says_channel_and_position() -> None:
    content = content_of(b'{"a":1}', info=INFO, tags={"t": "v"})
    assert json.loads(JSON.publication("orders:1", content, 5)) == {
        "channel": "orders:1", "offset": 5, "epoch": "e", "data": {"a": 1}, "user": "alice", "tags": {"t": "v"},
    }  # fmt: skip
    assert json.loads(JSON.publication("orders:1", binary_content_of(b"\xff"), 0)) == {
        "channel": "orders:1",
        "b64data": "/w==",
    }


@pytest.mark.parametrize(
    ("push", "expected"),
    [
        (SubscribePush(True, "e", 5, True), {"channel": "c", "subscribed": {"offset": 5, "epoch": "e"}}),
        (SubscribePush(), {"channel": "c", "subscribed": {}}),
        (UnsubscribePush(2000, "end"), {"channel": "c", "unsubscribed": {"code": 2000, "reason": "end"}}),
        (JoinPush(INFO), {"channel": "c", "joined": {"user": "alice", "client": "c1"}}),
        (LeavePush(INFO), {"channel": "c", "left": {"user": "alice", "client": "c1"}}),
        (MessagePush(b'{"a":1}'), {"data": {"a": 1}}),
        (MessagePush(b"\xff", binary=True), {"b64data": "/w=="}),
    ],
)  # fmt: skip
def test_an_envelope_says_what_happens(push: Push, expected: object) -> None:
    assert json.loads(JSON.push("c", push)) == expected


def test_what_a_route_does_not_tell_is_nothing() -> None:
    pushes: tuple[Push, ...] = (
        SubscribePush(), UnsubscribePush(2000, ""), JoinPush(INFO), LeavePush(INFO), RefreshPush(False),
    )  # fmt: skip
    assert {TEXT.push("c", push) for push in pushes} == {NOTHING}
    assert JSON.push("", RefreshPush(False)) == NOTHING
    assert JSON.push("", DisconnectPush(3001, "", True)) == NOTHING, "the close frame says it"
    assert TEXT.subscribed("c", SubscribePush(), recovered=True) == NOTHING
    assert TEXT.error(codes.INTERNAL, "", None) == TEXT.done(b"1") == JSON.done(None) == NOTHING


def test_replies_and_errors_have_the_id_of_their_message() -> None:
    assert json.loads(JSON.message(b'{"a":1}', b"7")) == {"id": 7, "data": {"a": 1}}
    assert json.loads(JSON.message(b"plain", b'"x"')) == {"id": "x", "b64data": "cGxhaW4="}
    assert json.loads(JSON.message(b"1", None)) == {"data": 1}
    assert json.loads(JSON.done(b"7")) == {"id": 7}
    assert json.loads(JSON.error(codes.PERMISSION_DENIED, "", b"7")) == {
        "id": 7,
        "error": {"code": 103, "message": "permission denied"},
    }
    assert json.loads(JSON.error(codes.METHOD_NOT_FOUND, "no action", None)) == {
        "error": {"code": 104, "message": "no action"}
    }
    assert TEXT.message(b'{"a":1}', None) == b'{"a":1}'


def test_an_event_has_its_position_as_its_id() -> None:
    assert EVENTS.publication("c", content_of(b"1"), 5) == b"id: 5:e\ndata: 1\n\n"
    assert EVENTS.publication("c", content_of(b"1"), 0) == b"data: 1\n\n"
    assert EVENTS.subscribed("c", SubscribePush(True, "e", 4), recovered=None) == b"id: 4:e\n\n"
    assert EVENTS.subscribed("c", SubscribePush(True, "e", 4), recovered=True) == b"id: 4:e\n\n"
    lost = EVENTS.subscribed("c", SubscribePush(True, "e", 4), recovered=False)
    assert lost == b'id: 4:e\nevent: unrecovered\ndata: {"channel":"c","offset":4,"epoch":"e"}\n\n'
    assert EVENTS.subscribed("c", SubscribePush(), recovered=None) == NOTHING
    assert ENVELOPED_EVENTS.subscribed("c", SubscribePush(True, "e", 4), recovered=False).startswith(
        b"id: 4:e\ndata: {"
    )
    assert EVENTS.push("", DisconnectPush(3001, "shutdown", True)) == (
        b'event: disconnect\ndata: {"code":3001,"reason":"shutdown"}\n\n'
    )
    assert EVENTS.ping() == EVENTS.welcome() == b":\n\n"


def test_an_event_of_several_channels_has_all_positions_as_its_id() -> None:
    """Those that the client has begun with too; what was missed may be encoded before the beginning."""
    a, b = tag_of("a"), tag_of("b")
    codec = ResumableEventCodec(Bare(binary=False), bytes, lambda _: "e", {a: StreamPosition(1, "e"), b: LOST})
    missed = codec.publication("a", content_of(b"1"), 2)
    begun = codec.subscribed("a", SubscribePush(True, "e", 1), recovered=True)
    assert begun == f"id: 1:e:{a},0:-:{b}\n\n".encode()
    assert missed == f"id: 2:e:{a},0:-:{b}\ndata: 1\n\n".encode()
    lost = codec.subscribed("b", SubscribePush(True, "e", 7), recovered=False)
    assert lost.startswith(f"id: 2:e:{a},7:e:{b}\nevent: unrecovered\n".encode())
    assert codec.publication("b", content_of(b"8"), 8) == f"id: 2:e:{a},8:e:{b}\ndata: 8\n\n".encode()
    assert codec.publication("a", content_of(b"0"), 0) == b"data: 0\n\n"


def lines_of(event: bytes) -> str:
    """Return the data of one event as an EventSource has it (HTML Living Standard, section 9.2.6)."""
    assert event.endswith(b"\n\n")
    assert b"\n\n" not in event[:-2]
    lines = event.decode()[:-2].split("\n")
    assert all(line.startswith("data: ") for line in lines)
    return "\n".join(line.removeprefix("data: ") for line in lines)


@given(st.text())
def test_no_text_breaks_out_of_its_event(text: str) -> None:
    """Every end of a line in it becomes a line feed, as an EventSource joins lines."""
    content = binary_content_of(text.encode())
    expected = content.data.decode().replace("\r\n", "\n").replace("\r", "\n")
    assert lines_of(EVENTS.publication("c", content, 0)) == expected


@given(st.binary(), st.text(min_size=1).filter(lambda text: "\ud800" not in text), st.integers(0, 2**53))
def test_an_envelope_is_json_in_one_line(data: bytes, channel: str, offset: int) -> None:
    content = binary_content_of(data)
    encoded = JSON.publication(channel, content, offset)
    assert b"\n" not in encoded
    document = json.loads(encoded)
    assert document["channel"] == channel
    assert document.get("offset", 0) == offset
    if content.binary:
        assert base64.b64decode(document["b64data"]) == data
    else:
        assert document["data"] == json.loads(data)
