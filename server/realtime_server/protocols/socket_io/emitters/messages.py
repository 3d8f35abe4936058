"""Parts of messages that the formats of several emitters have in common."""

from __future__ import annotations

from typing import Annotated, TypeVar

import msgspec

from realtime_server.core.model.nesting import MAX_NESTING, check_nesting
from realtime_server.protocols.socket_io.emitters.instruction import RoomName
from realtime_server.protocols.socket_io.errors import EmitterError, Fault
from realtime_server.protocols.socket_io.packets import ROOT

EVENT_TYPES = frozenset({2, 5})
"""Types of a packet with an event; older emitters write the second one for an event with binary data."""
Message = TypeVar("Message")
_MAPS = frozenset(bytes([first]) for first in (*range(0x80, 0x90), 0xDE, 0xDF))


class Options(msgspec.Struct, frozen=True):
    """Targets and flags of an event. PHP writes an empty map of flags as an empty list."""

    rooms: list[RoomName] = []
    excluded: list[RoomName] = msgspec.field(default=[], name="except")
    flags: dict[str, object] | Annotated[list[object], msgspec.Meta(max_length=0)] = {}

    @property
    def volatile(self) -> bool:
        """True for an event that slow sockets may miss."""
        return isinstance(self.flags, dict) and self.flags.get("volatile") is True


class EventPacket(msgspec.Struct, frozen=True):
    """Packet of an event: `data` is its name and its arguments."""

    type: int
    data: list[object]
    nsp: str = ROOT

    def check(self) -> None:
        """Raise EmitterError when the packet is none of an event."""
        if self.type not in EVENT_TYPES:
            raise EmitterError(Fault.UNKNOWN_TYPE, "the type of the packet of an event is 2")


def check_size(payload: bytes, most: int) -> None:
    """Raise EmitterError when a message has more than `most` bytes."""
    if len(payload) > most:
        raise EmitterError(Fault.TOO_LARGE, f"a message has at most {most} bytes")


def decode_json(decoder: msgspec.json.Decoder[Message], payload: bytes) -> Message:
    """Decode JSON. Raises EmitterError."""
    try:
        check_nesting(payload)
        return decoder.decode(payload)
    except (ValueError, RecursionError) as error:
        raise _error(error, Fault.BAD_JSON, "JSON") from error


def decode_msgpack(decoder: msgspec.msgpack.Decoder[Message], payload: bytes) -> Message:
    """Decode MessagePack. Raises EmitterError."""
    try:
        return decoder.decode(payload)
    except (ValueError, RecursionError) as error:
        raise _error(error, Fault.BAD_MSGPACK, "MessagePack") from error


def is_msgpack_map(payload: bytes) -> bool:
    """Return True when MessagePack is a map; JSON never looks like one."""
    return payload[:1] in _MAPS


def _error(error: ValueError | RecursionError, malformed: Fault, what: str) -> EmitterError:
    if isinstance(error, RecursionError):
        return EmitterError(Fault.TOO_DEEP, f"{what} has at most {MAX_NESTING} levels")
    if isinstance(error, UnicodeDecodeError):
        return EmitterError(Fault.BAD_UTF8, f"strings in {what} are UTF-8")
    if isinstance(error, msgspec.ValidationError):
        return EmitterError(Fault.BAD_PAYLOAD, f"{what} has the fields that an emitter writes: {error}")
    return EmitterError(malformed, f"a message is valid {what}")
