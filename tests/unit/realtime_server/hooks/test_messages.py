"""Requests to the backend and its answers, in the format of Centrifugo's proxy protocol."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable

import msgspec
import pytest

from realtime_server.codes import DisconnectCode, is_json
from realtime_server.core.auth.capabilities import Action, Capability, Match
from realtime_server.core.auth.claims import Claims
from realtime_server.core.model.grant import Grant
from realtime_server.core.ports.backend import Caller, Connected, Connecting, Published, Refreshed, TransportInfo
from realtime_server.hooks import messages
from realtime_server.hooks.messages import InvalidAnswerError
from realtime_server.hooks.signature import sign

CALLER = Caller("c1", "alice", TransportInfo("websocket", "json"), meta=b'{"plan":"pro"}')
CLIENT = {"client": "c1", "transport": "websocket", "protocol": "json", "encoding": "json"}


def b64(data: bytes) -> str:
    """Return base64."""
    return base64.b64encode(data).decode()


def test_a_client_that_wants_to_come_in() -> None:
    """A connect request has the client's data and no user."""
    request = Connecting(CALLER, b'{"ticket":7}', "js", "1.0", ("chat:a",))
    assert json.loads(messages.connect_request(request)) == {
        **CLIENT, "name": "js", "version": "1.0", "channels": ["chat:a"], "data": {"ticket": 7},
    }  # fmt: skip


def test_every_other_question() -> None:
    """Other requests have the user and the token's meta; empty fields are omitted."""
    sent = json.loads(messages.request_of(CALLER, channel="chat:a", data=b"", token=""))
    assert sent == {**CLIENT, "user": "alice", "meta": {"plan": "pro"}, "channel": "chat:a"}


def test_data_that_is_not_json_goes_in_base64() -> None:
    """Binary data, as Protobuf clients send it, goes in base64."""
    caller = Caller("c1", "alice", TransportInfo("websocket", "protobuf", "binary"))
    sent = json.loads(messages.request_of(caller, method="add", data=b"\xff\x00"))
    assert (sent["encoding"], sent["b64data"], "data" in sent) == ("binary", b64(b"\xff\x00"), False)


@pytest.mark.parametrize(
    ("answer", "read", "expected"),
    [
        (
            {"user": "a", "expire_at": 9, "info": {"n": 1}, "b64data": b64(b"hi"), "meta": [1], "channels": ["x"],
             "subs": {"y": {"b64info": b64(b"2"), "data": [3], "expire_at": 8}, "x": {}}},
            lambda raw: msgspec.json.decode(raw, type=messages.ConnectAnswer).to_connected(renewed=True),
            Connected(
                Claims("a", 9.0, b'{"n": 1}', ("x", "y"),
                       {"y": Grant(b"2", b"[3]", 8.0, renewed_by_hook=True), "x": Grant(renewed_by_hook=True)},
                       b"[1]", renewed_by_hook=True),
                b"hi",
            ),
        ),
        (
            {},
            lambda raw: msgspec.json.decode(raw, type=messages.ConnectAnswer).to_connected(renewed=False),
            Connected(Claims("")),
        ),
        (
            {"caps": [{"channels": ["team:*"], "match": "wildcard", "allow": ["sub"]}]},
            lambda raw: msgspec.json.decode(raw, type=messages.ConnectAnswer).to_connected(renewed=False),
            Connected(Claims("", capabilities=(Capability(("team:*",), (Action.SUBSCRIBE,), Match.WILDCARD),))),
        ),
        (
            {"expired": True, "expire_at": 5, "info": 1},
            lambda raw: msgspec.json.decode(raw, type=messages.RefreshAnswer).to_refreshed(),
            Refreshed(5.0, b"1", expired=True),
        ),
        (
            {"data": {"better": 1}, "skip_history": True},
            lambda raw: msgspec.json.decode(raw, type=messages.PublishAnswer).to_published(),
            Published(b'{"better": 1}', skip_history=True),
        ),
        ({"data": [1]}, lambda raw: msgspec.json.decode(raw, type=messages.RpcAnswer).to_data(), b"[1]"),
        ({}, lambda raw: msgspec.json.decode(raw, type=messages.RpcAnswer).to_data(), b"null"),
    ],
    ids=["connect", "connect anonymous", "connect capabilities", "refresh", "publish", "rpc", "rpc nothing"],
)  # fmt: skip
def test_answers(answer: object, read: Callable[[bytes], object], expected: object) -> None:
    """Answers are converted to core's types."""
    assert read(json.dumps(answer).encode()) == expected


@pytest.mark.parametrize(
    ("read", "what"),
    [
        (lambda: messages.Error(399).to_code(), "error.code"),
        (lambda: messages.Error(2000).to_code(), "error.code"),
        (lambda: messages.Disconnect(3000).to_code(), "disconnect.code"),
        (lambda: messages.Subscription(b64info=b64(b"{")).to_grant(renewed=False), "b64info"),
        (lambda: messages.Subscription(b64data="%").to_grant(renewed=False), "b64data"),
        (
            lambda: messages.ConnectAnswer(caps=[Capability(("[",), (), Match.REGEX)]).to_connected(renewed=False),
            "caps",
        ),
    ],
    ids=["error too small", "error too large", "disconnect", "info", "data", "caps"],
)
def test_an_answer_that_cannot_be_followed_is_refused(read: Callable[[], object], what: str) -> None:
    """The error names the field; nothing is ignored."""
    with pytest.raises(InvalidAnswerError, match=what):
        read()


@pytest.mark.parametrize(
    ("reason", "sent"), [("", "disconnect"), ("banned", "banned"), ("12", "reason: 12"), ("{}", "reason: {}")]
)
def test_a_reason_of_the_backend_is_never_taken_for_more(reason: str, sent: str) -> None:
    """A reason that is JSON, by which SDKs would decide, is altered so that the client is disconnected all the same."""
    assert messages.Disconnect(4500, reason).to_code() == DisconnectCode(4500, sent)
    assert not is_json(sent)


def test_signatures_can_be_checked_by_anybody() -> None:
    """The signature is that of `printf '1700000000.{}' | openssl dgst -sha256 -hmac secret`."""
    expected = "b8569b78799ff9e3cbff0fc2d63a33a2b57f3282abd07c37ae5e8e7d79a5f163"
    assert sign(b"{}", "secret", 1_700_000_000) == f"t=1700000000,v1={expected}"
