"""Connection tokens: JSON Web Tokens (RFC 7519), as Centrifugo's SDKs send them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import jwt
from cryptography.exceptions import UnsupportedAlgorithm

from realtime_server.codes import INVALID_TOKEN, TOKEN_EXPIRED, DisconnectCode, ErrorCode
from realtime_server.core.grant import Grant

LEEWAY_SECONDS = 5
"""Clocks differ a little."""


@dataclass(frozen=True, slots=True)
class TokenKey:
    """A secret (HS*) or a public key in PEM (RS*, ES*, EdDSA), and the one algorithm that it is for (RFC 7518, 8037).

    A key is never used with another algorithm than its own: a public key must not become a secret.
    """

    algorithm: str
    text: str


@lru_cache(maxsize=64)
def prepare(key: TokenKey) -> object | None:
    """The key as the library uses it; None for one that cannot be used. Reading PEM takes longer than a signature."""
    algorithm = jwt.get_algorithm_by_name(key.algorithm)
    try:
        prepared: object = algorithm.prepare_key(key.text)
    except (jwt.PyJWTError, ValueError, TypeError, UnsupportedAlgorithm):
        return None
    return prepared


@dataclass(frozen=True, slots=True)
class Claims:
    """What a token or the backend says of a client.

    `expires_at` is Unix time in seconds, None for never; `info` is raw JSON that others see, `meta` raw JSON for the
    backend alone. The server subscribes the client to `channels`, under the conditions of `grants` if they are there.
    """

    user: str
    expires_at: float | None = None
    info: bytes | None = None
    channels: tuple[str, ...] = ()
    grants: Mapping[str, Grant] | None = None
    meta: bytes | None = None
    renewed_by_hook: bool = False
    """Whether the backend is asked when its time is over, instead of the client."""


class TokenRefusedError(Exception):
    """The token is not accepted: with an error reply (expired), or by a disconnect (everything else)."""

    def __init__(self, code: ErrorCode | DisconnectCode) -> None:
        super().__init__(str(code))
        self.code = code


class TokenVerifier:
    """Verifies tokens against all keys that are valid now."""

    def __init__(
        self,
        keys: Callable[[], Sequence[TokenKey]],
        *,
        issuer: str | None = None,
        audience: str | None = None,
    ) -> None:
        self._keys = keys
        self._issuer = issuer
        self._audience = audience

    def verify(self, token: str) -> Claims:
        """The claims; raises TokenRefusedError."""
        for key in self._keys():
            prepared = prepare(key)
            if prepared is None:
                continue
            try:
                decoded = jwt.decode(
                    token,
                    prepared,  # type: ignore[arg-type] # the library's own
                    algorithms=[key.algorithm],
                    issuer=self._issuer,
                    audience=self._audience,
                    leeway=LEEWAY_SECONDS,
                    options={"verify_aud": self._audience is not None, "require": ["sub"], "verify_sub": False},
                )
            except jwt.ExpiredSignatureError as error:
                raise TokenRefusedError(TOKEN_EXPIRED) from error
            except (jwt.InvalidSignatureError, jwt.InvalidAlgorithmError, jwt.InvalidKeyError):
                continue
            except (jwt.PyJWTError, ValueError) as error:
                raise TokenRefusedError(INVALID_TOKEN) from error
            return _claims(decoded)
        raise TokenRefusedError(INVALID_TOKEN)


def _claims(decoded: dict[str, object]) -> Claims:
    user, expires, info = decoded.get("sub"), decoded.get("exp"), decoded.get("info")
    channels = decoded.get("channels", [])
    legal = isinstance(channels, list) and all(isinstance(channel, str) for channel in channels)
    if not isinstance(user, str) or not legal or not isinstance(channels, list):
        raise TokenRefusedError(INVALID_TOKEN)
    return Claims(
        user=user,
        expires_at=float(expires) if isinstance(expires, int | float) else None,
        info=None if info is None else json.dumps(info, separators=(",", ":")).encode(),
        channels=tuple(str(channel) for channel in channels),
    )
