"""State of one socket that may come back: its rooms, and where each began, kept in the backplane."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from realtime_server.core.model.session_state import SessionState
from realtime_server.core.model.values import StreamPosition
from realtime_server.core.operations.session_recovery import SessionRecovery

UNKNOWN = StreamPosition(0, "")
"""Beginning of a subscription that cannot be recovered."""


class KeptRooms:
    """Rooms of a socket with a private id."""

    __slots__ = ("_begun", "_is_kept", "_recovery", "_state", "pid")

    def __init__(
        self,
        recovery: SessionRecovery,
        pid: str,
        state: SessionState,
        begun: Mapping[str, StreamPosition],
    ) -> None:
        self.pid = pid
        self._recovery = recovery
        self._state = state
        """State without rooms."""
        self._begun = dict(begun)
        self._is_kept = False

    def keep(self, on_taken: Callable[[], None]) -> None:
        """Keep the state from now on; `on_taken` is called when the socket goes on elsewhere."""
        self._is_kept = True
        self._recovery.keep(self.pid, self._now(), on_taken)

    def note_position(self, channel: str, position: StreamPosition) -> None:
        """Record where the subscription to a channel will begin."""
        self._begun[channel] = position

    def enter(self, channel: str) -> None:
        """Handle a subscription that has begun."""
        self._begun.setdefault(channel, UNKNOWN)
        self._update()

    def leave(self, channel: str) -> None:
        """Handle a subscription that has ended."""
        if self._begun.pop(channel, None) is not None:
            self._update()

    async def stored(self) -> bool:
        """Wait until another server would find the rooms of now; return False when it would not."""
        return await self._recovery.stored(self.pid)

    def release(self) -> None:
        """Handle the loss of the connection: the socket may come back. Idempotent."""
        if self._is_kept:
            self._is_kept = False
            self._recovery.release(self.pid)

    def forget(self) -> None:
        """Handle the end of the socket. Idempotent."""
        if self._is_kept:
            self._is_kept = False
            self._recovery.forget(self.pid)

    def _update(self) -> None:
        if self._is_kept:
            self._recovery.update(self.pid, self._now())

    def _now(self) -> SessionState:
        return SessionState(self._state.client, self._state.user, dict(self._begun), self._state.data)
