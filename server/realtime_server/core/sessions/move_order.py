"""Order in which a drain moves connections: those whose users notice least come first. Pure.

The order is made once, when the drain begins, of what is known anyway; nothing is counted for it before.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Generic, NamedTuple, Protocol, TypeVar

from realtime_server.core.model.channel_options import ChannelOptions

REGARDED = 4
"""Number of a connection's subscriptions that are regarded, the oldest ones: the event loop waits for the order."""
QUIET_BYTES_PER_SECOND = 64.0
"""Up to here a connection is idle: pings, and a message now and then."""
SETTLED_SECONDS = 60.0
"""Shortest time for which the traffic of a connection is averaged, so that its connect reply counts for little."""


class MoveCost(NamedTuple):
    """Cost of moving a connection; the lower one is moved first."""

    misses: bool
    """True when it misses what is published meanwhile, since a subscription has no recovery."""
    traffic: int
    """What it receives: 0 for an idle connection, one more for each doubling."""
    brevity: float
    """Minus the lifetime in seconds of its shortest history, from which a late client may not recover everything."""


def move_cost(options: Sequence[ChannelOptions], written_bytes: int, seconds: float) -> MoveCost:
    """Return the cost of a connection that has these subscriptions and has got so many bytes since it opened."""
    misses, shortest = False, math.inf
    for its in options:
        if its.history is None or not its.recovery:
            misses = True
        else:
            shortest = min(shortest, its.history.ttl_seconds)
    rate = written_bytes / max(SETTLED_SECONDS, seconds)
    return MoveCost(misses, int(rate / QUIET_BYTES_PER_SECOND).bit_length(), -shortest)


class Movable(Protocol):
    """Part of a session that the order needs."""

    @property
    def closed(self) -> bool:
        """True when it has ended."""

    @property
    def busy(self) -> bool:
        """True while something is going on that the move would interrupt."""


S = TypeVar("S", bound=Movable)


class MoveOrder(Generic[S]):
    """Sessions in the order in which they are moved: by cost, and of equal cost in the given order.

    One that is busy when its turn comes has its turn once more after all others, and is moved then, busy or not.
    """

    def __init__(self, sessions: Iterable[S], cost: Callable[[S], MoveCost]) -> None:
        self._first = deque(sorted(sessions, key=cost))
        self._last: deque[S] = deque()

    def take(self, count: int) -> list[S]:
        """Remove and return the next sessions, fewer than `count` when no more are left."""
        taken: list[S] = []
        while len(taken) < count and self._first:
            session = self._first.popleft()
            if session.closed:
                continue
            (self._last if session.busy else taken).append(session)
        while len(taken) < count and self._last:
            session = self._last.popleft()
            if not session.closed:
                taken.append(session)
        return taken
