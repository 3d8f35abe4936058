"""Centrifugo's client protocol in JSON."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_server import codes
from realtime_server.core.model.commands import (
    Command,
    ConnectResult,
    EmptyResult,
    HistoryResult,
    PresenceResult,
    PresenceStatsResult,
    PublishRequest,
    RefreshResult,
    RpcResult,
    SubRefreshResult,
    SubscribeResult,
)
from realtime_server.core.model.publication import Content, binary_content_of, content_of, pack
from realtime_server.core.model.pushes import (
    DisconnectPush,
    JoinPush,
    LeavePush,
    Push,
    RefreshPush,
    SubscribePush,
    UnsubscribePush,
)
from realtime_server.core.model.values import ClientInfo, HistoryPage, Publication, StreamPosition
from realtime_server.protocols.centrifuge.json_codec import (
    JsonCodec,
    encode_error,
    encode_push,
    encode_reply,
)
from realtime_server.protocols.centrifuge.json_commands import decode_commands

WIRE = JsonCodec(lambda message: message)
TEXT = st.text(max_size=30)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=10,
)


@given(data=JSON, channel=TEXT, identifier=st.integers(1, 2**32 - 1))
def test_data_passes_through_untouched(data: object, channel: str, identifier: int) -> None:
    """Data is neither decoded nor encoded again."""
    raw = json.dumps(data).encode()
    message = msgspec.json.encode({"id": identifier, "publish": {"channel": channel, "data": msgspec.Raw(raw)}})
    assert decode_commands(message) == (
        Command(id=identifier, publish=PublishRequest(channel=channel, data=msgspec.Raw(raw))),
    )
    push = WIRE.publication(channel, content_of(raw), 7)
    assert json.loads(push) == {"push": {"channel": channel, "pub": {"data": data, "offset": 7}}}
    assert b"\n" not in push


def reply(result: object) -> object:
    """Return a decoded reply to command 5."""
    return json.loads(encode_reply(5, result))  # type: ignore[arg-type] # one of the results


PUBLICATION = Publication(pack(content_of(b'"hi"', info=ClientInfo("alice", "c1", b'{"a":1}', b"[2]"))), 3)


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (
            ConnectResult("c1", "0.1", 25, True, True, 60, {"a": SubscribeResult()}),
            {"connect": {"client": "c1", "version": "0.1", "ping": 25, "pong": True, "expires": True, "ttl": 60,
                         "subs": {"a": {}}}},
        ),
        (SubscribeResult(), {"subscribe": {}}),
        (
            SubscribeResult(True, True, "e", 3, (PUBLICATION,), True, True),
            {"subscribe": {"recoverable": True, "positioned": True, "epoch": "e", "offset": 3, "recovered": True,
                           "was_recovering": True, "publications": [{"data": "hi", "offset": 3, "info": {
                               "user": "alice", "client": "c1", "conn_info": {"a": 1}, "chan_info": [2]}}]}},
        ),
        (
            SubscribeResult(publications=(PUBLICATION,), delta=True, expires=True, ttl=5, data=msgspec.Raw(b"[1]")),
            {"subscribe": {"delta": True, "expires": True, "ttl": 5, "data": [1], "publications": [
                {"data": '"hi"', "offset": 3, "info": {
                    "user": "alice", "client": "c1", "conn_info": {"a": 1}, "chan_info": [2]}}]}},
        ),
        (RefreshResult("c1", "0.1", True, 5),
         {"refresh": {"client": "c1", "version": "0.1", "expires": True, "ttl": 5}}),
        (SubRefreshResult(True, 5), {"sub_refresh": {"expires": True, "ttl": 5}}),
        (RpcResult(msgspec.Raw(b'{"a":1}')), {"rpc": {"data": {"a": 1}}}),
        (EmptyResult("unsubscribe"), {"unsubscribe": {}}),
        (PresenceStatsResult(3, 2), {"presence_stats": {"num_clients": 3, "num_users": 2}}),
        (
            PresenceResult({"c1": ClientInfo("alice", "c1")}),
            {"presence": {"presence": {"c1": {"user": "alice", "client": "c1"}}}},
        ),
        (
            HistoryResult(HistoryPage((Publication(pack(content_of(b"1")), 2),), StreamPosition(2, "e"))),
            {"history": {"publications": [{"data": 1, "offset": 2}], "epoch": "e", "offset": 2}},
        ),
    ],
    ids=["connect", "subscribe", "recovered", "delta", "refresh", "sub_refresh", "rpc", "unsubscribe",
          "presence_stats", "presence", "history"],
)  # fmt: skip
def test_replies(result: object, expected: dict[str, object]) -> None:
    """Replies have the form that SDKs read; false and empty fields are omitted."""
    assert reply(result) == {"id": 5, **expected}


def test_errors_say_whether_to_try_again() -> None:
    """With `temporary` an SDK subscribes again by itself."""
    assert json.loads(encode_error(5, codes.UNKNOWN_CHANNEL)) == {
        "id": 5,
        "error": {"code": 102, "message": "unknown channel"},
    }
    assert json.loads(encode_error(5, codes.INTERNAL))["error"]["temporary"] is True


INFO = ClientInfo("alice", "c1")


@pytest.mark.parametrize(
    ("channel", "push", "expected"),
    [
        ("a", JoinPush(INFO), {"channel": "a", "join": {"info": {"user": "alice", "client": "c1"}}}),
        ("a", LeavePush(INFO), {"channel": "a", "leave": {"info": {"user": "alice", "client": "c1"}}}),
        ("a", SubscribePush(True, "e", 3, True, msgspec.Raw(b"1")),
         {"channel": "a",
          "subscribe": {"recoverable": True, "epoch": "e", "offset": 3, "positioned": True, "data": 1}}),
        ("a", SubscribePush(), {"channel": "a", "subscribe": {}}),
        ("a", UnsubscribePush(2500, "insufficient state"),
         {"channel": "a", "unsubscribe": {"code": 2500, "reason": "insufficient state"}}),
        ("", DisconnectPush(3000, "closed", reconnect=True),
         {"disconnect": {"code": 3000, "reason": "closed", "reconnect": True}}),
        ("", RefreshPush(expires=True, ttl=60), {"refresh": {"expires": True, "ttl": 60}}),
    ],
    ids=["join", "leave", "subscribe", "subscribe plain", "unsubscribe", "disconnect", "refresh"],
)  # fmt: skip
def test_pushes(channel: str, push: Push, expected: dict[str, object]) -> None:
    assert json.loads(encode_push(channel, push)) == {"push": expected}


def test_binary_data_is_a_string() -> None:
    """A JSON client gets binary data in base64."""
    push = WIRE.publication("a", binary_content_of(b"\xff\x00"), 0)
    assert json.loads(push) == {"push": {"channel": "a", "pub": {"data": "/wA="}}}
    assert binary_content_of(b'{"a":\n1}') == Content(b'{"a": 1}')


def test_differences_are_strings() -> None:
    """Full publications of a delta subscription are strings too, as the base of the next delta."""
    content = content_of(b'{"a":1}')
    whole = json.loads(WIRE.delta_publication("a", content, 2, None))
    assert whole["push"]["pub"] == {"data": '{"a":1}', "offset": 2}
    short = json.loads(WIRE.delta_publication("a", content, 3, b"7\n7@0,x;"))
    assert short["push"]["pub"] == {"data": "7\n7@0,x;", "offset": 3, "delta": True}
