"""Verification of tokens (RFC 7519) with the keys that are valid now."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Protocol

import structlog

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
    moment,
    read_payload,
    subscription_grant,
)
from realtime_server.core.auth.revocations import Revocations
from realtime_server.core.auth.web_token import DIGESTS, Token, TokenKey, parse_jwt
from realtime_server.core.limits.rates import KeyedRates
from realtime_server.core.model.errors import CommandError
from realtime_server.core.model.grant import Grant

LEEWAY_SECONDS = 5.0
"""Tolerance for clocks that differ."""
LOG_BURST = 5
LOG_SECONDS = 10.0
"""Tokens refused for one reason are logged up to LOG_BURST at once, then one per LOG_SECONDS."""

logger = structlog.get_logger()


class TokenRefusedError(Exception):
    """Refusal of a token: with an error reply (expired, try again), or by a disconnect (everything else).

    `why` names the claim that failed, without its value; "" where that does not interest the operator.
    """

    def __init__(self, code: ErrorCode | DisconnectCode, why: str = "") -> None:
        super().__init__(str(code))
        self.code = code
        self.why = why


class RefusalLog:
    """Log of the reasons for refusing tokens, rate-limited and without their values.

    Each reason has its own rate, so that tokens which anybody can send do not hide a wrong claim in the application's
    tokens. Reasons are fixed texts and names of claims, so there are few. `clock` is monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._rates = KeyedRates(1 / LOG_SECONDS, LOG_BURST)
        self._unlogged: Counter[tuple[str, str]] = Counter()

    def note(self, token: str, why: str) -> None:
        """Log a refusal; `token` is the kind of token."""
        reason = token, why
        if not self._rates.take(reason, self._clock()):
            self._unlogged[reason] += 1
            return
        logger.warning("token refused", token=token, why=why, not_logged_before=self._unlogged.pop(reason, 0))


class RemoteKeys(Protocol):
    """Public keys of an identity provider, as last fetched."""

    @property
    def known(self) -> Sequence[TokenKey]:
        """Keys."""

    @property
    def loaded(self) -> bool:
        """True once they were fetched."""

    @property
    def may_fetch(self) -> bool:
        """True when `fetch` would fetch them now, as the last fetch is not too recent."""

    async def fetch(self, key_id: str) -> None:
        """Fetch the keys again, because a token names this one.

        Callers during a fetch wait for the same result. Never raises.
        """

    def is_missing(self, key_id: str) -> bool:
        """Return True when the last fetch has shown that there is no such key."""


