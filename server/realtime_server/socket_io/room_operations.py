"""Operations of backends on the sockets of one worker: they join and leave rooms, and are disconnected."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

import msgspec

from realtime_server import codes
from realtime_server.codes import DisconnectCode
from realtime_server.core.model.errors import BackplaneError
from realtime_server.core.model.grant import PLAIN
from realtime_server.core.node import Operations
from realtime_server.socket_io.socket_index import SocketIndex, SocketSelection
from realtime_server.socket_io.socket_session import SocketSession

JOINS_AT_ONCE = 256
"""Number of concurrent subscriptions of one call."""


class Joined(msgspec.Struct, array_like=True, frozen=True):
    """Number of sockets that were to join rooms, and of those that had no room for all: they are in the others."""

    sockets: int
    full: int = 0


class RoomOperations:
    """Operations on the selected sockets. Each returns their number."""

    def __init__(self, sockets: SocketIndex, operations: Operations) -> None:
        self._sockets = sockets
        self._operations = operations

    async def join(self, selection: SocketSelection, rooms: Collection[str]) -> Joined:
        """Have sockets join rooms, whatever their permissions; return when they are in, and would recover with them.

        A room whose channel namespace does not exist is ignored. Raises BackplaneError, after which some sockets may be
        in some of the rooms.
        """
        selected = self._sockets.select(selection)
        left = [(session, session.namespace.channel_of(room)) for session in selected for room in rooms]
        full: set[SocketSession] = set()
        for start in range(0, len(left), JOINS_AT_ONCE):
            some = left[start : start + JOINS_AT_ONCE]
            done = await asyncio.gather(*(self._join(*each) for each in some))
            full.update(session for (session, _), is_in in zip(some, done, strict=True) if not is_in)
        await self._store(selected)
        return Joined(len(selected), len(full))

    async def _join(self, session: SocketSession, channel: str) -> bool:
        return await self._operations.subscriptions.subscribe_server_side(session, channel, PLAIN, None)

    async def leave(self, selection: SocketSelection, rooms: Collection[str]) -> int:
        """Have sockets leave rooms; return when they would not recover with them. Raises BackplaneError."""
        selected = self._sockets.select(selection)
        for session in selected:
            for room in rooms:
                session.revoke(session.namespace.channel_of(room))
        await self._store(selected)
        return len(selected)

    def disconnect(
        self, selection: SocketSelection, code: DisconnectCode = codes.FORCE_DISCONNECT, *, whole: bool = False
    ) -> int:
        """Disconnect sockets, for good if the code is final; `whole`: with the others of their connections."""
        selected = self._sockets.select(selection)
        for session in selected:
            if whole:
                session.disconnect_all(code)
            else:
                session.disconnect(code)
        return len(selected)

    async def _store(self, selected: Collection[SocketSession]) -> None:
        """Wait until the rooms of sockets that recover are stored. Raises BackplaneError."""
        if self._operations.immediate:
            return
        for session in selected:
            if session.kept is not None and not await session.kept.stored() and not session.closed:
                raise BackplaneError("the rooms of a socket could not be stored")
