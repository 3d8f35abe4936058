"""Admission and expiry of clients, by tokens or by the backend."""

from __future__ import annotations

import random
from collections.abc import Callable

from msgspec import structs

from realtime_server import codes
from realtime_server.codes import DisconnectCode
from realtime_server.core.auth.claims import Claims
from realtime_server.core.auth.verifier import TokenRefusedError, TokenVerifier
from realtime_server.core.limits.limit import TOKEN_BYTES, Limit, NodeLimits
from realtime_server.core.limits.rates import Admission
from realtime_server.core.metrics.counters import Counters
from realtime_server.core.model.errors import CommandError, DisconnectRequestedError
from realtime_server.core.model.grant import Grant
from realtime_server.core.model.namespaces import Namespaces
from realtime_server.core.model.revocation import Credential
from realtime_server.core.ports.backend import (
    RENEW_AGAIN_SECONDS,
    Backend,
    Connecting,
    Disconnected,
    Hook,
    Refreshed,
)
from realtime_server.core.sessions.registry import Registry
from realtime_server.core.sessions.session import Session


class Entry:
    """Admission of clients. `clock` is monotonic seconds, `wall_clock` Unix time in seconds.

    `heartbeat_interval`: seconds between two pings of a client; the first one comes earlier, at random.
    """

    def __init__(
        self,
        registry: Registry,
        verifier: TokenVerifier,
        backend: Backend,
        namespaces: Namespaces,
        limits: NodeLimits,
        counters: Counters,
        *,
        anonymous: bool,
        heartbeat_interval: float,
        clock: Callable[[], float],
        wall_clock: Callable[[], float],
    ) -> None:
        self._registry = registry
        self._verifier = verifier
        self._backend = backend
        self._namespaces = namespaces
        self._limits = limits
        self._counters = counters
        self._anonymous = anonymous
        self._heartbeat_interval = heartbeat_interval
        self._clock = clock
        self._wall_clock = wall_clock
        self._random = random.Random()  # noqa: S311 - spreads pings, nothing depends on it
        rate = limits.connects_per_second
        self._admission = Admission(rate, clock()) if rate else None

    # tokens

    @property
    def has_remote_keys(self) -> bool:
        """True when an identity provider publishes keys."""
        return self._verifier.has_remote_keys

    @property
    def ignores_tokens(self) -> bool:
        """True when everybody is admitted, with any token or none: for development."""
        return self._verifier.ignores_tokens

    def lacks_key(self, token: str) -> bool:
        """Return True when the key of a token may be published but not fetched yet: `fetch_key` may help."""
        return self._verifier.lacks_key(token)

    async def fetch_key(self, token: str) -> None:
        """Fetch the published keys again for this token. Never raises."""
        await self._verifier.fetch_key(token)

    def authenticate(self, token: str) -> Claims:
        """Verify a connection token and return its claims. Raises CommandError or DisconnectRequestedError."""
        if not token and not self.ignores_tokens:
            if self._anonymous:
                return Claims(user="")
            raise CommandError(codes.UNAUTHORIZED)
        self._note_length(token)
        try:
            return self._with_personal_channels(self._verifier.verify(token))
        except TokenRefusedError as refused:
            if isinstance(refused.code, DisconnectCode):
                raise DisconnectRequestedError(refused.code) from refused
            raise CommandError(refused.code) from refused

    def verify_subscription(self, token: str, *, channel: str, user: str) -> Grant:
        """Verify a subscription token and return its grant. Raises CommandError."""
        self._note_length(token)
        return self._verifier.verify_subscription(token, channel=channel, user=user)

    def _note_length(self, token: str) -> None:
        if len(token) > TOKEN_BYTES:
            self._counters.limits[Limit.TOKEN_BYTES] += 1

    # coming in

    @property
    def limits_connects(self) -> bool:
        """True when the rate of admissions is limited."""
        return self._admission is not None

    def has_capacity(self, *, resumes: bool) -> bool:
        """Return True when one more client may be admitted now; a client that `resumes` takes precedence."""
        if self._admission is None or self._admission.admit(self._clock(), resumes=resumes):
            return True
        self._counters.limits[Limit.CONNECTS_PER_SECOND] += 1
        return False

    def asks_backend(self, token: str) -> bool:
        """Return True when the backend decides about a client with this token, or with none."""
        return not token and self._backend.asks(Hook.CONNECT)

    async def identify(self, session: Session, request: Connecting, token: str) -> tuple[Claims, bytes | None]:
        """Ask the backend who a client is; return its claims and the data for it.

        The caller must call `admit` or `undo_admission` afterwards. Raises CommandError or DisconnectRequestedError.
        """
        self._registry.begin_identification(session)
        asked_at = self._wall_clock()
        answer = await self._backend.connect(request)
        if answer is None:
            return self.authenticate(token), None
        credential = self._answer_credential(answer.claims.user, asked_at)
        claims = self._with_personal_channels(structs.replace(answer.claims, credential=credential))
        return claims, answer.data

    def _answer_credential(self, user: str, asked_at: float) -> Credential:
        """Return the credential of a user whom the backend admits, asked at a Unix time.

        Raises DisconnectRequestedError when the user's tokens were revoked since, as the answer may be older.
        """
        credential = Credential(user, issued_at=asked_at)
        if self._verifier.revocations.refuses(credential):
            raise DisconnectRequestedError(codes.TOKEN_REVOKED)
        return credential

    def _with_personal_channels(self, claims: Claims) -> Claims:
        """Add the channels that the server subscribes each connection of the user to."""
        personal = self._namespaces.personal_channels(claims.user)
        if not personal:
            return claims
        return structs.replace(claims, channels=tuple(dict.fromkeys((*claims.channels, *personal))))

    def admit(self, session: Session, claims: Claims) -> bool:
        """Admit a client: it is pinged from now on, and indexed by its user.

        Returns False when it was disconnected, because its user has too many connections or was disconnected meanwhile.
        """
        spread = 0.5 + self._random.random() / 2
        session.admit(claims, self._clock() + self._heartbeat_interval * spread)
        count = self._registry.add_user(session)
        limit = self._limits.connections_per_user
        if limit and claims.user and count > limit:
            self._counters.limits[Limit.CONNECTIONS_PER_USER] += 1
            session.disconnect(codes.CONNECTION_LIMIT)
        return not session.closed

    def undo_admission(self, session: Session) -> None:
        """Undo an admission, after which the client may try again. Idempotent."""
        self._registry.remove_user(session)
        session.undo_admission()
        self._registry.end_identification(session)

    def rename(self, session: Session, client: str) -> None:
        """Give a session the id of the one that it continues, and end that one if it is still here."""
        before = self._registry.with_client(client)
        if before is not None and before is not session:
            before.disconnect(codes.STALE)
        self._registry.rename(session, client)

    # going on, and the end

    def refreshed_claims(self, session: Session, token: str) -> Claims:
        """Verify a new token of the same user and return its claims.

        Raises CommandError; for an expired token DisconnectRequestedError, after which an SDK fetches another one: an
        error in the reply does not make all of them do so.
        """
        try:
            claims = self.authenticate(token)
        except DisconnectRequestedError as refused:
            raise CommandError(codes.UNAUTHORIZED) from refused
        except CommandError as refused:
            if refused.error is codes.TOKEN_EXPIRED:
                raise DisconnectRequestedError(codes.CONNECTION_EXPIRED) from refused
            raise
        if session.claims is None or claims.user != session.claims.user:
            raise CommandError(codes.BAD_REQUEST)
        return claims

    async def renew(self, session: Session) -> None:
        """Ask the backend to renew an expired connection; it goes on for a while if the backend cannot be asked."""
        claims, asked_at = session.claims, self._wall_clock()
        try:
            answer = await self._backend.refresh(session.caller())
            credential = self._answer_credential(session.user, asked_at)
        except DisconnectRequestedError as wanted:
            session.disconnect(wanted.code)
            return
        except CommandError:
            answer = Refreshed(expired=True)
        if session.closed or claims is None or session.claims is not claims:
            return  # its time was changed meanwhile
        if answer is None:
            answer = Refreshed(self._wall_clock() + RENEW_AGAIN_SECONDS)
        if answer.expired:
            session.disconnect(codes.CONNECTION_EXPIRED)
        else:
            info = answer.info or claims.info
            session.renew(structs.replace(claims, expires_at=answer.expires_at, info=info, credential=credential))

    def on_closed(self, session: Session, code: DisconnectCode) -> None:
        """Remove a closed session, and report it to the backend if it had been admitted."""
        if session.claims is not None:
            connected = self._clock() - session.opened_at
            self._backend.emit(Disconnected(session.client, session.user, code.code, code.reason, connected))
        self._registry.remove(session)
