"""Revocations that one worker knows, so that checking a token does not involve the backplane."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from realtime_server.core.model.revocation import Credential, Revocation, merged

EVERYBODY = ("", "")
"""Subject of a revocation of all users' tokens."""


class Revocations:
    """Set of revocations that have not expired. `wall_clock` is Unix time in seconds."""

    def __init__(self, wall_clock: Callable[[], float] = time.time) -> None:
        self._wall_clock = wall_clock
        self._kept: dict[tuple[str, str], Revocation] = {}
        self.refused = 0
        """Number of refused tokens since the start."""

    def __len__(self) -> int:
        """Return the number of revocations."""
        return len(self._kept)

    def add(self, revocation: Revocation) -> bool:
        """Add a revocation; return True if it covers more than before, or for longer."""
        known = self._kept.get(revocation.subject)
        kept = revocation if known is None else merged(known, revocation)
        self._kept[revocation.subject] = kept
        return kept != known

    def covers(self, credential: Credential) -> bool:
        """Return True when a token is revoked; one without a time of issue counts as old.

        The cost does not depend on the number of revocations, and is nil without any.
        """
        if not self._kept:
            return False
        now = self._wall_clock()
        if credential.jti:
            of_token = self._kept.get((credential.jti, ""))
            if of_token is not None and of_token.expires_at > now:
                return True
        issued_at = credential.issued_at
        for subject in (("", credential.user), EVERYBODY):
            found = self._kept.get(subject)
            if found is not None and found.expires_at > now and (issued_at is None or issued_at < found.issued_before):
                return True
        return False

    def refuses(self, credential: Credential) -> bool:
        """Return True when a token is revoked, as `covers` does, and count the refusal."""
        revoked = self.covers(credential)
        self.refused += revoked
        return revoked

    def drop_expired(self) -> None:
        """Remove the revocations that have expired."""
        now = self._wall_clock()
        for subject in [subject for subject, one in self._kept.items() if one.expires_at <= now]:
            del self._kept[subject]

    def missing_from(self, others: Sequence[Revocation]) -> list[Revocation]:
        """Return the revocations that `others`, all of another store, do not cover."""
        known = {one.subject: one for one in others}
        return [
            one
            for subject, one in self._kept.items()
            if (other := known.get(subject)) is None or merged(other, one) != other
        ]
