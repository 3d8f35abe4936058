"""A ping that its client has not answered yet, and how long it still may. Pure; times are monotonic seconds.

A ping waits behind what was written before it: in the outbox, in the kernel, on a slow link. A client that takes such
bytes is alive, though its pong is late. The kernel's acknowledgements show it, but a proxy acknowledges for a client
that is dead, so they count only for bytes that were written before the ping, and not for ever.
"""

from __future__ import annotations


class AwaitedPong:
    """One ping. Its client has `timeout` from the ping, and again from each progress of what was written before it.

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
        """True when the ping was acknowledged: what is observed from then on changes nothing."""
        return self._acknowledged == self._position

    def observe(self, now: float, acknowledged: int) -> None:
        """Note how many bytes written to the connection were acknowledged by now."""
        before = min(acknowledged, self._position)
        if self._acknowledged is None:
            self._acknowledged = before  # the first observation shows no progress: it has nothing to be compared with
        elif before > self._acknowledged:
            self._acknowledged = before
            self._deadline = max(self._deadline, min(now + self._timeout, self._latest))

    def postpone(self, now: float) -> None:
        """Begin anew: the client was heard of, or the server reads nothing of it, and so no pong either."""
        self._deadline = now + self._timeout
        self._latest = now + self._patience

    def is_late(self, now: float) -> bool:
        """True when the client has had its time."""
        return now > self._deadline
