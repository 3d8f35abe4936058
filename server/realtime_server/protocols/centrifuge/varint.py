"""Varints (Protobuf's encoding of numbers), and messages that stand after their length in one."""

from __future__ import annotations

MAX_VARINT_BYTES = 10
"""A number of 64 bits takes no more."""


def encode_varint(value: int) -> bytes:
    """A number from 0 on: 7 bits in each byte, the lowest first; the highest bit says that more follow."""
    if value < 0x80:
        return bytes((value,))
    parts = bytearray()
    while value >= 0x80:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    parts.append(value)
    return bytes(parts)


def delimited(message: bytes) -> bytes:
    """A message with its length before it."""
    return encode_varint(len(message)) + message


def split_delimited(data: bytes) -> list[bytes]:
    """The messages of which `data` consists, each after its length. Raises ValueError if it does not."""
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
    """The number whose first 7 bits are `value`, and where it ends."""
    for place in range(1, MAX_VARINT_BYTES):
        if at >= len(data):
            break
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return value, at
    raise ValueError("a length is cut off")
