"""Namespace of Socket.IO: which channels its rooms are, and which events of clients are for the server itself."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from realtime_server.core.model.namespaces import DEFAULT, namespace_of
from realtime_server.protocols.socket_io.namespace_codec import NamespaceCodec

_SOCKET_ID = re.compile(r"io-[0-9a-f]{32}")


def socket_id(client: str) -> str:
    """Return the id of the socket that a session with this id is: of a form that no other name has by chance."""
    return f"io-{client}"


def is_socket_id(room: str) -> bool:
    """Return True for a room that is one socket, or would be if there was one with this id."""
    return _SOCKET_ID.fullmatch(room) is not None


class ClientEvent(StrEnum):
    """Event that the server answers itself; all others go to the backend."""

    SUBSCRIBE = "subscribe"
    UNSUBSCRIBE = "unsubscribe"
    PUBLISH = "publish"
    HISTORY = "history"
    PRESENCE = "presence"


@dataclass(frozen=True, slots=True)
class SocketNamespace:
    """Namespace of Socket.IO, `name` with its slash.

    Its rooms are the channels of `channel_namespace`; without one ("") the name of a room is that of its channel.
    `recovers`: sockets may come back to their rooms, because `channel_namespace` is ordered; its codec has it too.
    """

    name: str
    codec: NamespaceCodec
    channel_namespace: str = ""
    client_events: frozenset[ClientEvent] = frozenset(ClientEvent)
    recovers: bool = False

    def orders(self, channel: str) -> bool:
        """Return True for a channel whose publications are in the order from which sockets recover."""
        return self.recovers and (namespace_of(channel) or DEFAULT) == self.channel_namespace

    def channel_of(self, room: str) -> str:
        """Return the channel of a room."""
        return f"{self._prefix}{room}"

    def room_of(self, channel: str) -> str | None:
        """Return the room that a channel is; None for a channel of another namespace."""
        return channel.removeprefix(self._prefix) if channel.startswith(self._prefix) else None

    @property
    def _prefix(self) -> str:
        return "" if self.channel_namespace in {"", DEFAULT} else f"{self.channel_namespace}:"
