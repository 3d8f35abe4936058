"""States of sessions in Redis. Expiry goes by the clock of Redis."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from realtime_server.backplane import redis_scripts as scripts
from realtime_server.backplane.redis_reply import Reply, Word, as_bytes, as_int, as_list, milliseconds
from realtime_server.backplane.redis_router import Router
from realtime_server.backplane.redis_scripts import Script
from realtime_server.core.model.session_state import SessionState, pack_state, unpack_state
from realtime_server.core.ports.session_store import MAX_STATE_BYTES, Kept

RENEWED_TOGETHER = 200
"""States per call of a renewal."""


class RedisSessionStore:
    """States over Redis: implements SessionStore while the broker is started. `most` is that of each partition."""

    def __init__(self, router: Router, *, most: int) -> None:
        self._router = router
        self._most = most

    async def put(self, ident: str, owner: str, state: SessionState, ttl_seconds: float, *, first: bool) -> Kept:
        """Store a state in one script; see SessionStore."""
        packed = pack_state(state)
        if len(packed) > MAX_STATE_BYTES:
            await self.remove(ident, owner)
            return Kept.GONE
        reply = await self._run(
            self._index(ident), scripts.SESSIONS_PUT,
            ident, owner, packed, milliseconds(ttl_seconds), self._most, int(first),
        )  # fmt: skip
        return Kept(as_int(reply))

    async def renew(self, owners: Mapping[str, str], ttl_seconds: float) -> Mapping[str, Kept]:
        """Keep states, many with each call; see SessionStore."""
        by_partition: dict[int, list[str]] = {}
        for ident in owners:
            by_partition.setdefault(self._index(ident), []).append(ident)
        parts = [
            (index, idents[start : start + RENEWED_TOGETHER])
            for index, idents in by_partition.items()
            for start in range(0, len(idents), RENEWED_TOGETHER)
        ]
        found = await asyncio.gather(*(self._renew(index, idents, owners, ttl_seconds) for index, idents in parts))
        return {ident: kept for some in found for ident, kept in some.items() if kept is not Kept.YES}

    async def _renew(
        self, index: int, idents: list[str], owners: Mapping[str, str], ttl_seconds: float
    ) -> dict[str, Kept]:
        words = [word for ident in idents for word in (ident, owners[ident])]
        reply = await self._run(index, scripts.SESSIONS_RENEW, milliseconds(ttl_seconds), *words)
        return {ident: Kept(as_int(kept)) for ident, kept in zip(idents, as_list(reply), strict=True)}

    async def take(self, ident: str) -> SessionState | None:
        """Remove a state in one script; see SessionStore."""
        reply = await self._run(self._index(ident), scripts.SESSIONS_TAKE, ident)
        return None if reply is None else unpack_state(as_bytes(reply))

    async def remove(self, ident: str, owner: str) -> None:
        """Remove a state in one script; see SessionStore."""
        await self._run(self._index(ident), scripts.SESSIONS_REMOVE, ident, owner)

    def _index(self, ident: str) -> int:
        return self._router.keys.partition_at(ident)

    async def _run(self, index: int, script: Script, *arguments: Word) -> Reply:
        names = [self._router.keys.named(index, "sessions", kind) for kind in ("expiry", "states")]
        return await self._router.run(self._router.partitions[index], script, names, *arguments)
