"""Entries of @socket.io/redis-streams-emitter, and of servers with @socket.io/redis-streams-adapter.

Source: https://github.com/socketio/socket.io/tree/main/packages/socket.io-redis-streams-emitter, 0.1, and
https://github.com/socketio/socket.io-redis-streams-adapter, 0.3. Fields: `uid`, `nsp`, `type`, and `data` as JSON, or
MessagePack in base64 where it has binary data.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
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
)
from realtime_server.protocols.socket_io.emitters.values import event_of
from realtime_server.protocols.socket_io.errors import EmitterError, Fault


class _Type(IntEnum):
    """Type of an entry."""

    INITIAL_HEARTBEAT = 1
    HEARTBEAT = 2
    BROADCAST = 3
    SOCKETS_JOIN = 4
    SOCKETS_LEAVE = 5
    DISCONNECT_SOCKETS = 6
    FETCH_SOCKETS = 7
    FETCH_SOCKETS_RESPONSE = 8
    SERVER_SIDE_EMIT = 9
    SERVER_SIDE_EMIT_RESPONSE = 10
    BROADCAST_CLIENT_COUNT = 11
    BROADCAST_ACK = 12
    ADAPTER_CLOSE = 13


_TYPES = {b"%d" % one: one for one in _Type}


class _Broadcast(msgspec.Struct, frozen=True):
    packet: EventPacket
    opts: Options = Options()
    request: str | None = msgspec.field(default=None, name="requestId")


class _Sockets(msgspec.Struct, frozen=True):
    opts: Options = Options()
    rooms: list[RoomName] = []
    close: bool = False


_json_broadcast = msgspec.json.Decoder(_Broadcast)
_msgpack_broadcast = msgspec.msgpack.Decoder(_Broadcast)
_json_sockets = msgspec.json.Decoder(_Sockets)


def decode_entry(fields: Mapping[bytes, bytes], max_bytes: int) -> Instruction | None:
    """Decode an entry; None for one of servers among themselves. Raises EmitterError."""
    kind = _TYPES.get(fields.get(b"type", b""))
    if kind is None:
        raise EmitterError(Fault.UNKNOWN_TYPE, "the field `type` is an integer from 1 to 13")
    data = fields.get(b"data", b"")
    check_size(data, max_bytes)
    namespace = _namespace_in(fields)
    if kind is _Type.BROADCAST:
        return _decode_broadcast(namespace, data)
    if kind not in {_Type.SOCKETS_JOIN, _Type.SOCKETS_LEAVE, _Type.DISCONNECT_SOCKETS}:
        return None
    asked = decode_json(_json_sockets, data)
    targets = targets_of(namespace, asked.opts.rooms, asked.opts.excluded)
    if kind is _Type.DISCONNECT_SOCKETS:
        return Disconnect(targets, asked.close)
    return (Join if kind is _Type.SOCKETS_JOIN else Leave)(targets, rooms_of(asked.rooms))


def _namespace_in(fields: Mapping[bytes, bytes]) -> str:
    try:
        return fields[b"nsp"].decode()
    except (KeyError, UnicodeDecodeError) as error:
        raise EmitterError(Fault.BAD_PAYLOAD, "the field `nsp` is a namespace") from error


def _decode_broadcast(namespace: str, data: bytes) -> Emit:
    message = decode_json(_json_broadcast, data) if data.startswith(b"{") else _decode_packed(data)
    if message.request is not None:
        raise EmitterError(Fault.UNSUPPORTED, "an event that asks for acknowledgements is sent by the server API")
    message.packet.check()
    targets = targets_of(namespace, message.opts.rooms, message.opts.excluded)
    return Emit(targets, event_of(message.packet.data), message.opts.volatile)


def _decode_packed(data: bytes) -> _Broadcast:
    try:
        packed = base64.b64decode(data, validate=True)
    except ValueError as error:
        raise EmitterError(Fault.BAD_BASE64, "the field `data` is JSON or base64") from error
    return decode_msgpack(_msgpack_broadcast, packed)
