"""Packets of Engine.IO, protocol 4: in the frames of a WebSocket, and in the bodies of long polling.

Source: https://github.com/socketio/engine.io-protocol. A text packet is a digit, its type, and data. A binary packet is
always a message: a binary frame has its bytes alone; a body has them in base64 after the letter b, and separates
packets by the character U+001E.
"""

from __future__ import annotations

import binascii
from collections.abc import Iterable, Iterator
from enum import IntEnum
from typing import NamedTuple

import msgspec

from realtime_server.protocols.socket_io.errors import EngineError, Fault

PROTOCOL = "4"
"""Value of the parameter EIO."""
SEPARATOR = b"\x1e"
_BINARY = ord("b")
_LINE_BREAKS = b"\r\n"
"""Characters without meaning in base64: engine.io-client-java 2.1.0 ends each line of 76 with one (RFC 2045)."""


class EngineType(IntEnum):
    """Type of a packet."""

    OPEN = 0
    CLOSE = 1
    PING = 2
    PONG = 3
    MESSAGE = 4
    UPGRADE = 5
    NOOP = 6


_TYPES = {ord(str(int(one))): one for one in EngineType}


class EnginePacket(NamedTuple):
    """Packet of Engine.IO; `data` is UTF-8 unless `binary`, which only a message can be."""

    type: EngineType
    data: bytes = b""
    binary: bool = False


class Opened(msgspec.Struct, frozen=True, rename="camel"):
    """Data of the packet with which a session opens; times in milliseconds, `max_payload` in bytes."""

    sid: str
    upgrades: tuple[str, ...]
    ping_interval: int
    ping_timeout: int
    max_payload: int

    def packet(self) -> EnginePacket:
        """Return the packet."""
        return EnginePacket(EngineType.OPEN, msgspec.json.encode(self))


def encode_text(packet: EnginePacket) -> bytes:
    """Encode a packet that is not binary as the payload of a text frame."""
    return b"%d%b" % (packet.type, packet.data)


def decode_text(message: bytes) -> EnginePacket:
    """Decode the payload of a text frame; its data is not validated. Raises EngineError."""
    if not message:
        raise EngineError(Fault.EMPTY, "a packet begins with the digit of its type")
    kind = _TYPES.get(message[0])
    if kind is None:
        raise EngineError(Fault.UNKNOWN_TYPE, "the type of a packet is a digit from 0 to 6")
    return EnginePacket(kind, message[1:])


def decode_binary(message: bytes) -> EnginePacket:
    """Decode the payload of a binary frame. Never raises."""
    return EnginePacket(EngineType.MESSAGE, message, binary=True)


def encode_polled(packet: EnginePacket) -> bytes:
    """Encode a packet as a part of a body."""
    if packet.binary:
        return b"b" + binascii.b2a_base64(packet.data, newline=False)
    return encode_text(packet)


def encode_payload(packets: Iterable[EnginePacket]) -> bytes:
    """Encode a body, of at least one packet."""
    return SEPARATOR.join(map(encode_polled, packets))


def decode_payload(body: bytes, max_payload: int) -> Iterator[EnginePacket]:
    """Yield the packets of a body of at most `max_payload` bytes.

    Raises EngineError where the iteration arrives at what is wrong: the packets before that count, as in the reference.
    One packet at a time is decoded, so that a body of many small packets takes no more memory than one large packet.
    """
    if len(body) > max_payload:
        raise EngineError(Fault.TOO_LARGE, f"a body has at most {max_payload} bytes")
    begin = 0
    while begin <= len(body):
        end = body.find(SEPARATOR, begin)
        end = len(body) if end < 0 else end
        yield _decode_polled(body[begin:end])
        begin = end + 1


def _decode_polled(part: bytes) -> EnginePacket:
    if not part or part[0] != _BINARY:
        return decode_text(part)
    try:
        return decode_binary(binascii.a2b_base64(part[1:].translate(None, _LINE_BREAKS), strict_mode=True))
    except ValueError as error:
        raise EngineError(Fault.BAD_BASE64, "binary data is in base64, with padding (RFC 4648, section 4)") from error
