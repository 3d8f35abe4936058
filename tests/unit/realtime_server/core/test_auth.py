"""Connection tokens."""

from __future__ import annotations

import base64
import hmac
import json
import time
from dataclasses import dataclass

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from realtime_server.codes import INVALID_TOKEN, TOKEN_EXPIRED
from realtime_server.core.auth import LEEWAY_SECONDS, TokenRefusedError, TokenVerifier
from realtime_server.core.claims import Claims
from realtime_server.core.web_token import TokenKey, prepare
from tests.kit.server_doubles import SECRET
from tests.kit.tokens import connection_token

OTHER = "another secret of more than thirty-two characters"
KEY = TokenKey("HS256", SECRET)
OTHER_KEY = TokenKey("HS256", OTHER)
VERIFIER = TokenVerifier(lambda: [KEY])


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
    verifier = TokenVerifier(lambda: [OTHER_KEY, KEY])
    assert verifier.verify(connection_token(SECRET, "alice")).user == "alice"
    assert refused(connection_token(SECRET, "alice"), TokenVerifier(lambda: [OTHER_KEY])) == INVALID_TOKEN


Private = RSAPrivateKey | ec.EllipticCurvePrivateKey | Ed25519PrivateKey


@dataclass(frozen=True, slots=True)
class Pair:
    """What signs, and what verifies."""

    private: Private | str
    public: TokenKey


def pair_of(algorithm: str) -> Pair:
    """A key pair for an algorithm; for HS* one secret is both."""
    if algorithm.startswith("HS"):
        secret = f"a secret for {algorithm} that is long enough for the longest of its hashes, 64 bytes"
        return Pair(secret, TokenKey(algorithm, secret))
    private = private_key(algorithm)
    pem = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    return Pair(private, TokenKey(algorithm, pem))


def private_key(algorithm: str) -> Private:
    """A key that signs with this algorithm."""
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
    """A token of alice."""
    return jwt.encode({"sub": "alice"}, PAIRS[algorithm].private, algorithm=algorithm)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_algorithm_has_its_own_keys(algorithm: str) -> None:
    """A token is accepted by the key of its algorithm among all others, and by none of the others."""
    everything = TokenVerifier(lambda: [pair.public for pair in PAIRS.values()])
    assert everything.verify(signed(algorithm)).user == "alice"
    others = TokenVerifier(lambda: [pair.public for name, pair in PAIRS.items() if name != algorithm])
    assert refused(signed(algorithm), others) == INVALID_TOKEN


@pytest.mark.parametrize("algorithm", [name for name in ALGORITHMS if not name.startswith("HS")])
def test_a_public_key_is_no_secret(algorithm: str) -> None:
    """Whoever signs with the public key, which everybody has, as if it were a secret is refused (RFC 8725, 2.1)."""
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
    """The others go on."""
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
    strict = TokenVerifier(lambda: [KEY], issuer="shop", audience="chat")
    assert strict.verify(connection_token(SECRET, "alice", iss="shop", aud="chat")).user == "alice"
    assert refused(connection_token(SECRET, "alice", iss="shop"), strict) == INVALID_TOKEN
    assert refused(connection_token(SECRET, "alice", iss="other", aud="chat"), strict) == INVALID_TOKEN
    assert VERIFIER.verify(connection_token(SECRET, "alice", iss="any", aud="any")).user == "alice"
