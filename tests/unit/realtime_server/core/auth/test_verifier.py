"""Verification of connection and subscription tokens."""

from __future__ import annotations

import base64
import hmac
import json
import time
from dataclasses import dataclass

import jwt
import pytest
import structlog
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from realtime_server.codes import INTERNAL, INVALID_TOKEN, PERMISSION_DENIED, TOKEN_EXPIRED, TOO_MANY_REQUESTS
from realtime_server.core.auth.claims import Claims
from realtime_server.core.auth.verifier import (
    LEEWAY_SECONDS,
    LOG_BURST,
    LOG_SECONDS,
    RefusalLog,
    TokenRefusedError,
    TokenVerifier,
)
from realtime_server.core.auth.web_token import TokenKey, prepare
from realtime_server.core.model.errors import CommandError
from realtime_server.core.model.grant import Grant
from realtime_server.core.model.revocation import Credential
from tests.kit.server_doubles import SECRET
from tests.kit.tokens import connection_token, subscription_token

OTHER = "another secret of more than thirty-two characters"
KEY = TokenKey("HS256", SECRET)
OTHER_KEY = TokenKey("HS256", OTHER)
VERIFIER = TokenVerifier(lambda: [KEY])
ALICE = Grant(credential=Credential("alice"))


def refused(token: str, verifier: TokenVerifier = VERIFIER) -> object:
    """Return the code with which a token is refused."""
    with pytest.raises(TokenRefusedError) as caught:
        verifier.verify(token)
    return caught.value.code


def test_a_token_says_who_and_until_when() -> None:
    """The claims have user, expiry, info and channels."""
    token = connection_token(SECRET, "alice", lifetime=None, exp=4_000_000_000, info={"a": 1}, channels=["chat:1"])
    assert VERIFIER.verify(token) == Claims(
        "alice", 4_000_000_000.0, b'{"a":1}', ("chat:1",), credential=Credential("alice")
    )


def test_an_empty_subject_is_an_anonymous_user() -> None:
    """An empty `sub` is anonymous, as in Centrifugo's tokens for visitors who have not logged in."""
    assert VERIFIER.verify(connection_token(SECRET, "", lifetime=None)) == Claims("", credential=Credential(""))


def test_a_token_without_end_is_accepted() -> None:
    """A token without `exp` is accepted."""
    assert VERIFIER.verify(connection_token(SECRET, "alice", lifetime=None)).expires_at is None


def test_an_expired_token_is_an_error_so_that_the_sdk_gets_a_new_one() -> None:
    """An expired token gets error 109 instead of a final disconnect."""
    assert refused(connection_token(SECRET, "alice", lifetime=-60)) == TOKEN_EXPIRED


def test_clocks_may_differ_by_a_few_seconds() -> None:
    """Expiry tolerates clocks that differ by a few seconds."""
    assert VERIFIER.verify(connection_token(SECRET, "alice", lifetime=-LEEWAY_SECONDS + 2)).user == "alice"
    assert VERIFIER.verify(connection_token(SECRET, "alice", nbf=int(time.time() + LEEWAY_SECONDS) - 2)).user == "alice"


def test_a_token_that_is_not_valid_yet_is_an_error_so_that_the_sdk_gets_a_new_one() -> None:
    """An `nbf` in the future gets error 109, like an expired token, because a clock may be wrong for a while."""
    assert refused(connection_token(SECRET, "alice", nbf=int(time.time()) + 60)) == TOKEN_EXPIRED
    token = subscription_token(SECRET, "alice", "open:a", nbf=int(time.time()) + 60)
    with pytest.raises(CommandError) as caught:
        VERIFIER.verify_subscription(token, channel="open:a", user="alice")
    assert caught.value.error == TOKEN_EXPIRED


def test_when_a_token_was_made_does_not_matter() -> None:
    """An `iat` in the future is accepted: RFC 7519 has no rule for it, and a clock may be ahead."""
    assert VERIFIER.verify(connection_token(SECRET, "alice", iat=int(time.time()) + 600)).user == "alice"


def test_a_token_that_will_never_be_right_is_refused_even_if_it_has_expired() -> None:
    """A token with an invalid claim is refused for good, so that the SDK does not fetch tokens for ever."""
    verifier = TokenVerifier(lambda: [KEY], issuer="here")
    assert refused(connection_token(SECRET, "alice", lifetime=-60, iss="elsewhere"), verifier) == INVALID_TOKEN
    assert refused(connection_token(SECRET, "alice", lifetime=-60, iss="here"), verifier) == TOKEN_EXPIRED


