"""Sockets that come back: on any server they go on with their id, their rooms, and the events that they missed.

All of that or nothing: a client that is told that it has recovered does not ask for its rooms again.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import TypeAlias

from realtime_server import codes
from realtime_server.core.channels.join import Wanted
from realtime_server.core.limits.limit import NodeLimits
from realtime_server.core.model.errors import CommandError
from realtime_server.core.model.grant import Grant
from realtime_server.core.model.session_state import SessionState
from realtime_server.core.model.values import SequencePosition
from realtime_server.core.node import Operations
from realtime_server.core.operations.ordered_joins import Absence, OrderedJoins
from realtime_server.core.operations.session_recovery import SessionRecovery
from realtime_server.protocols.socket_io.positions import Returning
from realtime_server.socket_io.kept_rooms import KeptRooms
from realtime_server.socket_io.socket_session import SocketSession

Granted: TypeAlias = Mapping[str, tuple[Wanted, Grant]]
"""Rooms that a client has by its claims."""


class ReturningSockets:
    """Joiner of the rooms of new sockets in namespaces that recover."""

    def __init__(self, operations: Operations, recovery: SessionRecovery, limits: NodeLimits) -> None:
        self._operations = operations
        self._recovery = recovery
        self._most = limits.channels_per_connection

    async def join(self, session: SocketSession, asked: Returning | None, granted: Granted) -> OrderedJoins:
        """Prepare the rooms of a client that was admitted, those from before if it recovers, and set `kept`.

        `asked`: what its CONNECT asks for. Raises CommandError, DisconnectRequestedError or BackplaneError.
        """
        joins, pid = None, secrets.token_hex(16)
        if asked is not None:
            state = await self._recovery.take(asked.pid, session.user)
            if state is not None and _is_whole(state, session):
                joins = await self._rejoin(session, state, asked.since, granted)
        if asked is not None and joins is not None:
            pid = asked.pid
        if joins is None:
            joins = await self._operations.ordered.join(session, granted, own=granted)
        state = SessionState(session.client, session.user, {}, _data_of(session))
        session.prepare_state(KeptRooms(self._recovery, pid, state, joins.begun))
        return joins

    async def _rejoin(
        self, session: SocketSession, state: SessionState, since: SequencePosition, granted: Granted
    ) -> OrderedJoins | None:
        """Prepare the rooms of a state, and its id; None, and neither, when a room or an event cannot be had again."""
        entry, new_client = self._operations.entry, session.client
        try:
            wanted = await self._wanted(session, state, granted)
            entry.rename(session, state.client)
            absence = Absence(since, state.channels)
            joins = await self._operations.ordered.join(session, wanted, own=granted, absence=absence)
        except CommandError:
            entry.rename(session, new_client)
            return None
        if joins.recovered and state.channels.keys() <= joins.begun.keys():
            return joins
        joins.abandon()
        entry.rename(session, new_client)
        return None

    async def _wanted(self, session: SocketSession, state: SessionState, granted: Granted) -> Granted:
        """Return the rooms by claims, and those of a state as if the client asked for them. Raises CommandError."""
        wanted = dict(granted)
        for channel in state.channels:
            if channel not in wanted:
                grant = await self._operations.subscriptions.grant(session, channel, data=b"", token="")
                wanted[channel] = Wanted(), grant
        if len(wanted) > self._most:
            raise CommandError(codes.LIMIT_EXCEEDED)
        return wanted


def _is_whole(state: SessionState, session: SocketSession) -> bool:
    """Return True when a state is of the same namespace, and the positions of all its rooms can be compared."""
    return state.data == _data_of(session) and all(
        begun.epoch and session.namespace.orders(channel) for channel, begun in state.channels.items()
    )


def _data_of(session: SocketSession) -> bytes:
    return session.namespace.name.encode()
