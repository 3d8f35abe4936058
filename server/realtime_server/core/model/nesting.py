"""Limit on the nesting of JSON from clients and backends."""

from __future__ import annotations

import re
from array import array
from itertools import accumulate

MAX_NESTING = 512
"""Depth that every reader can process: Python's own decoder, in clients too, fails at about 1,000."""
_STRINGS = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_OTHERS = bytes(set(range(256)) - set(b"[{]}"))
_STEPS = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")
"""Change of depth per bracket as signed bytes: +1 or -1."""


def check_nesting(document: bytes) -> None:
    """Raise RecursionError when JSON has more than MAX_NESTING levels; invalid JSON may pass.

    Interpreters have limits of their own: 1,000 to 10,000 levels by version, and the size of the stack from 3.14 on.
    """
    if document.count(b"[") + document.count(b"{") <= MAX_NESTING:
        return
    brackets = _STRINGS.sub(b"", document).translate(_STEPS, _OTHERS)
    if max(accumulate(array("b", brackets)), default=0) > MAX_NESTING:
        raise RecursionError("it is nested too deeply")
