"""Packets of Socket.IO, protocol 5, in the messages of Engine.IO.

Source: https://github.com/socketio/socket.io-protocol. A text message is the digit of a type; for a packet with
attachments their number and `-`; a namespace other than `/` and a comma; an id for an acknowledgement; JSON. As many
binary messages follow as there are attachments. JSON is validated and passed on as it is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import IntEnum

import msgspec

from realtime_server.core.model.nesting import MAX_NESTING, check_nesting
from realtime_server.protocols.socket_io.attachments import check_placeholders
from realtime_server.protocols.socket_io.errors import Fault, PacketError

MAX_ID = 2**53 - 1
"""Largest integer that every client represents exactly."""
MAX_ATTACHMENTS = 10
"""As in the reference's parser."""
ROOT = "/"
RESERVED_EVENTS = frozenset(
    {"connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"}
)
"""Names that have a meaning of their own in clients and servers; a client breaks off the connection at one."""


class PacketType(IntEnum):
    """Type of a packet. On the wire an event or an acknowledgement with attachments has a digit of its own."""

    CONNECT = 0
    DISCONNECT = 1
    EVENT = 2
    ACK = 3
    CONNECT_ERROR = 4


_WITH_ATTACHMENTS = {PacketType.EVENT: 5, PacketType.ACK: 6}
_TYPES: dict[bytes, tuple[PacketType, bool]] = {
    **{b"%d" % one: (one, False) for one in PacketType},
    **{b"%d" % digit: (one, True) for one, digit in _WITH_ATTACHMENTS.items()},
}
"""Types by their digit, with whether they have attachments."""
_COUNT = re.compile(rb"([0-9]{1,16})-")
_NAMESPACE = re.compile(rb"(/[^,]*)(?:,|\Z)")
_ID = re.compile(rb"[0-9]+")

_FIRST = re.compile(rb'[ \t\n\r]*\[[ \t\n\r]*("[^"\\]*(?:\\.[^"\\]*)*"|[-0-9][^ \t\n\r,\]]*)[ \t\n\r]*[,\]]', re.DOTALL)
"""Pattern of the beginning of a valid array whose first element is a string or a number."""

_items_decoder = msgspec.json.Decoder(list[msgspec.Raw])
_any_decoder = msgspec.json.Decoder(msgspec.Raw)
_string_decoder = msgspec.json.Decoder(str)


class Packet(msgspec.Struct, frozen=True, gc=False):
    """Packet of Socket.IO.

    `id`: that of the acknowledgement which an event asks for, or which this is. `data` is JSON, "" for none: an array
    for an event, which begins with its name, and for an acknowledgement; an object or none for CONNECT, an object or a
    string for CONNECT_ERROR. `name`: that of an event, set by decoding; a number in the form in which it was sent.
    """

    type: PacketType
    namespace: str = ROOT
    id: int | None = None
    data: bytes = b""
    attachments: tuple[bytes, ...] = ()
    name: str = ""

    @property
    def size(self) -> int:
        """Size of its data and its attachments in bytes."""
        return len(self.data) + sum(map(len, self.attachments))

    def items(self) -> list[msgspec.Raw]:
        """Return the elements of the data of an event, its name included, or of an acknowledgement."""
        return _items_decoder.decode(self.data)


@dataclass(frozen=True, slots=True)
class PacketLimits:
    """Limits on a packet; `packet_bytes` counts its text and its attachments together."""

    packet_bytes: int
    attachments: int = MAX_ATTACHMENTS


def encode_packet(packet: Packet) -> bytes:
    """Encode the text message of a packet, which its attachments are to follow."""
    digit = _WITH_ATTACHMENTS[packet.type] if packet.attachments else packet.type
    count = b"%d-" % len(packet.attachments) if packet.attachments else b""
    namespace = b"" if packet.namespace == ROOT else b"%b," % packet.namespace.encode()
    identifier = b"" if packet.id is None else b"%d" % packet.id
    return b"%d%b%b%b%b" % (digit, count, namespace, identifier, packet.data)


class PacketDecoder:
    """Decoder of the packets of one connection, which keeps one packet while its attachments arrive.

    Methods raise PacketError; nothing is kept then.
    """

    __slots__ = ("_attachments", "_count", "_limits", "_packet", "_size")

    def __init__(self, limits: PacketLimits) -> None:
        self._limits = limits
        self._packet: Packet | None = None
        self._count = 0
        self._size = 0
        self._attachments: list[bytes] = []

    @property
    def waits(self) -> bool:
        """True while attachments are to arrive."""
        return self._packet is not None

    def take_text(self, message: bytes) -> Packet | None:
        """Decode a text message; None when attachments are to follow."""
        if self._packet is not None:
            self._reset()
            raise PacketError(Fault.UNEXPECTED_TEXT, "attachments of the packet before are to follow it")
        if len(message) > self._limits.packet_bytes:
            raise self._too_large()
        packet, count = decode_packet(message, self._limits.attachments)
        if not count:
            return packet
        self._packet, self._count, self._size = packet, count, len(message)
        return None

    def take_binary(self, data: bytes) -> Packet | None:
        """Take an attachment; return the packet that it completes."""
        packet = self._packet
        if packet is None:
            raise PacketError(Fault.UNEXPECTED_BINARY, "a packet that announces attachments is to come before them")
        self._size += len(data)
        if self._size > self._limits.packet_bytes:
            self._reset()
            raise self._too_large()
        self._attachments.append(data)
        if len(self._attachments) < self._count:
            return None
        complete = msgspec.structs.replace(packet, attachments=tuple(self._attachments))
        self._reset()
        check_placeholders(complete.data, len(complete.attachments))
        return complete

    def _reset(self) -> None:
        self._packet = None
        self._attachments = []

    def _too_large(self) -> PacketError:
        return PacketError(Fault.TOO_LARGE, f"a packet has at most {self._limits.packet_bytes} bytes")