@pytest.mark.parametrize("exp", ["4000000000", "4e9", "4000000000.5"])
def test_a_number_in_a_string_is_a_time(exp: str) -> None:
    """A numeric string is accepted as a time, as by Centrifugo."""
    assert VERIFIER.verify(connection_token(SECRET, "alice", lifetime=None, exp=exp)).expires_at == float(exp)
    assert refused(connection_token(SECRET, "alice", lifetime=None, exp="1000000000")) == TOKEN_EXPIRED


def test_a_token_for_a_subscription_lets_nobody_in() -> None:
    assert refused(subscription_token(SECRET, "alice", "open:a")) == INVALID_TOKEN


@pytest.mark.parametrize(
    ("token", "why"),
    [
        ("garbage", "is no JSON Web Token"),
        (
            connection_token(OTHER, "alice"),
            "signature: of none of the keys, or the header names another `alg` or `kid`",
        ),
        (connection_token(SECRET, "alice", iss="here", aud="us", nbf=4_000_000_000), "nbf: is in the future"),
        (connection_token(SECRET, "alice", iss="private"), "iss: is not the one that is set"),
        (connection_token(SECRET, "alice", iss="here", aud=["private"]), "aud: is not one that is set"),
        (connection_token(SECRET, "alice", iss="here", aud="us", lifetime=None, exp="private"), "exp: is no number"),
        (
            connection_token(SECRET, "alice", iss="here", aud="us", b64info="private"),
            "b64info: must be JSON in base64",
        ),
        (connection_token(SECRET, "alice", channels="private"), "channels: has a wrong type or value"),
        (
            connection_token(
                SECRET, "alice", iss="here", aud="us", caps=[{"channels": ["("], "match": "regex", "allow": ["sub"]}]
            ),
            "caps: has a pattern that cannot be used",
        ),
    ],
    ids=["garbage", "signature", "nbf", "iss", "aud", "exp", "b64info", "channels", "caps"],
)
def test_the_log_says_which_claim_failed(token: str, why: str) -> None:
    """The log names the failed claim without any value of the token."""
    verifier = TokenVerifier(lambda: [KEY], issuer="here", audience="us")
    with structlog.testing.capture_logs() as logs, pytest.raises(TokenRefusedError):
        verifier.verify(token)
    assert logs == [
        {"event": "token refused", "token": "connection", "why": why, "not_logged_before": 0, "log_level": "warning"}
    ]


def test_an_expired_token_is_not_logged() -> None:
    """Expired tokens are normal and not logged."""
    with structlog.testing.capture_logs() as logs:
        refused(connection_token(SECRET, "alice", lifetime=-60), TokenVerifier(lambda: [KEY]))
    assert logs == []


def test_refused_subscription_tokens_are_logged() -> None:
    """The log names the failed claim."""
    verifier = TokenVerifier(lambda: [KEY])
    with structlog.testing.capture_logs() as logs, pytest.raises(CommandError):
        verifier.verify_subscription(subscription_token(SECRET, "bob", "open:a"), channel="open:a", user="alice")
    assert [(log["token"], log["why"]) for log in logs] == [("subscription", "sub: the token is for another user")]


def test_refused_tokens_are_logged_at_a_bounded_rate() -> None:
    """The log is rate-limited; the number of suppressed entries is logged."""
    now = 0.0
    log = RefusalLog(lambda: now)
    with structlog.testing.capture_logs() as logs:
        for _ in range(100):
            log.note("connection", "garbage")
        now += LOG_SECONDS
        log.note("connection", "garbage")
    assert [line["not_logged_before"] for line in logs] == [0] * LOG_BURST + [100 - LOG_BURST]


def test_what_strangers_send_hides_no_other_reason() -> None:
    """Anybody can send what is no token, as often as they like."""
    log = RefusalLog(lambda: 0.0)
    for _ in range(100):
        log.note("connection", "is no JSON Web Token")
    with structlog.testing.capture_logs() as logs:
        log.note("connection", "iss: is not the one that is set")
        log.note("subscription", "is no JSON Web Token")
    assert [(line["token"], line["why"], line["not_logged_before"]) for line in logs] == [
        ("connection", "iss: is not the one that is set", 0),
        ("subscription", "is no JSON Web Token", 0),
    ]


def test_every_secret_of_a_rotation_is_tried() -> None:
    """Old and new secret are valid during a rotation."""
    verifier = TokenVerifier(lambda: [OTHER_KEY, KEY])
    assert verifier.verify(connection_token(SECRET, "alice")).user == "alice"
    assert refused(connection_token(SECRET, "alice"), TokenVerifier(lambda: [OTHER_KEY])) == INVALID_TOKEN


Private = RSAPrivateKey | ec.EllipticCurvePrivateKey | Ed25519PrivateKey


