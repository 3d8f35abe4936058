"""The workers of the cluster that this one has heard of."""

from __future__ import annotations

from collections.abc import Callable

from realtime_server.core.ports.api import NodeInfo

ANNOUNCE_SECONDS = 3.0
"""How often a worker tells the others of itself, for the API method `info`."""
FORGET_AFTER = 3.5
"""A worker that was silent for this many announcements is gone."""


class Peers:
    """Workers by their uid, as far as they have announced themselves lately. `clock` is monotonic seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._listens_since = clock()
        self._heard: dict[str, tuple[float, NodeInfo]] = {}

    def note(self, info: NodeInfo) -> None:
        """Note that a worker has announced itself."""
        self._heard[info.uid] = (self._clock(), info)

    def may_live(self, uid: str) -> bool:
        """Return True when a worker was heard of lately, or this one has not listened for so long yet."""
        since = self._clock() - ANNOUNCE_SECONDS * FORGET_AFTER
        heard = self._heard.get(uid)
        return self._listens_since > since if heard is None else heard[0] >= since

    def living(self) -> list[NodeInfo]:
        """Return those that were heard of lately, by their uid; the others are forgotten."""
        since = self._clock() - ANNOUNCE_SECONDS * FORGET_AFTER
        self._heard = {uid: heard for uid, heard in self._heard.items() if heard[0] >= since}
        return [info for _, (_, info) in sorted(self._heard.items())]
