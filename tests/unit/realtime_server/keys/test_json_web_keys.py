"""Keys read from a published document."""

from __future__ import annotations

import json

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from realtime_server.core.auth.web_token import TokenKey
from realtime_server.keys.json_web_keys import MAX_KEYS, DocumentError, read_keys

RSA: dict[str, object] = RSAAlgorithm.to_jwk(rsa.generate_private_key(65537, 2048).public_key(), as_dict=True)
EC: dict[str, object] = ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP256R1()).public_key(), as_dict=True)
ED: dict[str, object] = OKPAlgorithm.to_jwk(Ed25519PrivateKey.generate().public_key(), as_dict=True)
SECRET: dict[str, object] = {"kty": "oct", "k": "c2VjcmV0", "alg": "HS256"}


def document(*keys: object) -> bytes:
    """Return a JWK Set."""
    return json.dumps({"keys": keys}).encode()


def names(*keys: object) -> list[tuple[str, str]]:
    """Return algorithm and id of the keys read."""
    return [(key.algorithm, key.key_id) for key in read_keys(document(*keys))]


def test_a_key_is_for_its_algorithm_or_for_all_that_fit() -> None:
    """A key without `alg`, which RFC 7517 makes optional, is used for all algorithms of its type."""
    assert names({**RSA, "alg": "RS512", "kid": "a", "use": "sig"}) == [("RS512", "a")]
    assert names({**RSA, "kid": "a"}) == [("RS256", "a"), ("RS384", "a"), ("RS512", "a")]
    assert names({**EC, "kid": "b"}, {**ED, "kid": "c"}) == [("ES256", "b"), ("EdDSA", "c")]


@pytest.mark.parametrize(
    "other",
    [
        SECRET,
        {**RSA, "use": "enc"},
        {**RSA, "alg": "HS256"},
        {**RSA, "alg": "RSA-OAEP"},
        {**RSA, "n": "AQAB!"},
        {**EC, "crv": "secp256k1"},
        {"kty": "RSA"},
        {"kid": "x"},
        7,
    ],
    ids=["a secret", "for encryption", "as a secret", "other algorithm", "broken", "other curve", "empty", "no type",
         "no object"],
)  # fmt: skip
def test_what_cannot_be_used_is_left_out(other: object) -> None:
    """Unusable keys are skipped, and no published key becomes an HMAC secret."""
    assert names(other, {**ED, "kid": "c"}) == [("EdDSA", "c")]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b'{"keys": 7}',
        b'{"keys": []}',
        document(SECRET),
        b"\xff",
        document(*[ED] * (MAX_KEYS + 1)),
    ],
    ids=["empty", "HTML", "a list", "no list", "no keys", "secrets only", "not UTF-8", "too many"],
)  # fmt: skip
def test_a_document_without_keys_is_an_error(body: bytes) -> None:
    """A document without keys raises an error, so that the former keys are kept."""
    with pytest.raises(DocumentError):
        read_keys(body)


def test_keys_are_compared_by_what_they_are() -> None:
    """Equal keys share one prepared key."""
    assert read_keys(document(ED)) == (TokenKey("EdDSA", json.dumps(ED), ""),)
