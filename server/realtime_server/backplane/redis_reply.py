"""Types of commands to Redis and of its replies."""

from __future__ import annotations

from typing import TypeAlias

from realtime_server.core.model.errors import BackplaneError

Word: TypeAlias = "bytes | str | int"
"""Word of a command."""
Reply: TypeAlias = "bytes | int | list[Reply] | None"


def as_list(reply: Reply) -> list[Reply]:
    """Return the reply as a list. Raises BackplaneError for another type."""
    if not isinstance(reply, list):
        raise BackplaneError("Redis answered something unexpected")
    return reply


def as_int(reply: Reply) -> int:
    """Return the reply as an integer. Raises BackplaneError for another type."""
    if not isinstance(reply, int):
        raise BackplaneError("Redis answered something unexpected")
    return reply


def as_bytes(reply: Reply) -> bytes:
    """Return the reply as bytes. Raises BackplaneError for another type."""
    if not isinstance(reply, bytes):
        raise BackplaneError("Redis answered something unexpected")
    return reply


def milliseconds(seconds: float) -> int:
    """Convert a duration to Redis's unit: whole milliseconds, at least one."""
    return max(1, round(seconds * 1000))
