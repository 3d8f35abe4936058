"""Claims of tokens."""

from __future__ import annotations

import base64
import json

import pytest
from msgspec import structs

from realtime_server.core.auth.claims import ClaimError, Claims, connection_claims, read_payload, subscription_grant
from realtime_server.core.model.grant import PLAIN, Grant, Override, Switch
from realtime_server.core.model.revocation import Credential


def encoded(text: bytes) -> str:
    """Return base64, as in a claim."""
    return base64.b64encode(text).decode()


def claims_of(decoded: object) -> Claims:
    """Return the claims of a connection token with this payload."""
    return connection_claims(read_payload(json.dumps(decoded).encode()))


@pytest.mark.parametrize(
    ("decoded", "expected"),
    [
        ({"sub": "a"}, Claims("a")),
        ({}, Claims("")),
        ({"sub": "a", "exp": "5", "iat": "7"}, Claims("a", 5.0)),
        ({"sub": "a", "channels": ["x"], "subs": {"y": {}}}, Claims("a", channels=("y",), grants={"y": PLAIN})),
        ({"sub": "a", "channels": ["x"], "subs": {}}, Claims("a", channels=("x",))),
        ({"sub": "a", "exp": 5}, Claims("a", 5.0)),
        ({"sub": "a", "exp": 5, "expire_at": 9}, Claims("a", 9.0)),
        ({"sub": "a", "exp": 5, "expire_at": 0}, Claims("a")),
        ({"sub": "a", "exp": 5, "expire_at": None}, Claims("a", 5.0)),
        ({"sub": "a", "info": None, "meta": None, "channels": None, "subs": None}, Claims("a")),
        ({"sub": "a", "info": {"x": [1]}, "b64info": "%"}, Claims("a", info=b'{"x":[1]}')),
        ({"sub": "a", "b64info": encoded(b'{"x": 1}')}, Claims("a", info=b'{"x":1}')),
        ({"sub": "a", "meta": {"plan": "pro"}}, Claims("a", meta=b'{"plan":"pro"}')),
        ({"sub": "a", "channels": ["x", "y", "x"]}, Claims("a", channels=("x", "y"))),
        (
            {"sub": "a", "subs": {"x": {"info": 1}, "y": {}, "z": {"b64data": encoded(b"[]")}}},
            Claims("a", channels=("x", "y", "z"),
                   grants={"x": Grant(info=b"1"), "y": Grant(), "z": Grant(data=b"[]")}),
        ),
        (
            {"sub": "a", "subs": {"x": {"override": {"presence": {"value": False}}}}},
            Claims("a", channels=("x",), grants={"x": Grant(override=Override(presence=Switch(value=False)))}),
        ),
    ],
    ids=["user", "nobody", "end in a string", "subs before channels", "channels without subs", "expires",
         "later than the token", "never", "no end of its own", "nulls", "info", "base64", "meta", "channels", "subs",
         "override"],
)  # fmt: skip
def test_connection_tokens(decoded: dict[str, object], expected: Claims) -> None:
    """All claims of Centrifugo's connection tokens that this server supports are read."""
    assert structs.replace(claims_of(decoded), credential=None) == expected


