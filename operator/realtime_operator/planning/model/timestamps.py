"""Times in Kubernetes' format: RFC 3339 in UTC with whole seconds."""

from __future__ import annotations

from datetime import datetime


def timestamp(now: datetime) -> str:
    """Format a time in UTC."""
    return now.strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_timestamp(value: object) -> datetime | None:
    """Parse the format of `timestamp`; None for other values."""
    if not isinstance(value, str):
        return None
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        return None
