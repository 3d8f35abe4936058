"""Deltas between two publications in Fossil's delta format, which SDKs can apply.

Source: https://fossil-scm.org/home/doc/trunk/www/delta_format.wiki. A patch is the length of the target and a line
feed, then commands (`COUNT@OFFSET,` copies from the source, `COUNT:BYTES` inserts), then the target's checksum and a
semicolon. Numbers are in base 64.
A patch to UTF-8 is UTF-8: insertions begin and end between two characters, because the JSON protocol carries a patch in
a string.
"""

from __future__ import annotations

from collections.abc import Iterator

DIGITS = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz~"
MIN_BLOCK = 16
"""Shortest piece that is searched for, in bytes; longer in large sources, to bound the number of blocks."""
MAX_BLOCKS = 1024
MAX_EFFORT = 5_000
"""Number of places in the target that a search may try, about 0.2 us each: it blocks the event loop.

A piece counts as 16 places.
"""

CHUNK = 1024
LOW_WORDS = int.from_bytes(b"\0\0\0\0\xff\xff\xff\xff" * (CHUNK // 8), "big")

Piece = tuple[int, int, int]
"""Start in the source, start in the target, length."""


def patch(source: bytes, target: bytes) -> bytes | None:
    """Return the patch from the source to the target; None when the target itself is shorter."""
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
    """Return the sum of all big-endian words of 32 bits, modulo 2**32; the last word is padded with zeros.

    Words are added in 64-bit lanes of big integers, many at once, and the lanes at the end: their sum is the remainder
    modulo 2**64 - 1, because 2**64 is congruent to 1. That is five times as fast as adding them one by one.
    """
    lanes = 0
    for at in range(0, len(data), CHUNK):
        number = int.from_bytes(data[at : at + CHUNK].ljust(CHUNK, b"\0"), "big")
        lanes += (number & LOW_WORDS) + (number >> 32 & LOW_WORDS)
    return lanes % 0xFFFFFFFFFFFFFFFF & 0xFFFFFFFF


def _number(value: int) -> bytes:
    digits = bytearray()
    while True:
        digits.append(DIGITS[value & 63])
        value >>= 6
        if not value:
            return bytes(reversed(digits))


def _pieces(source: bytes, target: bytes) -> Iterator[Piece]:
    """Yield the common pieces, in the order of the target and without overlap."""
    prefix = _common(source, 0, target, 0, min(len(source), len(target)))
    suffix = _common_suffix(source, target, min(len(source), len(target)) - prefix)
    if prefix:
        yield 0, 0, prefix
    end = len(target) - suffix
    if end - prefix >= MIN_BLOCK:
        yield from _search(source, target, prefix, end)
    if suffix:
        yield len(source) - suffix, end, suffix


def _common(source: bytes, start: int, target: bytes, at: int, limit: int) -> int:
    """Return the length of the common bytes from two places on, at most `limit`."""
    low, high = 0, min(MIN_BLOCK, limit)
    while low < limit and source[start + low : start + high] == target[at + low : at + high]:
        low, high = high, min(2 * high, limit)
    while low < high:
        middle = (low + high + 1) // 2
        if source[start + low : start + middle] == target[at + low : at + middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _common_suffix(source: bytes, target: bytes, limit: int) -> int:
    low, high = 0, limit
    while low < high:
        middle = (low + high + 1) // 2
        if source[len(source) - middle : len(source) - low] == target[len(target) - middle : len(target) - low]:
            low = middle
        else:
            high = middle - 1
    return low


def _search(source: bytes, target: bytes, start: int, end: int) -> Iterator[Piece]:
    """Yield pieces of the source found in a part of the target; the search ends after MAX_EFFORT."""
    block = max(MIN_BLOCK, len(source) // MAX_BLOCKS)
    blocks = {source[at : at + block]: at for at in range(len(source) - block, -1, -block)}
    at = done = start
    last = end - block
    effort = MAX_EFFORT
    while at <= last and effort > 0:
        found = blocks.get(target[at : at + block])
        if found is None:
            at += 1
            effort -= 1 + block // 256
            continue
        back = 0
        while at - back > done and found > back and source[found - back - 1] == target[at - back - 1]:
            back += 1
        length = block + _common(source, found + block, target, at + block, min(len(source) - found, end - at) - block)
        yield found - back, at - back, back + length
        at = done = at + length
        effort -= 16


def _aligned(pieces: Iterator[Piece], target: bytes) -> Iterator[Piece]:
    """Yield the pieces without partial characters at their ends."""
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
