"""Revocation of tokens on all servers: stored in the backplane, sent over the control channel."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Collection, Sequence

import structlog

from realtime_server import codes
from realtime_server.core.auth.revocations import Revocations
from realtime_server.core.control import messages
from realtime_server.core.model.errors import BackplaneError, CommandError
from realtime_server.core.model.revocation import MAX_REVOCATIONS, Revocation
from realtime_server.core.ports.api import Revoking
from realtime_server.core.ports.backplane import RevocationStore
from realtime_server.core.sessions.session import Session
from realtime_server.core.tasks import TaskGroup

logger = structlog.get_logger()

READ_AGAIN_SECONDS = 30.0
"""Interval of reading new revocations from the store, for workers that missed the message."""
CHECKED_AT_ONCE = 100
"""Number of sessions checked per iteration of the event loop."""
PUT_BACK_AT_ONCE = 500
CLOCK_DIFFERENCE_SECONDS = 60.0
"""Maximum lead over this server's clock of the time before which tokens are revoked."""


class Revoker:
    """Revocation of tokens for one worker.

    `sessions` are the worker's, `send` sends a message to all workers, `wall_clock` is Unix time in seconds. A
    revocation without an expiry is kept for `keep_seconds`.
    """

    def __init__(
        self,
        revocations: Revocations,
        store: RevocationStore,
        sessions: Collection[Session],
        tasks: TaskGroup,
        *,
        send: Callable[[messages.Message], Awaitable[None]],
        wall_clock: Callable[[], float],
        keep_seconds: float,
    ) -> None:
        self.revocations = revocations
        self._store = store
        self._sessions = sessions
        self._send = send
        self._tasks = tasks
        self._wall_clock = wall_clock
        self._keep_seconds = keep_seconds
        self._position = ""
        self._missed = False
        self._reading = asyncio.Lock()
        self._to_check = False
        self._checking = False

    async def revoke(self, wanted: Revoking) -> float:
        """Revoke tokens on all servers; return the expiry of the revocation in Unix seconds.

        Raises CommandError BAD_REQUEST or LIMIT_EXCEEDED, or BackplaneError, after which the call may be repeated.
        """
        revocation = self._revocation(wanted)
        if not await self._store.add([revocation]):
            raise CommandError(
                codes.LIMIT_EXCEEDED,
                f"{MAX_REVOCATIONS} revocations are kept already; revoke by user or by issued_before, or give a nearer"
                " expire_at",
            )
        self.apply([revocation])
        await self._send(messages.Revoke(revocation))
        return revocation.expires_at

    def _revocation(self, wanted: Revoking) -> Revocation:
        now = self._wall_clock()
        if wanted.jti and (wanted.user or wanted.issued_before is not None):
            raise CommandError(codes.BAD_REQUEST, "jti names one token: user and issued_before have no effect")
        if not (wanted.jti or wanted.user or wanted.issued_before is not None):
            raise CommandError(codes.BAD_REQUEST, "jti, user or issued_before is needed")
        if wanted.expires_at is not None and wanted.expires_at <= now:
            raise CommandError(codes.BAD_REQUEST, "expire_at is in the past")
        if wanted.issued_before is not None and wanted.issued_before > now + CLOCK_DIFFERENCE_SECONDS:
            raise CommandError(
                codes.BAD_REQUEST, "issued_before is in the future: it would refuse tokens that are not issued yet"
            )
        expires_at = now + self._keep_seconds if wanted.expires_at is None else wanted.expires_at
        if wanted.jti:
            return Revocation(expires_at, jti=wanted.jti)
        # times of issue are usually whole seconds: tokens issued in this very second are revoked too
        issued_before = math.floor(now) + 1.0 if wanted.issued_before is None else wanted.issued_before
        return Revocation(expires_at, user=wanted.user, issued_before=issued_before)

    def apply(self, revocations: Sequence[Revocation]) -> None:
        """Add revocations, and end what they concern on this worker in the background."""
        added = [self.revocations.add(one) for one in revocations]
        self._to_check = self._to_check or any(added)
        if self._to_check and not self._checking:
            self._checking = True
            self._tasks.spawn(self._end_revoked(), "revoke")

    async def _end_revoked(self) -> None:
        """End connections and subscriptions of revoked tokens; one pass covers all revocations since the last."""
        try:
            while self._to_check:
                self._to_check = False
                for number, session in enumerate(list(self._sessions), start=1):
                    self._end_if_revoked(session)
                    if number % CHECKED_AT_ONCE == 0:
                        await asyncio.sleep(0)
        finally:
            self._checking = False

    def _end_if_revoked(self, session: Session) -> None:
        claims = session.claims
        if session.closed or claims is None:
            return  # refused when it connects
        if claims.credential is not None and self.revocations.covers(claims.credential):
            session.disconnect(codes.TOKEN_REVOKED)
            return
        for channel, subscription in list(session.subscriptions.items()):
            if subscription.credential is not None and self.revocations.covers(subscription.credential):
                session.end_subscription(channel, codes.UNSUBSCRIBED_TOKEN_REVOKED)

    def note_gap(self) -> None:
        """Record that messages may have been lost, and read all revocations again in the background."""
        self._missed = True
        self._tasks.spawn(self._catch_up_quietly(), "revocations")

    async def _catch_up_quietly(self) -> None:
        try:
            await self.catch_up()
        except BackplaneError as error:
            logger.info("revocations cannot be read yet", error=str(error))

    async def catch_up(self) -> None:
        """Read new revocations from the store, and put back those that it has lost. Raises BackplaneError."""
        async with self._reading:
            self.revocations.drop_expired()
            if self._missed:
                self._missed, self._position = False, ""
            position, from_start = self._position, False
            stored: list[Revocation] = []
            while True:
                page = await self._store.read(position)
                if page.from_start:
                    from_start, stored = True, []
                stored += page.revocations
                self.apply(page.revocations)
                position = page.position
                if page.complete:
                    break
            if from_start:
                await self._put_back(self.revocations.missing_from(stored))
            self._position = position

    async def _put_back(self, lost: Sequence[Revocation]) -> None:
        for start in range(0, len(lost), PUT_BACK_AT_ONCE):
            if not await self._store.add(lost[start : start + PUT_BACK_AT_ONCE]):
                logger.error(
                    "revocations that the backplane has lost cannot be stored again: it is full", lost=len(lost) - start
                )
                return