@pytest.mark.parametrize(
    ("decoded", "what"),
    [
        ({"sub": 1}, "sub"),
        ({"sub": None}, "sub"),
        ({"sub": "a", "exp": "soon"}, "exp"),
        ({"sub": "a", "exp": ""}, "exp"),
        ({"sub": "a", "exp": "1e999"}, "exp"),
        ({"sub": "a", "exp": "NaN"}, "exp"),
        ({"sub": "a", "channel": "x"}, "channel"),
        ({"sub": "a", "exp": None}, "exp"),
        ({"sub": "a", "exp": True}, "exp"),
        ({"sub": "a", "jti": 1}, "jti"),
        ({"sub": "a", "expire_at": True}, "expire_at"),
        ({"sub": "a", "channels": "x"}, "channels"),
        ({"sub": "a", "channels": [1]}, "channels"),
        ({"sub": "a", "subs": ["x"]}, "subs"),
        ({"sub": "a", "subs": {"x": 1}}, "subs"),
        ({"sub": "a", "subs": {"x": {"override": {"delta": {"value": True}}}}}, "override"),
        ({"sub": "a", "subs": {"x": {"override": {"presence": True}}}}, "override"),
        ({"sub": "a", "b64info": "%"}, "b64info"),
        ({"sub": "a", "b64info": encoded(b"{")}, "b64info"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_claim_that_cannot_be_followed_is_refused(decoded: dict[str, object], what: str) -> None:
    """An unsupported or invalid claim is refused by its name, never ignored."""
    with pytest.raises(ClaimError, match=what):
        claims_of(decoded)


def test_subscription_tokens() -> None:
    """A subscription token has info for others, data for the subscriber, and an expiry."""
    payload = read_payload(b'{"sub": "a", "channel": "x", "info": {"y": 1}, "data": 2, "exp": 7}')
    grant = subscription_grant(payload, channel="x", user="a")
    assert structs.replace(grant, credential=None) == Grant(info=b'{"y":1}', data=b"2", expires_at=7.0)
    payload = read_payload(b'{"sub": "a", "channel": "x", "override": {"force_recovery": {"value": true}}}')
    expected = Grant(override=Override(force_recovery=Switch(value=True)))
    assert structs.replace(subscription_grant(payload, channel="x", user="a"), credential=None) == expected


@pytest.mark.parametrize(
    ("decoded", "expected"),
    [
        ({"sub": "a"}, Credential("a")),
        ({"sub": "a", "jti": "t1", "iat": 7}, Credential("a", "t1", 7.0)),
        ({"sub": "a", "jti": None, "iat": 7.5}, Credential("a", "", 7.5)),
    ],
    ids=["neither", "both", "null"],
)
def test_what_a_revocation_can_name(decoded: dict[str, object], expected: Credential) -> None:
    """The credential of tokens of both kinds has user, id and time of issue."""
    assert claims_of(decoded).credential == expected
    assert claims_of({**decoded, "meta": {}}).credential == expected
    payload = read_payload(json.dumps({**decoded, "channel": "x"}).encode())
    assert subscription_grant(payload, channel="x", user="a").credential == expected


@pytest.mark.parametrize(("channel", "user", "what"), [("other", "a", "channel"), ("x", "b", "sub")])
def test_a_subscription_token_is_for_one_channel_and_one_user(channel: str, user: str, what: str) -> None:
    """A subscription token of another channel or user is refused."""
    with pytest.raises(ClaimError, match=what):
        subscription_grant(read_payload(b'{"sub": "a", "channel": "x"}'), channel=channel, user=user)


def test_a_connection_token_lets_into_no_channel() -> None:
    """A connection token without a channel is no subscription token."""
    with pytest.raises(ClaimError, match="channel"):
        subscription_grant(read_payload(b'{"sub": "a"}'), channel="x", user="a")


def test_what_others_see_has_no_line_breaks() -> None:
    """The info contains no line breaks, which separate replies and pushes."""
    payload = read_payload(b'{"sub": "a",\n"info":\n{"x" :\n"\\n"}}')
    assert connection_claims(payload).info == b'{"x":"\\n"}'


@pytest.mark.parametrize(
    "encoded",
    [b"", b"[]", b'{"sub":"a"', b'{"sub":"\xff"}', b'{"sub":"a","exp":NaN}', b'{"sub":"a","exp":1e999}',
     b'{"sub":"a","info":NaN}', b'{"sub":"a","info":' + b"[" * 600 + b"]" * 600 + b"}"],
    ids=["nothing", "a list", "half", "no UTF-8", "not a number", "too large", "info not a number", "deep"],
)  # fmt: skip
def test_what_is_no_json_is_refused(encoded: bytes) -> None:
    """NaN, which RFC 8259 does not have, and deep nesting are refused."""
    with pytest.raises(ClaimError):
        read_payload(encoded)
