"""States of this worker's sessions that may come back, kept in the backplane while they are connected and after."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Callable

from realtime_server.core.model.errors import BackplaneError
from realtime_server.core.model.session_state import SessionState
from realtime_server.core.ports.session_store import Kept, SessionStore
from realtime_server.core.tasks import TaskGroup

RECOVERY_SECONDS = 120.0
"""Time within which a session may come back."""
RENEW_SECONDS = RECOVERY_SECONDS / 4


class KeptSession:
    """Session whose state is kept. `on_taken` is called when it goes on elsewhere."""

    __slots__ = ("ident", "is_new", "is_stored", "on_taken", "owner", "state", "writing")

    def __init__(self, ident: str, state: SessionState, on_taken: Callable[[], None]) -> None:
        self.ident = ident
        self.state = state
        self.on_taken = on_taken
        self.owner = secrets.token_hex(8)
        self.is_new = True
        self.is_stored = False
        """True when the store has this state."""
        self.writing: asyncio.Task[None] | None = None


class SessionRecovery:
    """Keeper of the states of this worker's sessions. They are written in the background; a failed write is repeated.

    A server that is killed writes nothing at the end: so a state is written when it changes, and renewed regularly.
    """

    def __init__(self, store: SessionStore, tasks: TaskGroup, *, seconds: float = RECOVERY_SECONDS) -> None:
        self._store = store
        self._tasks = tasks
        self._seconds = seconds
        self._kept: dict[str, KeptSession] = {}

    async def take(self, ident: str, user: str) -> SessionState | None:
        """Return the state of a user's session that went away, once; None when there is none. Raises BackplaneError."""
        state = await self._store.take(ident)
        return state if state is not None and state.user == user else None

    def keep(self, ident: str, state: SessionState, on_taken: Callable[[], None]) -> None:
        """Keep the state of a session from now on, `ident` being its private id."""
        kept = self._kept[ident] = KeptSession(ident, state, on_taken)
        self._write(kept)

    def update(self, ident: str, state: SessionState) -> None:
        """Replace the state of a session that is kept; ignored for others."""
        kept = self._kept.get(ident)
        if kept is not None and kept.state != state:
            kept.state, kept.is_stored = state, False
            self._write(kept)

    async def stored(self, ident: str) -> bool:
        """Wait until the state of a session was written; return False when it could not be, or is not kept.

        A write that has failed before is repeated.
        """
        kept = self._kept.get(ident)
        if kept is not None and not kept.is_stored:
            self._write(kept)
        while kept is not None and kept.writing is not None and not kept.writing.done():
            await asyncio.wait({kept.writing})
        return kept is not None and kept.is_stored

    def release(self, ident: str) -> None:
        """Let the state of a session expire whose connection was lost: it may come back until then."""
        kept = self._kept.pop(ident, None)
        if kept is not None:
            self._tasks.spawn(self._renew_last(kept), "session-state")

    def forget(self, ident: str) -> None:
        """Remove the state of a session that does not come back."""
        kept = self._kept.pop(ident, None)
        if kept is not None:
            self._tasks.spawn(self._remove(kept), "session-state")

    async def renew(self) -> None:
        """Keep all states for longer; call it every RENEW_SECONDS. Raises BackplaneError."""
        kept = dict(self._kept)
        lost = await self._store.renew({ident: one.owner for ident, one in kept.items()}, self._seconds)
        for ident, one in kept.items():
            if self._kept.get(ident) is not one:
                continue
            if lost.get(ident) is Kept.TAKEN and not one.is_new:
                self._give_up(one)
            elif ident in lost or not one.is_stored:
                one.is_stored = False
                self._write(one)

    def _write(self, kept: KeptSession) -> None:
        if kept.writing is None:
            kept.writing = self._tasks.spawn(self._put(kept), "session-state")

    async def _put(self, kept: KeptSession) -> None:
        """Store the state until the store has the newest one, unless the backplane is away."""
        try:
            while not kept.is_stored and self._kept.get(kept.ident) is kept:
                kept.is_stored = True
                if not await self._put_once(kept):
                    return
        except BackplaneError:
            kept.is_stored = False
        finally:
            kept.writing = None

    async def _put_once(self, kept: KeptSession) -> bool:
        """Store the state; return False when the session goes on elsewhere."""
        found = await self._store.put(kept.ident, kept.owner, kept.state, self._seconds, first=kept.is_new)
        kept.is_new = False
        if found is Kept.TAKEN and self._kept.get(kept.ident) is kept:
            self._give_up(kept)
        return found is not Kept.TAKEN

    def _give_up(self, kept: KeptSession) -> None:
        del self._kept[kept.ident]
        kept.on_taken()

    async def _renew_last(self, kept: KeptSession) -> None:
        with contextlib.suppress(BackplaneError):
            if kept.is_stored and kept.writing is None:
                await self._store.renew({kept.ident: kept.owner}, self._seconds)
            else:
                await self._put_once(kept)

    async def _remove(self, kept: KeptSession) -> None:
        with contextlib.suppress(BackplaneError):
            await self._store.remove(kept.ident, kept.owner)
