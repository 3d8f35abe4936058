"""States of sessions within one process."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping

from realtime_server.core.model.session_state import SessionState, pack_state, unpack_state
from realtime_server.core.ports.session_store import MAX_STATE_BYTES, Kept


class MemorySessionStore:
    """States within one process: implements SessionStore. `clock` is monotonic seconds."""

    def __init__(self, *, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._clock = clock
        self._kept: OrderedDict[str, tuple[float, str, bytes]] = OrderedDict()
        """Expiry time, owner and packed state, in the order of the last change."""

    async def put(self, ident: str, owner: str, state: SessionState, ttl_seconds: float, *, first: bool) -> Kept:
        """Store a state; see SessionStore."""
        known = self._read(ident)
        if known is not None and known[1] != owner and not first:
            return Kept.TAKEN
        self._kept.pop(ident, None)
        packed = pack_state(state)
        if len(packed) > MAX_STATE_BYTES:
            return Kept.GONE
        self._kept[ident] = (self._clock() + ttl_seconds, owner, packed)
        self._drop_expired()
        while len(self._kept) > self._most:
            self._kept.popitem(last=False)
        return Kept.YES

    async def renew(self, owners: Mapping[str, str], ttl_seconds: float) -> Mapping[str, Kept]:
        """Keep states; see SessionStore."""
        lost: dict[str, Kept] = {}
        for ident, owner in owners.items():
            known = self._read(ident)
            if known is None or known[1] != owner:
                lost[ident] = Kept.GONE if known is None else Kept.TAKEN
            else:
                self._kept[ident] = (self._clock() + ttl_seconds, owner, known[2])
                self._kept.move_to_end(ident)
        return lost

    async def take(self, ident: str) -> SessionState | None:
        """Remove a state and return it; see SessionStore."""
        known = self._read(ident)
        self._kept.pop(ident, None)
        return None if known is None else unpack_state(known[2])

    async def remove(self, ident: str, owner: str) -> None:
        """Remove a state; see SessionStore."""
        known = self._read(ident)
        if known is not None and known[1] == owner:
            del self._kept[ident]

    def _read(self, ident: str) -> tuple[float, str, bytes] | None:
        known = self._kept.get(ident)
        return None if known is None or known[0] <= self._clock() else known

    def _drop_expired(self) -> None:
        """Drop the expired ones at the beginning, where they are as long as all have the same ttl."""
        now = self._clock()
        while self._kept and next(iter(self._kept.values()))[0] <= now:
            self._kept.popitem(last=False)
