"""Durations as written in specs: `25s`, `10m`, `1h30m`. Whole seconds, never negative."""

from __future__ import annotations

import re

PATTERN = "^([0-9]{1,6}h)?([0-9]{1,6}m)?([0-9]{1,6}s)?$"
"""Pattern of durations, with the same meaning in Python's re and in RE2, which CEL uses."""

MILLISECONDS_PATTERN = "^(0|[1-9][0-9]{0,2}|1000)ms$"
"""Pattern of durations up to a second, like `5ms`."""

_PARTS = re.compile(r"([0-9]+)([hms])")
_SECONDS = {"h": 3600, "m": 60, "s": 1}


def is_duration(text: str) -> bool:
    """Return True when `seconds` accepts the text."""
    return bool(text) and re.fullmatch(PATTERN, text) is not None


def seconds(text: str) -> int:
    """Parse a duration to seconds; raises ValueError."""
    if not is_duration(text):
        raise ValueError(f"not a duration: {text!r}; write it like 30s, 10m or 1h30m")
    return sum(int(number) * _SECONDS[unit] for number, unit in _PARTS.findall(text))


def milliseconds(text: str) -> int:
    """Parse a duration like `5ms` to milliseconds; raises ValueError."""
    if re.fullmatch(MILLISECONDS_PATTERN, text) is None:
        raise ValueError(f"not milliseconds: {text!r}; write them like 5ms, at most 1000ms")
    return int(text.removesuffix("ms"))