class TokenVerifier:
    """Verifier of tokens. `wall_clock` is Unix time in seconds, `leeway` in seconds; one of `audience` has to match.

    Connection and subscription tokens share the keys, unless `subscription_keys` are given.
    """

    ignores_tokens = False
    """True when everybody is admitted, with any token or none."""

    def __init__(
        self,
        keys: Callable[[], Sequence[TokenKey]],
        *,
        remote: RemoteKeys | None = None,
        subscription_keys: Callable[[], Sequence[TokenKey]] | None = None,
        issuer: str | None = None,
        audience: str | Sequence[str] | None = None,
        leeway: float = LEEWAY_SECONDS,
        revocations: Revocations | None = None,
        wall_clock: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._keys = keys
        self._remote = remote
        self._subscription_keys = subscription_keys
        self._issuer = issuer
        self._audience = frozenset((audience,) if isinstance(audience, str) else audience or ())
        self._leeway = leeway
        self.revocations = Revocations(wall_clock) if revocations is None else revocations
        self._wall_clock = wall_clock
        self._log = RefusalLog(clock)

    @property
    def has_remote_keys(self) -> bool:
        """True when an identity provider publishes keys."""
        return self._remote is not None

    def verify(self, token: str) -> Claims:
        """Verify a connection token and return its claims. Raises TokenRefusedError."""
        try:
            claims = connection_claims(self._payload(token, self._keys(), self._remote))
        except ClaimError as error:
            self._log.note("connection", str(error))
            raise TokenRefusedError(INVALID_TOKEN, str(error)) from error
        except TokenRefusedError as refused:
            if refused.why:
                self._log.note("connection", refused.why)
            raise
        if claims.credential is not None and self.revocations.refuses(claims.credential):
            raise TokenRefusedError(TOKEN_EXPIRED)
        return claims

    def verify_subscription(self, token: str, *, channel: str, user: str) -> Grant:
        """Verify a subscription token and return its grant. Raises CommandError."""
        try:
            grant = subscription_grant(self._subscription_payload(token), channel=channel, user=user)
        except ClaimError as error:
            self._log.note("subscription", str(error))
            raise CommandError(PERMISSION_DENIED) from error
        except TokenRefusedError as refused:
            if refused.why:
                self._log.note("subscription", refused.why)
            code = refused.code if isinstance(refused.code, ErrorCode) else PERMISSION_DENIED
            raise CommandError(code) from refused
        if self.is_revoked(grant):
            raise CommandError(TOKEN_EXPIRED)
        return grant

    def is_revoked(self, grant: Grant) -> bool:
        """Return True when a grant's token is revoked, perhaps since it was verified."""
        return grant.credential is not None and self.revocations.refuses(grant.credential)

    def lacks_key(self, text: str) -> bool:
        """Return True when the key of a token may be published but not fetched yet: `fetch_key` may help."""
        if self._remote is None:
            return False
        token = parse_jwt(text)
        return token is not None and self._is_unknown(token, self._remote) and self._remote.may_fetch

    async def fetch_key(self, text: str) -> None:
        """Fetch the published keys again for this token. Never raises."""
        token = parse_jwt(text)
        if self._remote is not None and token is not None:
            await self._remote.fetch(token.key_id)

    def _is_unknown(self, token: Token, remote: RemoteKeys) -> bool:
        """Return True when a token names a key that is none of the published ones."""
        if token.algorithm in DIGESTS:
            return False
        return not remote.loaded or (bool(token.key_id) and all(key.key_id != token.key_id for key in remote.known))

    def _subscription_payload(self, text: str) -> Payload:
        if self._subscription_keys is not None:
            return self._payload(text, self._subscription_keys(), None)
        return self._payload(text, self._keys(), self._remote)

    def _payload(self, text: str, keys: Sequence[TokenKey], remote: RemoteKeys | None) -> Payload:
        """Verify signature and times of a token and return its payload.

        Raises TokenRefusedError, or ClaimError for an invalid claim.
        """
        token = parse_jwt(text)
        if token is None:
            raise TokenRefusedError(INVALID_TOKEN, "is no JSON Web Token")
        for key in keys if remote is None else (*keys, *remote.known):
            if token.fits(key):
                break
        else:
            code = INVALID_TOKEN if remote is None else self._refusal(token, remote)
            raise TokenRefusedError(code, "signature: of none of the keys, or the header names another `alg` or `kid`")
        payload = read_payload(token.payload)
        self._check(payload)
        return payload

    def _refusal(self, token: Token, remote: RemoteKeys) -> ErrorCode | DisconnectCode:
        """Return the code for a token that no key fits: a client whose key could not be looked up should try again."""
        if not self._is_unknown(token, remote):
            return INVALID_TOKEN
        if not remote.loaded:
            return INTERNAL
        return INVALID_TOKEN if remote.is_missing(token.key_id) else TOO_MANY_REQUESTS

    def _check(self, payload: Payload) -> None:
        """Check the registered claims (RFC 7519, section 4.1); `iat` says nothing of whether a token is valid.

        Raises ClaimError for a token that will never be accepted, TokenRefusedError for one that is not valid now: a
        new one may be. Both come in whole seconds as a rule, and so are compared.
        """
        if self._issuer is not None and payload.iss != self._issuer:
            raise ClaimError("iss: is not the one that is set")
        if self._audience and self._audience.isdisjoint(_audience(payload.aud)):
            raise ClaimError("aud: is not one that is set")
        now = self._wall_clock()
        expires_at, begins_at = moment("exp", payload.exp), moment("nbf", payload.nbf)
        if expires_at is not None and int(expires_at) <= now - self._leeway:
            raise TokenRefusedError(TOKEN_EXPIRED)
        if begins_at is not None and int(begins_at) > now + self._leeway:
            raise TokenRefusedError(TOKEN_EXPIRED, "nbf: is in the future")


def _audience(claim: object) -> list[str]:
    values = claim if isinstance(claim, list) else [claim]
    return [value for value in values if isinstance(value, str)]
