"""Connected sockets of one worker, by namespace, room and id."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping

import msgspec

from realtime_server.core.channels.hub import Hub
from realtime_server.socket_io.socket_namespace import SocketNamespace
from realtime_server.socket_io.socket_session import SocketSession


class SocketSelection(msgspec.Struct, array_like=True, frozen=True):
    """Sockets of a namespace that are in any of the rooms, of all rooms if there are none, and in none of `excluded`.

    The id of a socket is a room of its own, as in the reference.
    """

    namespace: str
    rooms: frozenset[str] = frozenset()
    excluded: frozenset[str] = frozenset()


class SocketIndex:
    """Index of the sockets that are connected: from the answer to CONNECT to their end."""

    def __init__(self, namespaces: Mapping[str, SocketNamespace], hub: Hub) -> None:
        self._namespaces = namespaces
        self._hub = hub
        self._sockets: dict[str, dict[str, SocketSession]] = {name: {} for name in namespaces}

    def namespace(self, name: str) -> SocketNamespace | None:
        """Return a namespace, None for one that is not served."""
        return self._namespaces.get(name)

    def add(self, session: SocketSession) -> None:
        """Add a socket that is connected; the newest has its id."""
        self._sockets[session.namespace.name][session.client] = session

    def remove(self, session: SocketSession) -> None:
        """Remove a socket. Idempotent."""
        sockets = self._sockets[session.namespace.name]
        if sockets.get(session.client) is session:
            del sockets[session.client]

    def select(self, selection: SocketSelection) -> list[SocketSession]:
        """Return the selected sockets, each once; none of a namespace that is not served."""
        namespace = self._namespaces.get(selection.namespace)
        if namespace is None:
            return []
        sockets = self._sockets[namespace.name]
        found = self._in_rooms(namespace, selection.rooms) if selection.rooms else sockets.values()
        excluded = selection.excluded
        if not excluded:
            return [*found]
        channels = [namespace.channel_of(room) for room in excluded]
        return [session for session in found if session.client not in excluded and not _is_in(session, channels)]

    def _in_rooms(self, namespace: SocketNamespace, rooms: Iterable[str]) -> Collection[SocketSession]:
        sockets = self._sockets[namespace.name]
        found: dict[SocketSession, None] = {}
        for room in rooms:
            if (own := sockets.get(room)) is not None:
                found[own] = None
            for session in self._in_channel(namespace, namespace.channel_of(room)):
                found[session] = None
        return found

    def _in_channel(self, namespace: SocketNamespace, name: str) -> Iterator[SocketSession]:
        """Return the sockets of a namespace that are subscribed to a channel, which other clients may share."""
        channel = self._hub.channels.get(name)
        for receiver in () if channel is None else channel.subscribers():
            if isinstance(receiver, SocketSession) and receiver.namespace is namespace:
                yield receiver


def _is_in(session: SocketSession, channels: Iterable[str]) -> bool:
    return any(channel in session.subscriptions for channel in channels)
