"""How many clients a worker lets in per second, when many come at once: those that resume a session first."""

from __future__ import annotations

from collections.abc import Iterable

from realtime_server.core.commands import Command
from realtime_server.core.token_bucket import TokenBucket

RESERVED = 0.25
"""This part of a second's connects is kept for clients that resume: their users notice when they are late."""


class Admission:
    """Holds one second's connects (at least one). `rate` is in connects per second, > 0."""

    def __init__(self, rate: float, now: float) -> None:
        self._bucket = TokenBucket(rate, max(1.0, rate), now)

    def admit(self, now: float, *, resumes: bool) -> bool:
        """Whether one more may come in at `now`, monotonic seconds. Who may not tries again later."""
        return self._bucket.take(now, kept=0.0 if resumes else RESERVED * (self._bucket.size - 1))


def resumes(commands: Iterable[Command]) -> bool:
    """Whether a client's first commands show that it was here before: it asks for what it has missed."""
    return any(
        (command.subscribe is not None and command.subscribe.recover)
        or (command.connect is not None and any(sub.recover for sub in command.connect.subs.values()))
        for command in commands
    )
