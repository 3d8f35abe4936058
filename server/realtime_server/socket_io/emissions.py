"""Emissions: events of backends for sockets of a namespace. They are live, and kept nowhere."""

from __future__ import annotations

import secrets

import msgspec

from realtime_server.protocols.socket_io.attachments import Value, check_placeholders, extract_attachments
from realtime_server.protocols.socket_io.errors import Fault, PacketError
from realtime_server.protocols.socket_io.packets import MAX_ATTACHMENTS, RESERVED_EVENTS, is_event
from realtime_server.socket_io.ack_collection import AckCollection, AckRoom, CollectedAcks
from realtime_server.socket_io.socket_index import SocketIndex, SocketSelection

MAX_AWAITED = 100_000
"""Number of acknowledgements that a worker waits for, of all emissions."""
MAX_ACK_BYTES = 64 << 20
"""Size of the data of the acknowledgements that a worker has collected and not passed on yet."""
LAST_ACK_ID = 2**31 - 1
"""Largest id of an acknowledgement that every client can read."""


class TooManySocketsError(Exception):
    """Refusal of an emission whose acknowledgements would be too many; no socket has got it."""


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
    more attachments than they take, data that is nested too deeply or cannot be JSON, or data beside attachments that
    has the form of an attachment's place, as what a client has sent may have.
    """
    data, attachments = extract_attachments(event)
    if not is_event(data):
        raise PacketError(
            Fault.RESERVED_EVENT, f"the name of an event is a string, and none of {', '.join(sorted(RESERVED_EVENTS))}"
        )
    if len(attachments) > MAX_ATTACHMENTS:
        raise PacketError(Fault.TOO_MANY_ATTACHMENTS, f"an event has at most {MAX_ATTACHMENTS} binary arguments")
    if attachments:
        check_placeholders(data, len(attachments))
    return Emission(sockets, data, attachments, volatile)


class Emissions:
    """Delivery of emissions to the sockets of one worker. `max_bytes`: size of an emission, which outboxes can take."""

    def __init__(self, sockets: SocketIndex, *, max_bytes: int) -> None:
        self._sockets = sockets
        self.max_bytes = max_bytes
        self._ack_room = AckRoom(MAX_ACK_BYTES)
        self._awaited = 0
        self._number = secrets.randbelow(LAST_ACK_ID)
        """Id of the last acknowledgement; it begins anywhere, as a client may have moved here with older ones."""

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

    async def collect(self, emission: Emission, *, seconds: float, sockets: int, max_bytes: int) -> CollectedAcks:
        """Send an emission as `deliver` does, and return the acknowledgements that come within so many seconds.

        `sockets`, `max_bytes`: most sockets that are asked, and size of the data that they may answer together. Raises
        TooManySocketsError. A socket that ends meanwhile is not waited for.
        """
        namespace = self._sockets.namespace(emission.sockets.namespace)
        if namespace is None or emission.size > self.max_bytes:
            return CollectedAcks([], [])
        selected = self._sockets.select(emission.sockets)
        if len(selected) > min(sockets, MAX_AWAITED - self._awaited):
            raise TooManySocketsError
        number = self._number = (self._number + 1) & LAST_ACK_ID
        collection = AckCollection([session.client for session in selected], self._ack_room, max_bytes=max_bytes)
        frames = namespace.codec.emission(emission.data, emission.attachments, number)
        self._awaited += len(selected)
        for session in selected:
            session.await_ack(number, collection)
            session.connection.write(frames)
        try:
            return await collection.wait(seconds)
        finally:
            self._awaited -= len(selected)
            for session in selected:
                session.drop_ack(number)
