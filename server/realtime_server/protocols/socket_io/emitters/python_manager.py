"""Messages of python-socketio's RedisManager and AsyncRedisManager: JSON.

Source: https://github.com/miguelgrinberg/python-socketio, 5.18, `pubsub_manager.py`. Before 5.14 its messages are
pickles. To read one is to run what it says, so that none is ever read.
"""

from __future__ import annotations

import base64
from typing import TypeAlias

import msgspec

from realtime_server.protocols.socket_io.attachments import Value, insert_attachments
from realtime_server.protocols.socket_io.emitters.instruction import (
    Disconnect,
    Emit,
    Instruction,
    Join,
    Leave,
    RoomName,
    Targets,
    rooms_of,
    targets_of,
)
from realtime_server.protocols.socket_io.emitters.messages import check_size, decode_json
from realtime_server.protocols.socket_io.emitters.values import event_of
from realtime_server.protocols.socket_io.errors import EmitterError, Fault

PICKLE = b"\x80"
"""First byte of a pickle of any protocol that this library has written."""
_Names: TypeAlias = RoomName | list[RoomName] | None


class _Message(msgspec.Struct, frozen=True):
    """Message; `binary` is absent before 5.15, and a list of arguments is one argument then."""

    method: str
    namespace: str | None = None
    event: str | int | None = None
    data: object = None
    binary: bool | None = None
    room: _Names = None
    skip_sid: _Names = None
    sid: str | None = None
    callback: object = None


_decoder = msgspec.json.Decoder(_Message)


def decode_message(payload: bytes, max_bytes: int) -> Instruction | None:
    """Decode a message; None for one of servers among themselves. Raises SocketIoError."""
    if payload.startswith(PICKLE):
        raise EmitterError(Fault.PICKLED, "pickles are never read; python-socketio writes JSON from 5.14 on")
    check_size(payload, max_bytes)
    message = decode_json(_decoder, payload)
    rooms = rooms_of(_names(message.room))
    match message.method:
        case "emit":
            return Emit(targets_of(message.namespace, rooms, _names(message.skip_sid)), _event_in(message))
        case "enter_room":
            return Join(_socket_in(message), rooms)
        case "leave_room":
            return Leave(_socket_in(message), rooms)
        case "close_room":
            return Leave(targets_of(message.namespace, rooms), rooms)
        case "disconnect":
            return Disconnect(_socket_in(message))
        case "callback":
            return None
    raise EmitterError(Fault.UNKNOWN_TYPE, "the method of a message is one of python-socketio's")


def _event_in(message: _Message) -> list[Value]:
    if message.event is None:
        raise EmitterError(Fault.BAD_PAYLOAD, "an event has a name")
    if message.callback is not None:
        raise EmitterError(Fault.UNSUPPORTED, "an event that asks for acknowledgements is sent by the server API")
    data = _with_attachments(message.data) if message.binary else message.data
    arguments = data if message.binary is not None and isinstance(data, list) else [data]
    return event_of([message.event, *([] if arguments == [None] else arguments)])


def _with_attachments(data: object) -> Value:
    """Return data with its binary parts: a list of data with placeholders, and of what belongs there, in base64."""
    if not isinstance(data, list) or not data:
        raise EmitterError(Fault.BAD_PAYLOAD, "binary data is a list of a value and its attachments")
    try:
        attachments: list[Value] = [base64.b64decode(one, validate=True) for one in data[1:]]
    except (TypeError, ValueError) as error:
        raise EmitterError(Fault.BAD_BASE64, "an attachment is base64") from error
    return insert_attachments(msgspec.json.encode(data[0]), attachments)


def _socket_in(message: _Message) -> Targets:
    if not message.sid:
        raise EmitterError(Fault.BAD_PAYLOAD, "a message for one socket has its `sid`")
    return targets_of(message.namespace, [message.sid])


def _names(names: _Names) -> list[RoomName]:
    if names is None:
        return []
    return names if isinstance(names, list) else [names]
