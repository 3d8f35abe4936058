"""Connection tokens: JSON Web Tokens (RFC 7519) signed with HS256, as Centrifugo's SDKs send them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import jwt

from realtime_server.codes import INVALID_TOKEN, TOKEN_EXPIRED, DisconnectCode, ErrorCode

LEEWAY_SECONDS = 5
"""Clocks differ a little."""


@dataclass(frozen=True, slots=True)
class Claims:
    """What a token says. `expires_at` is Unix time in seconds, None for never; `info` is raw JSON."""

    user: str
    expires_at: float | None = None
    info: bytes | None = None
    channels: tuple[str, ...] = ()


class TokenRefusedError(Exception):
    """The token is not accepted: with an error reply (expired), or by a disconnect (everything else)."""

    def __init__(self, code: ErrorCode | DisconnectCode) -> None:
        super().__init__(str(code))
        self.code = code


class TokenVerifier:
    """Verifies tokens against all secrets that are valid now."""

    def __init__(
        self,
        secrets: Callable[[], Sequence[str]],
        *,
        issuer: str | None = None,
        audience: str | None = None,
    ) -> None:
        self._secrets = secrets
        self._issuer = issuer
        self._audience = audience

    def verify(self, token: str) -> Claims:
        """The claims; raises TokenRefusedError."""
        for secret in self._secrets():
            try:
                decoded = jwt.decode(
                    token,
                    secret,
                    algorithms=["HS256"],
                    issuer=self._issuer,
                    audience=self._audience,
                    leeway=LEEWAY_SECONDS,
                    options={"verify_aud": self._audience is not None, "require": ["sub"], "verify_sub": False},
                )
            except jwt.ExpiredSignatureError as error:
                raise TokenRefusedError(TOKEN_EXPIRED) from error
            except jwt.InvalidSignatureError:
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
