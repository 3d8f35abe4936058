"""Connection tokens."""

from __future__ import annotations

import base64
import json
import time

import jwt
import pytest

from realtime_server.codes import INVALID_TOKEN, TOKEN_EXPIRED
from realtime_server.core.auth import LEEWAY_SECONDS, Claims, TokenRefusedError, TokenVerifier
from tests.kit.server_doubles import SECRET
from tests.kit.tokens import connection_token

OTHER = "another secret of more than thirty-two characters"
VERIFIER = TokenVerifier(lambda: [SECRET])


def refused(token: str, verifier: TokenVerifier = VERIFIER) -> object:
    """The code with which a token is refused."""
    with pytest.raises(TokenRefusedError) as caught:
        verifier.verify(token)
    return caught.value.code


def test_a_token_says_who_and_until_when() -> None:
    """With what the application says of the user, and the channels that it is subscribed to."""
    token = connection_token(SECRET, "alice", lifetime=None, exp=4_000_000_000, info={"a": 1}, channels=["chat:1"])
    assert VERIFIER.verify(token) == Claims("alice", 4_000_000_000.0, b'{"a":1}', ("chat:1",))


def test_an_empty_subject_is_an_anonymous_user() -> None:
    """Centrifugo's tokens of visitors who have not logged in."""
    assert VERIFIER.verify(connection_token(SECRET, "", lifetime=None)) == Claims("")


def test_a_token_without_end_is_accepted() -> None:
    """The application decides."""
    assert VERIFIER.verify(connection_token(SECRET, "alice", lifetime=None)).expires_at is None


def test_an_expired_token_is_an_error_so_that_the_sdk_gets_a_new_one() -> None:
    """109, and not a disconnect for good."""
    assert refused(connection_token(SECRET, "alice", lifetime=-60)) == TOKEN_EXPIRED


def test_clocks_may_differ_by_a_few_seconds() -> None:
    """An application server that is a little ahead or behind."""
    assert VERIFIER.verify(connection_token(SECRET, "alice", lifetime=-LEEWAY_SECONDS + 2)).user == "alice"
    assert refused(connection_token(SECRET, "alice", nbf=int(time.time()) + 60)) == INVALID_TOKEN


def test_every_secret_of_a_rotation_is_tried() -> None:
    """The old one is valid until it is taken out."""
    verifier = TokenVerifier(lambda: [OTHER, SECRET])
    assert verifier.verify(connection_token(SECRET, "alice")).user == "alice"
    assert refused(connection_token(SECRET, "alice"), TokenVerifier(lambda: [OTHER])) == INVALID_TOKEN


def test_secrets_are_asked_for_each_time() -> None:
    """A rotation takes effect without a restart."""
    secrets = [OTHER]
    verifier = TokenVerifier(lambda: secrets)
    token = connection_token(SECRET, "alice")
    assert refused(token, verifier) == INVALID_TOKEN
    secrets.append(SECRET)
    assert verifier.verify(token).user == "alice"


def test_without_secrets_no_token_is_accepted() -> None:
    """Not even one that is signed with nothing."""
    assert refused(connection_token(SECRET, "alice"), TokenVerifier(list)) == INVALID_TOKEN


def unsigned(algorithm: str) -> str:
    """A token that names an algorithm and has no signature."""
    parts = [{"alg": algorithm, "typ": "JWT"}, {"sub": "alice"}]
    return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts) + "."


@pytest.mark.parametrize(
    "token",
    [
        unsigned("none"),
        unsigned("HS256"),
        jwt.encode({"sub": "alice"}, SECRET * 2, algorithm="HS512"),
        "a.b.c",
        "ä",
        "x" * 70_000,
        connection_token(OTHER, "alice"),
        jwt.encode({"user": "alice"}, SECRET, algorithm="HS256"),
        jwt.encode({"sub": 7}, SECRET, algorithm="HS256"),
        jwt.encode({"sub": "alice", "channels": "chat:1"}, SECRET, algorithm="HS256"),
        jwt.encode({"sub": "alice", "channels": [1]}, SECRET, algorithm="HS256"),
        jwt.encode({"sub": "alice", "exp": "soon"}, SECRET, algorithm="HS256"),
    ],
    ids=["none", "no signature", "HS512", "garbage", "not ASCII", "long", "other secret", "no subject",
         "subject a number", "channels a text", "channel a number", "end a text"],
)  # fmt: skip
def test_everything_else_is_an_invalid_token(token: str) -> None:
    """3500: the SDK does not try it again and again."""
    assert refused(token) == INVALID_TOKEN


def test_issuer_and_audience_must_fit_where_they_are_given() -> None:
    """And are ignored where they are not."""
    strict = TokenVerifier(lambda: [SECRET], issuer="shop", audience="chat")
    assert strict.verify(connection_token(SECRET, "alice", iss="shop", aud="chat")).user == "alice"
    assert refused(connection_token(SECRET, "alice", iss="shop"), strict) == INVALID_TOKEN
    assert refused(connection_token(SECRET, "alice", iss="other", aud="chat"), strict) == INVALID_TOKEN
    assert VERIFIER.verify(connection_token(SECRET, "alice", iss="any", aud="any")).user == "alice"
