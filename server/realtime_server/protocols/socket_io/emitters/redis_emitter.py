"""Messages of @socket.io/redis-emitter, and of the emitters in other languages that write its format.

Source: https://github.com/socketio/socket.io-redis-emitter, 5.1. Events are published in `KEY#NAMESPACE#`, or
`KEY#NAMESPACE#ROOM#` for one room, as MessagePack: [uid, {type, data, nsp}, {rooms, except, flags}]. Other instructions
are JSON in `KEY-request#NAMESPACE#`. Servers of Socket.IO write the same for each other, and more.
"""

from __future__ import annotations

from enum import IntEnum

import msgspec

from realtime_server.protocols.socket_io.emitters.instruction import (
    Disconnect,
    Emit,
    Instruction,
    Join,
    Leave,
    RoomName,
    rooms_of,
    targets_of,
)
from realtime_server.protocols.socket_io.emitters.messages import (
    EventPacket,
    Options,
    check_size,
    decode_json,
    decode_msgpack,
    is_msgpack_map,
)
from realtime_server.protocols.socket_io.emitters.values import event_of
from realtime_server.protocols.socket_io.errors import EmitterError, Fault


class _Type(IntEnum):
    """Type of a request."""

    SOCKETS = 0
    ALL_ROOMS = 1
    REMOTE_JOIN = 2
    REMOTE_LEAVE = 3
    REMOTE_DISCONNECT = 4
    REMOTE_FETCH = 5
    SERVER_SIDE_EMIT = 6
    BROADCAST = 7


class _Request(msgspec.Struct, frozen=True):
    type: _Type
    opts: Options = Options()
    rooms: list[RoomName] = []
    close: bool = False


_broadcast_decoder = msgspec.msgpack.Decoder(tuple[object, EventPacket, Options])
_request_decoder = msgspec.json.Decoder(_Request)


def decode_broadcast(payload: bytes, namespace: str, max_bytes: int) -> Emit | None:
    """Decode a message of a channel for events of a namespace.

    Return None for one that is not for its sockets: of another namespace, as the pattern of the channels may match
    more, or of servers among themselves. Raises EmitterError.
    """
    check_size(payload, max_bytes)
    if is_msgpack_map(payload):
        return None
    _, packet, options = decode_msgpack(_broadcast_decoder, payload)
    if packet.nsp != namespace:
        return None
    packet.check()
    targets = targets_of(namespace, options.rooms, options.excluded)
    return Emit(targets, event_of(packet.data), options.volatile)


def decode_request(payload: bytes, namespace: str, max_bytes: int) -> Instruction | None:
    """Decode a message of the channel for other instructions of a namespace; None for one of servers among themselves.

    Raises EmitterError.
    """
    check_size(payload, max_bytes)
    if is_msgpack_map(payload):  # a server sends an event, and collects acknowledgements
        raise EmitterError(Fault.UNSUPPORTED, "an event that asks for acknowledgements is sent by the server API")
    request = decode_json(_request_decoder, payload)
    targets = targets_of(namespace, request.opts.rooms, request.opts.excluded)
    match request.type:
        case _Type.REMOTE_JOIN:
            return Join(targets, rooms_of(request.rooms))
        case _Type.REMOTE_LEAVE:
            return Leave(targets, rooms_of(request.rooms))
        case _Type.REMOTE_DISCONNECT:
            return Disconnect(targets, request.close)
        case _:
            return None
