"""Workers of the cluster that this one has heard of."""

from __future__ import annotations

import math
from collections.abc import Callable

from realtime_server.core.ports.api import NodeInfo

ANNOUNCE_SECONDS = 3.0
"""Interval of a worker's announcements to the others, for the API method `info`."""
FORGET_AFTER = 3.5
"""Number of missed announcements after which a worker counts as gone."""


class Peers:
    """Workers by uid that have announced themselves lately. `clock` is monotonic seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._listens_since = clock()
        self._heard: dict[str, tuple[float, NodeInfo]] = {}

    def note(self, info: NodeInfo) -> bool:
        """Record a worker's announcement; return True for one that had not been heard of."""
        is_new = info.uid not in self._heard
        self._heard[info.uid] = (self._clock(), info)
        return is_new

    def forget(self, uid: str) -> None:
        """Record that a worker has stopped."""
        heard = self._heard.get(uid)
        if heard is not None:
            self._heard[uid] = (-math.inf, heard[1])

    def may_live(self, uid: str) -> bool:
        """Return True when a worker announced itself lately, or this one has not listened long enough to know."""
        since = self._clock() - ANNOUNCE_SECONDS * FORGET_AFTER
        heard = self._heard.get(uid)
        return self._listens_since > since if heard is None else heard[0] >= since

    def living(self) -> list[NodeInfo]:
        """Return the workers that announced themselves lately, by uid, and forget the others."""
        since = self._clock() - ANNOUNCE_SECONDS * FORGET_AFTER
        self._heard = {uid: heard for uid, heard in self._heard.items() if heard[0] >= since}
        return [info for _, (_, info) in sorted(self._heard.items())]