def decode_packet(message: bytes, max_attachments: int = MAX_ATTACHMENTS) -> tuple[Packet, int]:
    """Decode a text message; return the packet, and the number of attachments that are to follow.

    Raises PacketError.
    """
    if not message:
        raise PacketError(Fault.EMPTY, "a packet begins with the digit of its type")
    found = _TYPES.get(message[:1])
    if found is None:
        raise PacketError(Fault.UNKNOWN_TYPE, "the type of a packet is a digit from 0 to 6")
    kind, attaches = found
    place, count = 1, 0
    if attaches:
        place, count = _read_count(message, max_attachments)
    namespace = ROOT
    if (match := _NAMESPACE.match(message, place)) is not None:
        namespace, place = _decode_text(match[1]), match.end()
    identifier = None
    if (match := _ID.match(message, place)) is not None:
        identifier, place = _checked_id(kind, match[0]), match.end()
    elif kind is PacketType.ACK:
        raise PacketError(Fault.BAD_ID, "an acknowledgement has the id of its event")
    data = message[place:]
    name = _check_data(kind, data)
    return Packet(kind, namespace, identifier, data, name=name), count


def _read_count(message: bytes, most: int) -> tuple[int, int]:
    """Return where the number of attachments ends, and the number."""
    match = _COUNT.match(message, 1)
    if match is None or int(match[1]) < 1:
        raise PacketError(Fault.BAD_ATTACHMENT_COUNT, "the number of attachments, from 1 on, and `-` follow the type")
    if int(match[1]) > most:
        raise PacketError(Fault.TOO_MANY_ATTACHMENTS, f"a packet has at most {most} attachments")
    return match.end(), int(match[1])


def _checked_id(kind: PacketType, digits: bytes) -> int:
    if kind not in _WITH_ATTACHMENTS:
        raise PacketError(Fault.BAD_ID, "only an event and an acknowledgement have an id")
    if len(digits) > len(str(MAX_ID)) or int(digits) > MAX_ID or (digits[0] == ord("0") and digits != b"0"):
        raise PacketError(Fault.BAD_ID, f"an id is an integer from 0 to {MAX_ID}, without leading zeros")
    return int(digits)


def _check_data(kind: PacketType, data: bytes) -> str:
    """Check the data of a packet, and return the name of an event."""
    if not data:
        if kind in {PacketType.CONNECT, PacketType.DISCONNECT}:
            return ""
        raise PacketError(Fault.BAD_PAYLOAD, f"{kind.name} has data")
    if kind is PacketType.DISCONNECT:
        raise PacketError(Fault.BAD_PAYLOAD, "DISCONNECT has no data")
    first = data[:1]
    if kind is PacketType.CONNECT or kind is PacketType.CONNECT_ERROR:
        if first != b"{" and (kind is PacketType.CONNECT or first != b'"'):
            wanted = "an object" if kind is PacketType.CONNECT else "an object or a string"
            raise PacketError(Fault.BAD_PAYLOAD, f"the data of {kind.name} is {wanted}")
    elif first != b"[":
        raise PacketError(Fault.BAD_PAYLOAD, f"the data of {kind.name} is an array")
    _check_json(data)
    return _name_in(data) if kind is PacketType.EVENT else ""


def _check_json(data: bytes) -> None:
    _decode_text(data)  # the JSON decoder does not validate the strings of raw data
    try:
        check_nesting(data)
        _any_decoder.decode(data)
    except RecursionError as error:
        raise PacketError(Fault.TOO_DEEP, f"JSON has at most {MAX_NESTING} levels") from error
    except ValueError as error:
        raise PacketError(Fault.BAD_JSON, "the data of a packet is JSON") from error


def _name_in(data: bytes) -> str:
    """Return the name of an event, the first element of valid JSON; the others are not decoded."""
    match = _FIRST.match(data)
    if match is None:
        raise PacketError(Fault.BAD_PAYLOAD, "the name of an event, a string or a number, comes first")
    if not match[1].startswith(b'"'):
        return match[1].decode()
    try:
        name = _string_decoder.decode(match[1])
    except ValueError as error:
        raise PacketError(Fault.BAD_JSON, "the name of an event has no half of a surrogate pair") from error
    if name in RESERVED_EVENTS:
        raise PacketError(Fault.RESERVED_EVENT, f"the name of an event is not one of {sorted(RESERVED_EVENTS)}")
    return name


def is_event(document: bytes) -> bool:
    """Return True when JSON is an array that begins with a string which may be the name of an event."""
    match = _FIRST.match(document)
    if match is None or not match[1].startswith(b'"'):
        return False
    try:
        return _string_decoder.decode(match[1]) not in RESERVED_EVENTS
    except ValueError:
        return False


def _decode_text(text: bytes) -> str:
    try:
        return text.decode()
    except UnicodeDecodeError as error:
        raise PacketError(Fault.BAD_UTF8, "text is UTF-8") from error
