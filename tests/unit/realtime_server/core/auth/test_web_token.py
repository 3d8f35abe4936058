"""Parsing of tokens, compared with PyJWT."""

from __future__ import annotations

import base64
import hmac
import json

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_server.codes import TOKEN_EXPIRED
from realtime_server.core.auth.claims import Claims
from realtime_server.core.auth.verifier import LEEWAY_SECONDS, TokenRefusedError, TokenVerifier
from realtime_server.core.auth.web_token import TokenKey, parse_jwt, prepare
from realtime_server.core.limits.limit import TOKEN_BYTES
from realtime_server.core.model.revocation import Credential
from realtime_server.keys.json_web_keys import MAX_KEYS
from tests.kit.server_doubles import SECRET

REFUSALS = {"invalid", "expired"}
NOW = 1_700_000_000
VERIFIER = TokenVerifier(
    lambda: [TokenKey("HS256", SECRET)], issuer="shop", audience=("chat", "games"), wall_clock=lambda: NOW
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)  # fmt: skip
TIMES = st.integers(NOW - 10, NOW + 10) | st.floats(NOW - 10, NOW + 10) | st.just(0) | JSON
PAYLOADS = st.fixed_dictionaries(
    {
        "sub": st.text(max_size=5) | JSON,
        "iss": st.just("shop") | JSON,
        "aud": st.sampled_from(["chat", ["x", "games"]]) | JSON,
    },
    optional={"exp": TIMES, "nbf": TIMES, "iat": TIMES, "info": JSON, "other": JSON},
)  # fmt: skip
HEADERS = st.fixed_dictionaries(
    {"alg": st.sampled_from(["HS256", "HS256", "HS256", "HS512", "none", "RS256", ""]) | JSON},
    optional={"typ": st.just("JWT") | JSON, "kid": st.text(max_size=3) | JSON, "crit": JSON, "b64": st.booleans()},
)


def segment(value: object) -> str:
    """Return JSON in base64url without padding."""
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def signed(header: object, payload: object) -> str:
    """Return a token with this header and payload, signed as HS256 whatever the header says."""
    return signed_text(segment(header), json.dumps(payload).encode())


def signed_text(head: str, payload: bytes) -> str:
    """Return such a token with a payload that may be invalid JSON."""
    message = f"{head}.{base64.urlsafe_b64encode(payload).decode().rstrip('=')}"
    signature = hmac.digest(SECRET.encode(), message.encode(), "sha256")
    return f"{message}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"


def ours(token: str) -> str:
    """Return this server's outcome for a token."""
    try:
        return VERIFIER.verify(token).user
    except TokenRefusedError as refused:
        return "expired" if refused.code is TOKEN_EXPIRED else "invalid"


