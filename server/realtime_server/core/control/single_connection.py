"""Limit of one connection per user, the newest, in a personal channel's namespace with `single_connection`."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable

from realtime_server import codes
from realtime_server.core.channels.hub import Hub
from realtime_server.core.control.messages import KeepNewest
from realtime_server.core.model.errors import BackplaneError
from realtime_server.core.model.namespaces import Namespaces
from realtime_server.core.sessions.registry import Registry
from realtime_server.core.sessions.session import Session
from realtime_server.core.tasks import TaskGroup


class SingleConnection:
    """Closer of a user's earlier connections after a new one. `send` sends a message to all workers.

    A connection that is not alone in the presence of its personal channel announces its time of admission to all
    workers. Older connections of its user are closed with CONNECTION_LIMIT, and a newer one answers with its own time:
    of several that connect at once exactly one is left, the last one by the servers' clocks.
    """

    def __init__(
        self,
        namespaces: Namespaces,
        hub: Hub,
        registry: Registry,
        tasks: TaskGroup,
        *,
        send: Callable[[KeepNewest], Awaitable[None]],
    ) -> None:
        self._namespaces = namespaces
        self._hub = hub
        self._registry = registry
        self._tasks = tasks
        self._send = send

    def on_connected(self, session: Session) -> None:
        """Start a background search for other connections of a session's user, once it has its channels."""
        channel = self._namespaces.single_connection_channel(session.user)
        if channel is not None and not session.closed:
            self._tasks.spawn(self._find_others(session, channel), "single-connection")

    async def _find_others(self, session: Session, channel: str) -> None:
        try:
            stats = await self._hub.presence_stats(channel)
            if stats.clients > 1:
                await self._send(_message_of(session))
        except BackplaneError:
            session.disconnect(codes.SERVER_ERROR)  # unknown others; the client reconnects, and is checked again

    def take(self, request: KeepNewest) -> None:
        """Close this worker's older connections of the user, and answer on behalf of a newer one."""
        for session in self._registry.of_user(request.user):
            if (session.admitted_at, session.client) < (request.admitted_at, request.client):
                session.disconnect(codes.CONNECTION_LIMIT)
            elif session.client != request.client:
                self._tasks.spawn(self._answer(session), "single-connection")

    async def _answer(self, session: Session) -> None:
        with contextlib.suppress(BackplaneError):
            await self._send(_message_of(session))


def _message_of(session: Session) -> KeepNewest:
    return KeepNewest(session.user, session.client, session.admitted_at)
