"""Who a client is: tokens (RFC 7519) against the keys that are valid now."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Protocol

from msgspec import UNSET, UnsetType

from realtime_server.codes import (
    INTERNAL,
    INVALID_TOKEN,
    PERMISSION_DENIED,
    TOKEN_EXPIRED,
    TOO_MANY_REQUESTS,
    DisconnectCode,
    ErrorCode,
)
from realtime_server.core.auth.claims import (
    ClaimError,
    Claims,
    Payload,
    connection_claims,
    read_payload,
    subscription_grant,
)
from realtime_server.core.auth.web_token import DIGESTS, Token, TokenKey, parse_jwt
from realtime_server.core.model.errors import CommandError
from realtime_server.core.model.grant import Grant

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
            return connection_claims(self._payload(token, self._keys(), self._remote))
        except ClaimError as error:
            raise TokenRefusedError(INVALID_TOKEN) from error

    def verify_subscription(self, token: str, *, channel: str, user: str) -> Grant:
        """What a subscription token lets in; raises CommandError."""
        try:
            return subscription_grant(self._subscription_payload(token), channel=channel, user=user)
        except ClaimError as error:
            raise CommandError(PERMISSION_DENIED) from error
        except TokenRefusedError as refused:
            code = refused.code if isinstance(refused.code, ErrorCode) else PERMISSION_DENIED
            raise CommandError(code) from refused

    def lacks_key(self, text: str) -> bool:
        """Whether a token may be signed with a key that is published but was not read yet: `fetch_key` may help."""
        if self._remote is None:
            return False
        token = parse_jwt(text)
        return token is not None and self._is_unknown(token, self._remote) and self._remote.may_fetch

    async def fetch_key(self, text: str) -> None:
        """Read the published keys again, for this token. Never raises."""
        token = parse_jwt(text)
        if self._remote is not None and token is not None:
            await self._remote.fetch(token.key_id)

    def _is_unknown(self, token: Token, remote: RemoteKeys) -> bool:
        """Whether the key that a token names is none of the published ones."""
        if token.algorithm in DIGESTS:
            return False
        return not remote.loaded or (bool(token.key_id) and all(key.key_id != token.key_id for key in remote.known))

    def _subscription_payload(self, text: str) -> Payload:
        if self._subscription_keys is not None:
            return self._payload(text, self._subscription_keys(), None)
        return self._payload(text, self._keys(), self._remote)

    def _payload(self, text: str, keys: Sequence[TokenKey], remote: RemoteKeys | None) -> Payload:
        """What a token says that one of these keys fits, and that is valid now.

        Raises TokenRefusedError; ClaimError for a claim that is not what it has to be.
        """
        token = parse_jwt(text)
        if token is None:
            raise TokenRefusedError(INVALID_TOKEN)
        for key in keys if remote is None else (*keys, *remote.known):
            if token.fits(key):
                break
        else:
            raise TokenRefusedError(INVALID_TOKEN if remote is None else self._refusal(token, remote))
        payload = read_payload(token.payload)
        self._check(payload)
        return payload

    def _refusal(self, token: Token, remote: RemoteKeys) -> ErrorCode | DisconnectCode:
        """What to say when no key fits: a client whose key could not be looked up is to come again."""
        if not self._is_unknown(token, remote):
            return INVALID_TOKEN
        if not remote.loaded:
            return INTERNAL
        return INVALID_TOKEN if remote.is_missing(token.key_id) else TOO_MANY_REQUESTS

    def _check(self, payload: Payload) -> None:
        """The registered claims (RFC 7519, section 4.1). Raises ClaimError; TokenRefusedError when it has expired."""
        now = self._wall_clock()
        latest = now + self._leeway
        if _second(payload.nbf, 0) > latest or _second(payload.iat, 0) > latest:
            raise ClaimError("nbf, iat: are in the future")
        if payload.exp is not UNSET and int(payload.exp) <= now - self._leeway:
            raise TokenRefusedError(TOKEN_EXPIRED)
        if self._issuer is not None and payload.iss != self._issuer:
            raise ClaimError("iss: is not the one that is set")
        if self._audience and self._audience.isdisjoint(_audience(payload.aud)):
            raise ClaimError("aud: is not one that is set")


def _second(moment: float | UnsetType, otherwise: int) -> int:
    """The second that a moment is in."""
    return otherwise if moment is UNSET else int(moment)


def _audience(claim: object) -> list[str]:
    values = claim if isinstance(claim, list) else [claim]
    return [value for value in values if isinstance(value, str)]
