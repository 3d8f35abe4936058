"""Emissions: events of backends for sockets of a namespace. They are live, and kept nowhere."""

from __future__ import annotations

import msgspec

from realtime_server.protocols.socket_io.attachments import Value, extract_attachments
from realtime_server.protocols.socket_io.errors import Fault, PacketError
from realtime_server.protocols.socket_io.packets import MAX_ATTACHMENTS, is_event
from realtime_server.socket_io.socket_index import SocketIndex, SocketSelection


class Emission(msgspec.Struct, array_like=True, frozen=True):
    """Event for the selected sockets.

    `data` is the JSON array of its name and its arguments, with the places of the attachments. `volatile`: sockets that
    read too slowly are left out. Make one by `emission_of`, which checks it.
    """

    sockets: SocketSelection
    data: bytes
    attachments: tuple[bytes, ...] = ()
    volatile: bool = False

    @property
    def size(self) -> int:
        """Size in bytes."""
        return len(self.data) + sum(map(len, self.attachments))


def emission_of(sockets: SocketSelection, event: list[Value], *, volatile: bool = False) -> Emission:
    """Make an emission of an event's name and arguments, in which bytes become attachments.

    Raises PacketError for what clients would break off the connection at: a name that is no string or is reserved,
    more attachments than they take, data that is nested too deeply or cannot be JSON.
    """
    data, attachments = extract_attachments(event)
    if not is_event(data):
        raise PacketError(Fault.RESERVED_EVENT, "the name of an event, a string that is not reserved, comes first")
    if len(attachments) > MAX_ATTACHMENTS:
        raise PacketError(Fault.TOO_MANY_ATTACHMENTS, f"an event has at most {MAX_ATTACHMENTS} binary arguments")
    return Emission(sockets, data, attachments, volatile)


class Emissions:
    """Delivery of emissions to the sockets of one worker. `max_bytes`: size of an emission, which outboxes can take."""

    def __init__(self, sockets: SocketIndex, *, max_bytes: int) -> None:
        self._sockets = sockets
        self.max_bytes = max_bytes

    def deliver(self, emission: Emission) -> int:
        """Send an emission to the selected sockets, encoded once; return their number. Never raises.

        In a namespace that recovers it has no position, so that the last argument is null. One above `max_bytes` is
        dropped.
        """
        namespace = self._sockets.namespace(emission.sockets.namespace)
        if namespace is None or emission.size > self.max_bytes:
            return 0
        selected = self._sockets.select(emission.sockets)
        if emission.volatile:
            selected = [session for session in selected if not session.lags()]
        if selected:
            frames = namespace.codec.emission(emission.data, emission.attachments)
            for session in selected:
                session.connection.write(frames)
        return len(selected)
