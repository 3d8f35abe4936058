"""Varints, Protobuf's encoding of numbers, and messages delimited by their length as a varint."""

from __future__ import annotations

MAX_VARINT_BYTES = 10
"""Maximum length of a varint: a number of 64 bits takes no more."""


def encode_varint(value: int) -> bytes:
    """Encode a non-negative number: 7 bits per byte, the lowest first; the high bit of a byte announces another."""
    if value < 0x80:
        return bytes((value,))
    parts = bytearray()
    while value >= 0x80:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    parts.append(value)
    return bytes(parts)


def delimited(message: bytes) -> bytes:
    """Return the message prefixed with its length."""
    return encode_varint(len(message)) + message


def split_delimited(data: bytes) -> list[bytes]:
    """Split `data` into its length-delimited messages. Raises ValueError when one is cut off."""
    messages: list[bytes] = []
    at, end = 0, len(data)
    while at < end:
        length = data[at]
        at += 1
        if length >= 0x80:
            length, at = _longer(data, at, length & 0x7F)
        if length > end - at:
            raise ValueError("a message is cut off")
        messages.append(data[at : at + length])
        at += length
    return messages


def _longer(data: bytes, at: int, value: int) -> tuple[int, int]:
    """Read the rest of a number whose first 7 bits are `value`; return it and the position after it."""
    for place in range(1, MAX_VARINT_BYTES):
        if at >= len(data):
            break
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return value, at
    raise ValueError("a length is cut off")
