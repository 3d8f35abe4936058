"""Differences between two publications, in the format of Fossil's delta encoder, which SDKs can apply.

Source: https://fossil-scm.org/home/doc/trunk/www/delta_format.wiki. A patch is the length of the target and a line
feed, then commands (`COUNT@OFFSET,` copies from the source, `COUNT:BYTES` inserts), then the target's checksum and a
semicolon. Numbers are in base 64.

A patch to UTF-8 is UTF-8: what is inserted begins and ends between two characters, because the JSON protocol carries
a patch in a string.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

DIGITS = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz~"
BLOCK = 16
"""Shortest piece that is looked for, in bytes."""
MAX_SEARCHED = 16_384
"""In more than so many bytes that differ no pieces are looked for: it would hold up the event loop for milliseconds."""

Piece = tuple[int, int, int]
"""Start in the source, start in the target, length."""


def patch(source: bytes, target: bytes) -> bytes | None:
    """What makes the target from the source; None when sending the target is shorter."""
    parts = [_number(len(target)), b"\n"]
    done = 0
    for start, at, length in _aligned(_pieces(source, target), target):
        if at > done:
            parts += [_number(at - done), b":", target[done:at]]
        parts += [_number(length), b"@", _number(start), b","]
        done = at + length
    if done < len(target):
        parts += [_number(len(target) - done), b":", target[done:]]
    parts += [_number(checksum(target)), b";"]
    made = b"".join(parts)
    return made if len(made) < len(target) else None


def checksum(data: bytes) -> int:
    """The sum of all big-endian words of 32 bits, modulo 2**32; the last one is filled up with zeros."""
    words = (len(data) + 3) // 4
    total: int = sum(struct.unpack(f">{words}I", data.ljust(4 * words, b"\0")))
    return total & 0xFFFFFFFF


def _number(value: int) -> bytes:
    digits = bytearray()
    while True:
        digits.append(DIGITS[value & 63])
        value >>= 6
        if not value:
            return bytes(reversed(digits))


def _pieces(source: bytes, target: bytes) -> Iterator[Piece]:
    """What both have, in the order of the target and without overlap."""
    prefix = _common_prefix(source, target)
    suffix = _common_prefix(source[prefix:][::-1], target[prefix:][::-1])
    if prefix:
        yield 0, 0, prefix
    end = len(target) - suffix
    if end - prefix >= BLOCK and max(len(source), len(target)) - prefix - suffix <= MAX_SEARCHED:
        yield from _search(source, target, prefix, end)
    if suffix:
        yield len(source) - suffix, end, suffix


def _common_prefix(one: bytes, other: bytes) -> int:
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _search(source: bytes, target: bytes, start: int, end: int) -> Iterator[Piece]:
    blocks = {source[at : at + BLOCK]: at for at in range(len(source) - BLOCK, -1, -BLOCK)}
    at = done = start
    while at + BLOCK <= end:
        found = blocks.get(target[at : at + BLOCK])
        if found is None:
            at += 1
            continue
        back = 0
        while at - back > done and found > back and source[found - back - 1] == target[at - back - 1]:
            back += 1
        length = back + _common_prefix(source[found:], target[at:end])
        yield found - back, at - back, length
        at = done = at - back + length


def _aligned(pieces: Iterator[Piece], target: bytes) -> Iterator[Piece]:
    """The pieces without what is a part of a character at their ends."""
    for piece in pieces:
        start, at, length = piece
        while length and _continues(target, at):
            start, at, length = start + 1, at + 1, length - 1
        while length and _continues(target, at + length):
            length -= 1
        if length:
            yield start, at, length


def _continues(data: bytes, at: int) -> bool:
    return at < len(data) and data[at] & 0xC0 == 0x80
