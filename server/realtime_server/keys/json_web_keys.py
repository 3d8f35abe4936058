"""JSON Web Keys (RFC 7517) as an identity provider publishes them, parsed to token keys; pure, without I/O."""

from __future__ import annotations

import msgspec

from realtime_server.core.auth.web_token import TokenKey, prepare

MAX_KEYS = 64
BY_TYPE = {
    ("RSA", ""): ("RS256", "RS384", "RS512"),
    ("EC", "P-256"): ("ES256",),
    ("EC", "P-384"): ("ES384",),
    ("EC", "P-521"): ("ES512",),
    ("OKP", "Ed25519"): ("EdDSA",),
}
"""Algorithms of a key without `alg`, by type and curve. Symmetric keys are absent: a published secret is no secret."""


class DocumentError(Exception):
    """Failure to get usable keys from a document; the text says why."""


class _Key(msgspec.Struct):
    kty: str
    kid: str = ""
    alg: str = ""
    use: str = "sig"
    crv: str = ""


class _Document(msgspec.Struct):
    keys: list[msgspec.Raw]


def read_keys(document: bytes) -> tuple[TokenKey, ...]:
    """Parse a JWK Set and return its usable signature keys; others are left out. Raises DocumentError for none."""
    try:
        listed = msgspec.json.decode(document, type=_Document).keys
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DocumentError(f"is not a JWK Set: {error}") from error
    if len(listed) > MAX_KEYS:
        raise DocumentError(f"has {len(listed)} keys, more than {MAX_KEYS}")
    keys = tuple(key for one in listed for key in _keys_of(bytes(one)))
    if not keys:
        raise DocumentError("has no public key for signatures (RSA, EC or Ed25519)")
    return keys


def _keys_of(raw: bytes) -> list[TokenKey]:
    try:
        key = msgspec.json.decode(raw, type=_Key)
        text = raw.decode()
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return []
    possible = BY_TYPE.get((key.kty, "" if key.kty == "RSA" else key.crv), ())
    if key.use != "sig" or (key.alg and key.alg not in possible):
        return []
    made = [TokenKey(algorithm, text, key.kid) for algorithm in ((key.alg,) if key.alg else possible)]
    return [one for one in made if prepare(one) is not None]
