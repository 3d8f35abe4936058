"""Unanswered ping, and the time that its client has to answer. Pure; times are monotonic seconds.

A ping waits behind what was written before it: in the outbox, in the kernel, on a slow link. A client that takes those
bytes is alive, though its pong is late. The kernel's acknowledgements show that, but a proxy acknowledges for a dead
client, so they count only for bytes written before the ping, and for a bounded time.
"""

from __future__ import annotations


class AwaitedPong:
    """Unanswered ping. Its client has `timeout` from the ping, and from each progress of what was written before it.

    `patience` bounds that: seconds from the ping after which the client is late, whatever was acknowledged. `position`
    is the number of bytes written to the connection up to the end of the ping.
    """

    __slots__ = ("_acknowledged", "_deadline", "_latest", "_patience", "_position", "_timeout")

    def __init__(self, now: float, position: int, *, timeout: float, patience: float) -> None:
        self._position = position
        self._timeout = timeout
        self._patience = patience
        self._deadline = now + timeout
        self._latest = now + patience
        self._acknowledged: int | None = None

    @property
    def delivered(self) -> bool:
        """True when the ping was acknowledged, after which observations have no effect."""
        return self._acknowledged == self._position

    def observe(self, now: float, acknowledged: int) -> None:
        """Record how many of the bytes written to the connection are acknowledged by now."""
        before = min(acknowledged, self._position)
        if self._acknowledged is None:
            self._acknowledged = before  # the first observation shows no progress: it has nothing to be compared with
        elif before > self._acknowledged:
            self._acknowledged = before
            self._deadline = max(self._deadline, min(now + self._timeout, self._latest))

    def postpone(self, now: float) -> None:
        """Restart the time limits: the client was heard of, or the server does not read from it."""
        self._deadline = now + self._timeout
        self._latest = now + self._patience

    def is_late(self, now: float) -> bool:
        """Return True when the client has exceeded its time."""
        return now > self._deadline
