"""Lone surrogates in JSON, which JavaScript writes as escapes when text was cut inside a character."""

from __future__ import annotations

import re

_ESCAPE = re.compile(rb"\\(?:u([0-9a-fA-F]{4})|.)", re.DOTALL)
_HIGH, _LOW = range(0xD800, 0xDC00), range(0xDC00, 0xE000)


def find_half_pair(document: bytes) -> int | None:
    """Return the byte offset of the first escape that is a lone surrogate; None when there is none."""
    high: re.Match[bytes] | None = None
    for escape in _ESCAPE.finditer(document):
        unit = int(escape[1], 16) if escape[1] else 0
        if high is not None:
            if unit not in _LOW or escape.start() != high.end():
                return high.start()
            high = None
        elif unit in _LOW:
            return escape.start()
        elif unit in _HIGH:
            high = escape
    return None if high is None else high.start()


def explain(error: Exception, document: bytes) -> str:
    """Return the reason why a decoder refuses a document: the lone surrogate in it, or else the decoder's message."""
    place = find_half_pair(document)
    if place is None:
        return str(error)
    escape = document[place : place + 6].decode()
    return f"{escape} at byte {place} is half a surrogate pair: text was cut inside a character"