@dataclass(frozen=True, slots=True)
class Pair:
    """Signing and verifying key."""

    private: Private | str
    public: TokenKey


def pair_of(algorithm: str) -> Pair:
    """Return a key pair for an algorithm; for HS* one secret is both."""
    if algorithm.startswith("HS"):
        secret = f"a secret for {algorithm} that is long enough for the longest of its hashes, 64 bytes"
        return Pair(secret, TokenKey(algorithm, secret))
    private = private_key(algorithm)
    pem = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    return Pair(private, TokenKey(algorithm, pem))


def private_key(algorithm: str) -> Private:
    """Return a key that signs with this algorithm."""
    match algorithm:
        case "EdDSA":
            return Ed25519PrivateKey.generate()
        case "ES256":
            return ec.generate_private_key(ec.SECP256R1())
        case "ES384":
            return ec.generate_private_key(ec.SECP384R1())
        case "ES512":
            return ec.generate_private_key(ec.SECP521R1())
        case _:
            return RSA_KEY


RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
ALGORITHMS = ("HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "EdDSA")
PAIRS = {algorithm: pair_of(algorithm) for algorithm in ALGORITHMS}


def signed(algorithm: str) -> str:
    """Return a token of alice."""
    return jwt.encode({"sub": "alice"}, PAIRS[algorithm].private, algorithm=algorithm)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_algorithm_has_its_own_keys(algorithm: str) -> None:
    """A token is accepted by the key of its algorithm among all others, and by no other key."""
    everything = TokenVerifier(lambda: [pair.public for pair in PAIRS.values()])
    assert everything.verify(signed(algorithm)).user == "alice"
    others = TokenVerifier(lambda: [pair.public for name, pair in PAIRS.items() if name != algorithm])
    assert refused(signed(algorithm), others) == INVALID_TOKEN


@pytest.mark.parametrize("algorithm", [name for name in ALGORITHMS if not name.startswith("HS")])
def test_a_public_key_is_no_secret(algorithm: str) -> None:
    """A token signed with the public key as an HMAC secret is refused (RFC 8725, 2.1)."""
    public = PAIRS[algorithm].public
    header, payload = unsigned("HS256").split(".")[:2]
    message = f"{header}.{payload}".encode()
    signature = base64.urlsafe_b64encode(hmac.digest(public.text.encode(), message, "sha256")).rstrip(b"=")
    forged = f"{message.decode()}.{signature.decode()}"
    assert refused(forged, TokenVerifier(lambda: [public])) == INVALID_TOKEN
    # not even where somebody has put it as a secret by mistake
    assert prepare(TokenKey("HS256", public.text)) is None


@pytest.mark.parametrize("algorithm", [name for name in ALGORITHMS if not name.startswith("HS")])
def test_what_is_no_key_is_left_out(algorithm: str) -> None:
    """An unusable key is skipped, and the others are tried."""
    broken = TokenKey(algorithm, "-----BEGIN PUBLIC KEY-----\nnonsense\n-----END PUBLIC KEY-----\n")
    assert prepare(broken) is None
    assert TokenVerifier(lambda: [broken, KEY]).verify(connection_token(SECRET, "alice")).user == "alice"


def test_secrets_are_asked_for_each_time() -> None:
    """A rotation takes effect without a restart."""
    keys = [OTHER_KEY]
    verifier = TokenVerifier(lambda: keys)
    token = connection_token(SECRET, "alice")
    assert refused(token, verifier) == INVALID_TOKEN
    keys.append(KEY)
    assert verifier.verify(token).user == "alice"


def test_without_secrets_no_token_is_accepted() -> None:
    """Without secrets even a token signed with the empty secret is refused."""
    assert refused(connection_token(SECRET, "alice"), TokenVerifier(list)) == INVALID_TOKEN


def unsigned(algorithm: str) -> str:
    """Return a token that names an algorithm and has no signature."""
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
        jwt.encode({"sub": 7}, SECRET, algorithm="HS256"),
        jwt.encode({"sub": "alice", "channels": "chat:1"}, SECRET, algorithm="HS256"),
        jwt.encode({"sub": "alice", "channels": [1]}, SECRET, algorithm="HS256"),
        jwt.encode({"sub": "alice", "exp": "soon"}, SECRET, algorithm="HS256"),
    ],
    ids=["none", "no signature", "HS512", "garbage", "not ASCII", "long", "other secret",
         "subject a number", "channels a text", "channel a number", "end a text"],
)  # fmt: skip
def test_everything_else_is_an_invalid_token(token: str) -> None:
    """Any other fault gets 3500, after which the SDK does not try again."""
    assert refused(token) == INVALID_TOKEN


