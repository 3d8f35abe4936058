"""Requests about sockets from any worker, which each worker handles for its own: messages and their handler."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from realtime_server.codes import DisconnectCode
from realtime_server.core.model.errors import BackplaneError
from realtime_server.core.node import Node
from realtime_server.socket_io.ack_collection import CollectedAcks
from realtime_server.socket_io.emissions import Emission, Emissions, TooManySocketsError
from realtime_server.socket_io.room_operations import Joined, RoomOperations
from realtime_server.socket_io.socket_index import SocketIndex, SocketSelection

NAME = "socket.io"
"""Name under which all workers listen and answer."""


class Disconnect(msgspec.Struct, array_like=True, frozen=True, tag="disconnect"):
    """Notice to disconnect sockets; `whole`: with the others of their connections."""

    sockets: SocketSelection
    code: int
    reason: str
    whole: bool


class Emit(msgspec.Struct, array_like=True, frozen=True, tag="emit"):
    """Notice to send an emission."""

    emission: Emission


class Collect(msgspec.Struct, array_like=True, frozen=True, tag="collect"):
    """Request to send an emission and collect acknowledgements, answered with CollectedAcks, None for too many."""

    emission: Emission
    seconds: float
    max_bytes: int


class Join(msgspec.Struct, array_like=True, frozen=True, tag="join"):
    """Request to have sockets join rooms, answered with Joined, None when it may not be done for all."""

    sockets: SocketSelection
    rooms: list[str]


class Leave(msgspec.Struct, array_like=True, frozen=True, tag="leave"):
    """Request to have sockets leave rooms, answered with their number, None when it may not be done for all."""

    sockets: SocketSelection
    rooms: list[str]


class ListSockets(msgspec.Struct, array_like=True, frozen=True, tag="list"):
    """Request for the sockets with ids after `after`, answered with a SocketPage."""

    sockets: SocketSelection
    after: str
    limit: int
    max_bytes: int


SocketNotice: TypeAlias = Emit | Disconnect
SocketRequest: TypeAlias = Collect | Join | Leave | ListSockets

ACK_BYTES = 64
"""Upper bound of the size of an acknowledgement in an answer besides its data."""

_encoder = msgspec.msgpack.Encoder()
_notice_decoder: msgspec.msgpack.Decoder[SocketNotice] = msgspec.msgpack.Decoder(SocketNotice)
_request_decoder: msgspec.msgpack.Decoder[SocketRequest] = msgspec.msgpack.Decoder(SocketRequest)


def encode(message: SocketNotice | SocketRequest) -> bytes:
    """Encode a message."""
    return _encoder.encode(message)


class SocketRequestHandler:
    """Handler of these messages for the sockets of one worker. Answers have at most `answer_bytes`."""

    def __init__(self, sockets: SocketIndex, emissions: Emissions, rooms: RoomOperations, *, answer_bytes: int) -> None:
        self._sockets = sockets
        self._emissions = emissions
        self._rooms = rooms
        self._max_acks = answer_bytes // 2 // ACK_BYTES

    def serve(self, node: Node) -> None:
        """Handle what workers send to this one from now on."""
        node.control.listen(NAME, self.take)
        node.asks.serve(NAME, self.answer)

    def take(self, message: bytes) -> None:
        """Handle a notice; one of another release is ignored."""
        try:
            notice = _notice_decoder.decode(message)
        except msgspec.DecodeError:
            return
        if isinstance(notice, Emit):
            self._emissions.deliver(notice.emission)
        else:
            self._rooms.disconnect(notice.sockets, DisconnectCode(notice.code, notice.reason), whole=notice.whole)

    async def answer(self, message: bytes) -> bytes:
        """Answer a request. Raises msgspec.DecodeError for one of another release."""
        request = _request_decoder.decode(message)
        match request:
            case Collect():
                return _encoder.encode(await self._collect(request))
            case Join() | Leave():
                return _encoder.encode(await self._move(request))
            case ListSockets():
                page = self._sockets.page(
                    request.sockets, after=request.after, limit=request.limit, max_bytes=request.max_bytes
                )
                return _encoder.encode(page)

    async def _move(self, request: Join | Leave) -> Joined | int | None:
        try:
            if isinstance(request, Join):
                return await self._rooms.join(request.sockets, request.rooms)
            return await self._rooms.leave(request.sockets, request.rooms)
        except BackplaneError:
            return None

    async def _collect(self, request: Collect) -> CollectedAcks | None:
        try:
            return await self._emissions.collect(
                request.emission, seconds=request.seconds, sockets=self._max_acks, max_bytes=request.max_bytes
            )
        except TooManySocketsError:
            return None