def theirs(token: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return PyJWT's outcome for a token."""

    class Clock:
        """Clock that does not advance."""

        @staticmethod
        def now(tz: object) -> Clock:
            """Return the fixed time."""
            del tz
            return Clock()

        @staticmethod
        def timestamp() -> float:
            """Return the time."""
            return NOW

    monkeypatch.setattr("jwt.api_jwt.datetime", Clock)
    try:
        found = jwt.decode(
            token, SECRET, algorithms=["HS256"], issuer="shop", audience=["chat", "games"], leeway=LEEWAY_SECONDS,
            options={"require": ["sub"], "verify_sub": False, "verify_iat": False},
        )  # fmt: skip
    except jwt.ExpiredSignatureError:
        return "expired"
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
        return "invalid"
    return str(found["sub"])


@given(header=st.just({"alg": "HS256", "typ": "JWT"}) | HEADERS, payload=PAYLOADS)
def test_nothing_is_accepted_that_the_library_refuses(header: object, payload: dict[str, object]) -> None:
    """A token with numbers where numbers are required is accepted exactly where PyJWT accepts it."""
    token = signed(header, payload)
    with pytest.MonkeyPatch.context() as monkeypatch:
        reference = theirs(token, monkeypatch)
    found = ours(token)
    if found not in REFUSALS:
        assert found == reference
    numbers = all(type(payload[name]) in {int, float} for name in ("exp", "nbf", "iat") if name in payload)
    if header == {"alg": "HS256", "typ": "JWT"} and isinstance(payload["sub"], str) and numbers:
        assert (found in REFUSALS) == (reference in REFUSALS)


NUMBERS = st.sampled_from(
    ["1", "-1", "1e3", "1.5e400", "1" + "0" * 400, "NaN", "Infinity", "-0", "01", "+1", f"{NOW}.9", f"{NOW}e0", "null"]
)
MEMBERS = st.lists(
    st.sampled_from(['"sub":"a"', '"sub":"b"', '"iss":"shop"', '"aud":"chat"', '"exp":1', '"x":1', '"\\u0073ub":"c"'])
    | st.tuples(st.sampled_from(["exp", "nbf", "iat"]), NUMBERS).map(lambda pair: f'"{pair[0]}":{pair[1]}'),
    max_size=4,
)


@given(members=MEMBERS)
def test_odd_json_is_read_as_the_library_reads_it(members: list[str]) -> None:
    """Duplicate names, huge numbers and invalid JSON never let another user in, or one for longer."""
    text = "{" + ",".join(['"sub":"a","iss":"shop","aud":"chat"', *members]) + "}"
    token = signed_text(segment({"alg": "HS256"}), text.encode())
    with pytest.MonkeyPatch.context() as monkeypatch:
        reference = theirs(token, monkeypatch)
    assert ours(token) in REFUSALS | {reference}


@given(
    algorithm=st.sampled_from(["HS256", "HS384", "HS512"]),
    position=st.integers(0, 500),
    character=st.sampled_from("=+/-_.Az09 \n\u00e9\0"),
    insert=st.booleans(),
)
def test_a_changed_token_is_what_the_library_says(algorithm: str, position: int, character: str, insert: bool) -> None:
    """A token with changed bits, those ignored by base64 included, is never accepted where PyJWT refuses it."""
    secret = "a secret that is long enough for the longest of the hashes, of 64 bytes and more"
    token = jwt.encode({"sub": "a"}, secret, algorithm=algorithm)
    at = position % len(token)
    changed = token[:at] + character + token[at + (not insert) :]
    try:
        jwt.decode(changed, secret, algorithms=[algorithm])
        reference = True
    except (jwt.PyJWTError, ValueError):
        reference = False
    taken = parse_jwt(changed)
    found = taken is not None and taken.fits(TokenKey(algorithm, secret))
    assert reference or not found
    if set(character) <= set("-_Az09") and not insert:
        assert found == reference


@given(st.text(max_size=40) | st.from_regex(r"[\w-]{0,9}\.[\w-]{0,9}\.[\w-]{0,9}", fullmatch=True))
def test_garbage_raises_nothing(text: str) -> None:
    """Garbage yields None."""
    assert ours(text) == "invalid"


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "HS256", "crit": ["exp"]},
        {"alg": "HS256", "crit": []},
        {"alg": "HS256", "b64": False},
        {"typ": "JWT"},
        {"alg": 1},
        {"alg": "HS256", "kid": 7},
        [],
    ],
    ids=["critical", "critical nothing", "not encoded", "no algorithm", "algorithm a number", "key a number", "a list"],
)
def test_a_header_that_asks_for_more_is_refused(header: object) -> None:
    """An unknown critical extension is refused (RFC 7515, section 4.1.11)."""
    assert parse_jwt(signed(header, {"sub": "a"})) is None


def test_padding_and_foreign_characters_are_refused() -> None:
    """Each token has one spelling (RFC 7515, section 2)."""
    token = signed({"alg": "HS256"}, {"sub": "a", "iss": "shop", "aud": "chat"})
    assert ours(token) == "a"
    for changed in (f"{token}=", f"{token} ", token.replace(".", ".\n", 1), f"{token}.", token.replace("-", "+") + "+"):
        assert ours(changed) == "invalid"
    assert parse_jwt("a." * TOKEN_BYTES) is None


def test_a_key_is_chosen_by_its_name() -> None:
    """A key without an id is tried for every token, and a token without one is tried with every key."""
    token = signed({"alg": "HS256", "kid": "2026"}, {"sub": "a"})
    nameless = signed({"alg": "HS256"}, {"sub": "a"})

    def users(key_id: str) -> list[bool]:
        key = TokenKey("HS256", SECRET, key_id)
        return [parse_jwt(one).fits(key) for one in (token, nameless)]  # type: ignore[union-attr] # both are tokens

    assert users("2026") == [True, True]
    assert users("") == [True, True]
    assert users("2025") == [False, True]


def test_audiences() -> None:
    """One of the configured audiences has to be among those of the token."""
    claims = {"sub": "a", "iss": "shop"}
    assert VERIFIER.verify(signed({"alg": "HS256"}, {**claims, "aud": ["x", "games"]})) == Claims(
        "a", credential=Credential("a")
    )
    for audience in ("x", ["x"], [], None, 7, {"chat": 1}):
        assert ours(signed({"alg": "HS256"}, {**claims, "aud": audience})) == "invalid"


def test_a_key_does_not_show_itself() -> None:
    """Logs and errors contain no secret."""
    assert SECRET not in repr(TokenKey("HS256", SECRET, "2026"))


def test_all_keys_of_a_provider_stay_prepared() -> None:
    """The cache has room for all published keys, each with three algorithms, as reading keys is slow."""
    assert (prepare.cache_info().maxsize or 0) > 3 * MAX_KEYS