class Published:
    """Keys of a provider that is away or has answered; `fetch` does nothing."""

    def __init__(self, known: list[TokenKey], *, missing: str = "") -> None:
        self.known = known
        self.missing = missing
        self.may_fetch = True

    @property
    def loaded(self) -> bool:
        """See RemoteKeys."""
        return bool(self.known)

    async def fetch(self, key_id: str) -> None:
        """See RemoteKeys."""

    def is_missing(self, key_id: str) -> bool:
        """See RemoteKeys."""
        return key_id == self.missing


def named(key_id: str) -> str:
    """Return a token of alice that names its key."""
    return jwt.encode({"sub": "alice"}, PAIRS["EdDSA"].private, algorithm="EdDSA", headers={"kid": key_id})


def published(key_id: str) -> TokenKey:
    """Return the public key under this name."""
    return TokenKey("EdDSA", PAIRS["EdDSA"].public.text, key_id)


@pytest.mark.parametrize(
    ("remote", "lacks", "code"),
    [
        (Published([]), True, INTERNAL),
        (Published([published("old")]), True, TOO_MANY_REQUESTS),
        (Published([published("old")], missing="new"), True, INVALID_TOKEN),
        (Published([TokenKey("EdDSA", pair_of("EdDSA").public.text, "new")]), False, INVALID_TOKEN),
    ],
    ids=["never read", "not looked up", "looked up", "signed with another"],
)
def test_who_comes_with_an_unknown_key(remote: Published, lacks: bool, code: object) -> None:
    """The client should try again until a fetch has shown that the key does not exist."""
    verifier = TokenVerifier(list, remote=remote)
    assert verifier.lacks_key(named("new")) == lacks
    assert refused(named("new"), verifier) == code


def test_published_keys_are_tried_besides_those_of_files() -> None:
    """A token without a key id is tried with all keys; an HMAC token does not wait for the provider."""
    verifier = TokenVerifier(lambda: [KEY], remote=Published([published("new")]))
    for token in (named("new"), named(""), signed("EdDSA"), connection_token(SECRET, "alice")):
        assert not verifier.lacks_key(token)
        assert verifier.verify(token).user == "alice"
    assert not TokenVerifier(lambda: [KEY], remote=Published([])).lacks_key(connection_token(SECRET, "alice"))
    assert not verifier.lacks_key("garbage")


def test_subscription_tokens_with_keys_of_their_own_have_no_others() -> None:
    """Keys of connection tokens and published keys are not tried, and no client is told to try again."""
    verifier = TokenVerifier(lambda: [KEY], remote=Published([]), subscription_keys=lambda: [OTHER_KEY])
    assert verifier.verify_subscription(subscription_token(OTHER, "alice", "$x"), channel="$x", user="alice") == ALICE
    foreign = jwt.encode({"sub": "alice", "channel": "$x"}, PAIRS["EdDSA"].private, algorithm="EdDSA")
    for token in (subscription_token(SECRET, "alice", "$x"), foreign):
        with pytest.raises(CommandError) as caught:
            verifier.verify_subscription(token, channel="$x", user="alice")
        assert caught.value.error == PERMISSION_DENIED


@pytest.mark.parametrize(
    ("claims", "code"),
    [({}, None), ({"channel": "$y"}, PERMISSION_DENIED), ({"sub": "bob"}, PERMISSION_DENIED),
     ({"exp": 1}, TOKEN_EXPIRED), ({"b64info": "%"}, PERMISSION_DENIED)],
    ids=["right", "other channel", "other user", "expired", "bad claim"],
)  # fmt: skip
def test_subscription_tokens(claims: dict[str, str | int], code: object) -> None:
    """An expired token gets 109, so that the SDK fetches another; every other refusal is 103."""
    token = jwt.encode({"sub": "alice", "channel": "$x", **claims}, SECRET, algorithm="HS256")
    if code is None:
        assert VERIFIER.verify_subscription(token, channel="$x", user="alice") == ALICE
        return
    with pytest.raises(CommandError) as caught:
        VERIFIER.verify_subscription(token, channel="$x", user="alice")
    assert caught.value.error == code


def test_issuer_and_audience_must_fit_where_they_are_given() -> None:
    """Issuer and audience are checked where they are set, and ignored otherwise."""
    strict = TokenVerifier(lambda: [KEY], issuer="shop", audience="chat")
    assert strict.verify(connection_token(SECRET, "alice", iss="shop", aud="chat")).user == "alice"
    assert refused(connection_token(SECRET, "alice", iss="shop"), strict) == INVALID_TOKEN
    assert refused(connection_token(SECRET, "alice", iss="other", aud="chat"), strict) == INVALID_TOKEN
    assert VERIFIER.verify(connection_token(SECRET, "alice", iss="any", aud="any")).user == "alice"
