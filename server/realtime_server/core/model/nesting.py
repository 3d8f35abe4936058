"""How deeply JSON of clients and backends may be nested."""

from __future__ import annotations

import re
from array import array
from itertools import accumulate

MAX_NESTING = 512
"""What every reader of it can take: Python's own decoder, in a client too, ends at about 1,000."""
_STRINGS = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_OTHERS = bytes(set(range(256)) - set(b"[{]}"))
_STEPS = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")
"""As signed bytes: one level down, one level up."""


def check_nesting(document: bytes) -> None:
    """Raise RecursionError when JSON has more than MAX_NESTING levels; what is no JSON may pass.

    Interpreters have bounds of their own: 1,000 to 10,000 levels by version, from 3.14 on what fits into the stack.
    """
    if document.count(b"[") + document.count(b"{") <= MAX_NESTING:
        return
    brackets = _STRINGS.sub(b"", document).translate(_STEPS, _OTHERS)
    if max(accumulate(array("b", brackets)), default=0) > MAX_NESTING:
        raise RecursionError("it is nested too deeply")
