"""Who a client is: tokens (RFC 7519) against the keys that are valid now."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import msgspec

from realtime_server.codes import (
    INTERNAL,
    INVALID_TOKEN,
    PERMISSION_DENIED,
    TOKEN_EXPIRED,
    TOO_MANY_REQUESTS,
    DisconnectCode,
    ErrorCode,
)
from realtime_server.core.claims import ClaimError, Claims, Decoded, connection_claims, subscription_grant
from realtime_server.core.grant import Grant
from realtime_server.core.ports import CommandError
from realtime_server.core.web_token import DIGESTS, Token, TokenKey, take_apart

LEEWAY_SECONDS = 5.0
"""Clocks differ a little."""


class TokenRefusedError(Exception):
    """The token is not accepted: with an error reply (expired, try again), or by a disconnect (everything else)."""

    def __init__(self, code: ErrorCode | DisconnectCode) -> None:
        super().__init__(str(code))
        self.code = code


class RemoteKeys(Protocol):
    """Public keys that somebody else publishes, as they were last read."""

    @property
    def known(self) -> Sequence[TokenKey]:
        """The keys."""

    @property
    def loaded(self) -> bool:
        """Whether they were ever read."""

    @property
    def may_fetch(self) -> bool:
        """Whether `fetch` would read them now: they were not read a moment ago."""

    async def fetch(self, key_id: str) -> None:
        """Read them again, because a token names this one.

        Who calls while they are being read waits for the same answer. Never raises.
        """

    def is_missing(self, key_id: str) -> bool:
        """Whether this one was looked for and is not there."""


class TokenVerifier:
    """Verifies tokens. `wall_clock` is Unix time in seconds, `leeway` seconds; `audience`: one of them has to be there.

    Connection and subscription tokens have the same keys, unless `subscription_keys` are given.
    """

    def __init__(
        self,
        keys: Callable[[], Sequence[TokenKey]],
        *,
        remote: RemoteKeys | None = None,
        subscription_keys: Callable[[], Sequence[TokenKey]] | None = None,
        issuer: str | None = None,
        audience: str | Sequence[str] | None = None,
        leeway: float = LEEWAY_SECONDS,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._keys = keys
        self._remote = remote
        self._subscription_keys = subscription_keys
        self._issuer = issuer
        self._audience = frozenset((audience,) if isinstance(audience, str) else audience or ())
        self._leeway = leeway
        self._wall_clock = wall_clock

    @property
    def has_remote_keys(self) -> bool:
        """Whether there are keys that somebody else publishes."""
        return self._remote is not None

    def verify(self, token: str) -> Claims:
        """The claims of a connection token; raises TokenRefusedError."""
        try:
            return connection_claims(self._payload(token, self._all_keys()))
        except ClaimError as error:
            raise TokenRefusedError(INVALID_TOKEN) from error

    def verify_subscription(self, token: str, *, channel: str, user: str) -> Grant:
        """What a subscription token lets in; raises CommandError."""
        keys = self._all_keys() if self._subscription_keys is None else iter(self._subscription_keys())
        try:
            return subscription_grant(self._payload(token, keys), channel=channel, user=user)
        except ClaimError as error:
            raise CommandError(PERMISSION_DENIED) from error
        except TokenRefusedError as refused:
            code = refused.code if isinstance(refused.code, ErrorCode) else PERMISSION_DENIED
            raise CommandError(code) from refused

    def lacks_key(self, text: str) -> bool:
        """Whether a token may be signed with a key that is published but was not read yet: `fetch_key` may help."""
        if self._remote is None:
            return False
        token = take_apart(text)
        return token is not None and self._is_unknown(token) and self._remote.may_fetch

    async def fetch_key(self, text: str) -> None:
        """Read the published keys again, for this token. Never raises."""
        token = take_apart(text)
        if self._remote is not None and token is not None:
            await self._remote.fetch(token.key_id)

    def _all_keys(self) -> Iterator[TokenKey]:
        yield from self._keys()
        if self._remote is not None:
            yield from self._remote.known

    def _is_unknown(self, token: Token) -> bool:
        """Whether the key that a token names is none of the published ones."""
        if self._remote is None or token.algorithm in DIGESTS:
            return False
        ids = {key.key_id for key in self._remote.known}
        return not self._remote.loaded or bool(token.key_id and token.key_id not in ids)

    def _payload(self, text: str, keys: Iterator[TokenKey]) -> Decoded:
        token = take_apart(text)
        if token is None:
            raise TokenRefusedError(INVALID_TOKEN)
        if not any(token.fits(key) for key in keys):
            raise TokenRefusedError(self._refusal(token))
        try:
            decoded = msgspec.json.decode(token.payload, type=dict[str, object])
            self._check(decoded)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ClaimError) as error:
            raise TokenRefusedError(INVALID_TOKEN) from error
        return decoded

    def _refusal(self, token: Token) -> ErrorCode | DisconnectCode:
        """What to say when no key fits: a client whose key could not be looked up is to come again."""
        if self._remote is None or not self._is_unknown(token):
            return INVALID_TOKEN
        if not self._remote.loaded:
            return INTERNAL
        return INVALID_TOKEN if self._remote.is_missing(token.key_id) else TOO_MANY_REQUESTS

    def _check(self, decoded: Decoded) -> None:
        """The registered claims (RFC 7519, section 4.1). Raises ClaimError; TokenRefusedError when it has expired."""
        now = self._wall_clock()
        for name in ("nbf", "iat"):
            at = _seconds(decoded, name)
            if at is not None and int(at) > now + self._leeway:
                raise ClaimError(f"{name}: is in the future")
        expires_at = _seconds(decoded, "exp")
        if expires_at is not None and int(expires_at) <= now - self._leeway:
            raise TokenRefusedError(TOKEN_EXPIRED)
        if self._issuer is not None and decoded.get("iss") != self._issuer:
            raise ClaimError("iss: is not the one that is set")
        if self._audience and not self._audience.intersection(_audience(decoded)):
            raise ClaimError("aud: is not one that is set")


def _seconds(decoded: Decoded, name: str) -> float | None:
    """A NumericDate: a number of seconds since 1970."""
    value = decoded.get(name)
    if value is None and name not in decoded:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ClaimError(f"{name}: has to be a number of seconds since 1970")
    return value


def _audience(decoded: Decoded) -> list[str]:
    audience = decoded.get("aud")
    values = audience if isinstance(audience, list) else [audience]
    return [value for value in values if isinstance(value, str)]
