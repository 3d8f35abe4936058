"""What goes to Redis and what comes back, as types."""

from __future__ import annotations

from typing import TypeAlias

from realtime_server.core.model.errors import BackplaneError

Word: TypeAlias = "bytes | str | int"
"""A part of a command."""
Reply: TypeAlias = "bytes | int | list[Reply] | None"


def as_list(reply: Reply) -> list[Reply]:
    """The reply, which has to be a list; raises BackplaneError when Redis answered something else."""
    if not isinstance(reply, list):
        raise BackplaneError("Redis answered something unexpected")
    return reply


def as_int(reply: Reply) -> int:
    """The reply, which has to be an integer; raises BackplaneError when Redis answered something else."""
    if not isinstance(reply, int):
        raise BackplaneError("Redis answered something unexpected")
    return reply


def as_bytes(reply: Reply) -> bytes:
    """The reply, which has to be a string; raises BackplaneError when Redis answered something else."""
    if not isinstance(reply, bytes):
        raise BackplaneError("Redis answered something unexpected")
    return reply


def milliseconds(seconds: float) -> int:
    """A duration as Redis takes it: at least one millisecond."""
    return max(1, round(seconds * 1000))
