"""JSON Web Tokens in compact serialization: parsing, and verification of signatures.

Source: RFC 7515 (JWS), RFC 7518 (algorithms), RFC 8037 (EdDSA), RFC 8725 (best practices). The algorithms are those of
PyJWT and `cryptography`. Tokens are parsed here because all clients of a stopped server connect at once: the usual
HS256 token takes 4.7 us this way and 31 us with PyJWT, on the same machine. Property tests compare both.
"""

from __future__ import annotations

import binascii
from collections.abc import Callable
from functools import lru_cache, partial

import jwt
import msgspec
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.hmac import HMAC

from realtime_server.core.limits.limit import TOKEN_BYTES

DIGESTS = {"HS256": hashes.SHA256(), "HS384": hashes.SHA384(), "HS512": hashes.SHA512()}
TO_STANDARD_ALPHABET = bytes.maketrans(b"-_+/=", b"+/!!!")
"""Translation from base64url to base64; characters of base64 alone, and padding, become an invalid one."""
PADDING = (b"", b"===", b"==", b"=")
"""Padding by the length modulo 4; a length of 1 is an error whatever follows."""

Check = Callable[[bytes, bytes], bool]
"""Predicate with one key: True when its second argument is a valid signature of the first."""


class TokenKey(msgspec.Struct, frozen=True):
    """Secret (HS*) or public key in PEM or as a JWK (RS*, ES*, EdDSA), with its only algorithm.

    A key is never used with another algorithm: a public key must not become a secret. `key_id` matches the `kid` of
    tokens; a key with an empty one is tried for every token.
    """

    algorithm: str
    text: str
    key_id: str = ""

    def __repr__(self) -> str:
        """Return a text without the key, since it may be logged."""
        return f"TokenKey({self.algorithm!r}, ..., {self.key_id!r})"


@lru_cache(maxsize=512)
def prepare(key: TokenKey) -> Check | None:
    """Return a function that verifies signatures with this key; None when the key cannot be used.

    The result is cached, because reading PEM takes longer than verifying; the cache has room for all keys of a
    provider.
    """
    algorithm = jwt.get_algorithm_by_name(key.algorithm)
    try:
        if key.algorithm in DIGESTS:
            secret = algorithm.prepare_key(key.text)
            assert isinstance(secret, bytes)
            return partial(_is_code_of, HMAC(secret, DIGESTS[key.algorithm]))
        made: object = algorithm.from_jwk(key.text) if key.text.startswith("{") else algorithm.prepare_key(key.text)
    except (jwt.PyJWTError, ValueError, TypeError, KeyError, UnsupportedAlgorithm):
        return None
    return lambda signed, signature: algorithm.verify(signed, made, signature)


def _is_code_of(keyed: HMAC, signed: bytes, signature: bytes) -> bool:
    """Compare in constant time. The keyed state is copied instead of computed again (RFC 2104, section 4)."""
    code = keyed.copy()
    code.update(signed)
    try:
        code.verify(signature)
    except InvalidSignature:
        return False
    return True


class Token(msgspec.Struct, frozen=True):
    """Parsed token. Its contents are untrusted until a key fits."""

    algorithm: str
    key_id: str
    signed: bytes
    payload: bytes
    signature: bytes

    def fits(self, key: TokenKey) -> bool:
        """Return True when the token was signed with this key."""
        if key.algorithm != self.algorithm or (self.key_id and key.key_id and key.key_id != self.key_id):
            return False
        check = prepare(key)
        return check is not None and check(self.signed, self.signature)


def parse_jwt(text: str) -> Token | None:
    """Parse a token; None when it is malformed or requires an unknown extension (`crit`)."""
    if len(text) > TOKEN_BYTES:
        return None
    signed, _, signature = text.rpartition(".")
    head, _, payload = signed.partition(".")
    header = _header(head)
    if header is None:
        return None
    try:
        return Token(*header, signed.encode("ascii"), _decode(payload), _decode(signature))
    except ValueError:  # binascii's and Unicode's errors are
        return None


class _Header(msgspec.Struct):
    alg: str
    kid: str = ""
    crit: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    b64: bool = True


@lru_cache(maxsize=256)
def _header(encoded: str) -> tuple[str, str] | None:
    """Decode a header to algorithm and key id, with a cache: all tokens of an issuer have the same header."""
    try:
        header = msgspec.json.decode(_decode(encoded), type=_Header)
    except (ValueError, RecursionError):  # msgspec's errors are ValueErrors too
        return None
    if header.crit is not msgspec.UNSET or not header.b64:
        return None
    return header.alg, header.kid


def _decode(encoded: str) -> bytes:
    """Decode base64url without padding (RFC 7515, section 2). Raises ValueError for anything else."""
    standard = encoded.encode("ascii").translate(TO_STANDARD_ALPHABET)
    return binascii.a2b_base64(standard + PADDING[len(standard) & 3], strict_mode=True)
