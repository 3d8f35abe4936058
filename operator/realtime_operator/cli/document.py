"""Values of a document as text for people."""

from __future__ import annotations

from datetime import UTC, datetime

from realtime_operator.api.base import JsonValue
from realtime_operator.api.document import dig


def text(document: JsonValue, *path: str, default: str = "") -> str:
    """Return a text or number as text; `default` when it is missing."""
    value = dig(document, *path)
    return default if value is None or isinstance(value, dict | list) else str(value)


def whole(document: JsonValue, *path: str) -> int | None:
    """Return a whole number; None when it is missing."""
    value = dig(document, *path)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def until(then: datetime, now: datetime) -> str:
    """Return the time until then in its two largest units, like `in 3 d 4 h`; at least a minute."""
    minutes = max(1, round((then - now).total_seconds() / 60))
    days, hours = minutes // 1440, minutes // 60 % 24
    parts = ((days, "d"), (hours, "h"), (minutes % 60 if not days else 0, "min"))
    return "in " + " ".join(f"{count} {unit}" for count, unit in parts if count)


def age(timestamp: str, now: datetime | None = None) -> str:
    """Return the age of a time (RFC 3339) in kubectl's format; `-` for an invalid time."""
    try:
        then = datetime.fromisoformat(timestamp)
    except ValueError:
        return "-"
    seconds = max(0, int(((now or datetime.now(UTC)) - then).total_seconds()))
    for length, unit, until in ((86400, "d", 2 * 86400), (3600, "h", 2 * 3600), (60, "m", 2 * 60)):
        if seconds >= until:
            return f"{seconds // length}{unit}"
    return f"{seconds}s"
