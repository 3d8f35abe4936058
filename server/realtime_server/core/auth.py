"""Connection tokens: JSON Web Tokens (RFC 7519), as Centrifugo's SDKs send them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import jwt
from cryptography.exceptions import UnsupportedAlgorithm

from realtime_server.codes import INVALID_TOKEN, PERMISSION_DENIED, TOKEN_EXPIRED, DisconnectCode, ErrorCode
from realtime_server.core.claims import ClaimError, Claims, connection_claims, subscription_grant
from realtime_server.core.grant import Grant
from realtime_server.core.ports import CommandError

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
        """The claims of a connection token; raises TokenRefusedError."""
        try:
            return connection_claims(self._decode(token))
        except ClaimError as error:
            raise TokenRefusedError(INVALID_TOKEN) from error

    def verify_subscription(self, token: str, *, channel: str, user: str) -> Grant:
        """What a subscription token lets in; raises CommandError TOKEN_EXPIRED or PERMISSION_DENIED."""
        try:
            return subscription_grant(self._decode(token), channel=channel, user=user)
        except ClaimError as error:
            raise CommandError(PERMISSION_DENIED) from error
        except TokenRefusedError as refused:
            raise CommandError(TOKEN_EXPIRED if refused.code is TOKEN_EXPIRED else PERMISSION_DENIED) from refused

    def _decode(self, token: str) -> dict[str, object]:
        """The payload of a token that is signed with one of the keys and valid now; raises TokenRefusedError."""
        for key in self._keys():
            prepared = prepare(key)
            if prepared is None:
                continue
            try:
                decoded: dict[str, object] = jwt.decode(
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
            return decoded
        raise TokenRefusedError(INVALID_TOKEN)
