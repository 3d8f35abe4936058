"""Who a client is: tokens (RFC 7519) against the keys that are valid now."""

from __future__ import annotations

import time
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
from realtime_server.core.limits.rates import TokenBucket
from realtime_server.core.model.errors import CommandError
from realtime_server.core.model.grant import Grant

LEEWAY_SECONDS = 5.0
"""Clocks differ a little."""
LOG_BURST = 5
LOG_SECONDS = 10.0
"""So many refused tokens are logged at once, and then one in this time."""

logger = structlog.get_logger()


class TokenRefusedError(Exception):
    """The token is not accepted: with an error reply (expired, try again), or by a disconnect (everything else).

    `why` names the claim that failed, without its value; "" where that is of no interest to the operator.
    """

    def __init__(self, code: ErrorCode | DisconnectCode, why: str = "") -> None:
        super().__init__(str(code))
        self.code = code
        self.why = why


class RefusalLog:
    """Logs why tokens are refused, at a bounded rate, without anything of the tokens. `clock` is monotonic seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._bucket = TokenBucket(1 / LOG_SECONDS, LOG_BURST, clock())
        self._unlogged = 0

    def note(self, token: str, why: str) -> None:
        """Log a refusal; `token` says which kind of token it was."""
        if not self._bucket.take(self._clock()):
            self._unlogged += 1
            return
        logger.warning("token refused", token=token, why=why, not_logged_before=self._unlogged)
        self._unlogged = 0


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

    ignores_tokens = False
    """True when everybody is let in, with any token or none."""

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
        """Whether there are keys that somebody else publishes."""
        return self._remote is not None

    def verify(self, token: str) -> Claims:
        """Verify a connection token and return its claims; raises TokenRefusedError."""
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
        """Verify a subscription token and return what it grants; raises CommandError."""
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
        """Return True if a grant is from a token that is revoked, which was perhaps not when it was verified."""
        return grant.credential is not None and self.revocations.refuses(grant.credential)

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
        """What to say when no key fits: a client whose key could not be looked up is to come again."""
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
