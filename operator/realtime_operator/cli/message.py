"""A publication, as commands show it."""

from __future__ import annotations

from dataclasses import dataclass

from realtime_operator.api.base import JsonValue


@dataclass(frozen=True, slots=True)
class Message:
    """A publication as it arrived; `at` is the time on this machine in seconds since the epoch."""

    at: float
    channel: str
    offset: int | None
    data: JsonValue
