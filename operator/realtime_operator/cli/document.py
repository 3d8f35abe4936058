"""Reads deep in JSON documents without surprises: what is not there, or of another type, is empty."""

from __future__ import annotations

from datetime import UTC, datetime

from realtime_operator.api.base import JsonObject, JsonValue


def dig(document: JsonValue, *path: str) -> JsonValue:
    """A value deep in a document, None when a part of the path is missing."""
    for part in path:
        document = document.get(part) if isinstance(document, dict) else None
    return document


def text(document: JsonValue, *path: str, default: str = "") -> str:
    """A text or number as text; `default` when it is missing."""
    value = dig(document, *path)
    return default if value is None or isinstance(value, dict | list) else str(value)


def whole(document: JsonValue, *path: str) -> int | None:
    """A whole number; None when it is missing."""
    value = dig(document, *path)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def objects(document: JsonValue, *path: str) -> list[JsonObject]:
    """The objects of a list."""
    value = dig(document, *path)
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def age(timestamp: str, now: datetime | None = None) -> str:
    """How long ago a time (RFC 3339) was, as kubectl writes it; `-` for what is no time."""
    try:
        then = datetime.fromisoformat(timestamp)
    except ValueError:
        return "-"
    seconds = max(0, int(((now or datetime.now(UTC)) - then).total_seconds()))
    for length, unit, until in ((86400, "d", 2 * 86400), (3600, "h", 2 * 3600), (60, "m", 2 * 60)):
        if seconds >= until:
            return f"{seconds // length}{unit}"
    return f"{seconds}s"
