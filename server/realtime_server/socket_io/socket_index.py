"""Connected sockets of one worker, by namespace, room and id."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Iterator, Mapping

import msgspec

from realtime_server.core.channels.hub import Hub
from realtime_server.socket_io.socket_namespace import SocketNamespace
from realtime_server.socket_io.socket_session import SocketSession

ENTRY_BYTES = 16
"""Upper bound of the size of an empty value in a message."""


class SocketSelection(msgspec.Struct, array_like=True, frozen=True):
    """Sockets of a namespace that are in any of the rooms, of all rooms if there are none, and in none of `excluded`.

    The id of a socket is a room of its own, as in the reference.
    """

    namespace: str
    rooms: frozenset[str] = frozenset()
    excluded: frozenset[str] = frozenset()


class SocketEntry(msgspec.Struct, array_like=True, frozen=True):
    """Connected socket, as backends see it. `info`: JSON of its token or the connect hook; `rooms` without its id."""

    client: str
    user: str
    transport: str
    info: bytes | None
    rooms: list[str]

    @property
    def size(self) -> int:
        """Upper bound of its size in bytes, encoded."""
        texts = (self.client, self.user, self.transport, *self.rooms)
        return ENTRY_BYTES + len(self.info or b"") + sum(len(text.encode()) + ENTRY_BYTES for text in texts)


class SocketPage(msgspec.Struct, array_like=True, frozen=True):
    """Sockets in the order of their ids. `total`: number of all; `is_last`: none follow."""

    sockets: list[SocketEntry]
    total: int
    is_last: bool


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

    def page(self, selection: SocketSelection, *, after: str, limit: int, max_bytes: int) -> SocketPage:
        """Return the selected sockets with ids after `after`: at most `limit`, with `max_bytes` unless it is one."""
        selected = self.select(selection)
        following = (session for session in selected if session.client > after)
        found = heapq.nsmallest(limit + 1, following, key=lambda session: session.client)
        entries: list[SocketEntry] = []
        for session in found[:limit]:
            entry = _entry_of(session)
            max_bytes -= entry.size
            if max_bytes < 0 and entries:
                break
            entries.append(entry)
        return SocketPage(entries, len(selected), len(entries) == len(found))

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


def _entry_of(session: SocketSession) -> SocketEntry:
    rooms = [room for name in session.subscriptions if (room := session.namespace.room_of(name)) is not None]
    info = session.client_info().connection_info
    return SocketEntry(session.client, session.user, session.transport_name, info, sorted(rooms))


def _is_in(session: SocketSession, channels: Iterable[str]) -> bool:
    return any(channel in session.subscriptions for channel in channels)
