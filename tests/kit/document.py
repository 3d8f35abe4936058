"""Typed access to JSON documents; unexpected values fail at once, with their path."""

from __future__ import annotations

import json

from realtime_operator.api.base import JsonObject, JsonValue


def parse(text: str | bytes) -> JsonObject:
    """Parse a JSON object; raises ValueError for any other value."""
    value: JsonValue = json.loads(text)
    if not isinstance(value, dict):
        raise TypeError(f"not a JSON object: {text[:200]!r}")
    return value


def dig(document: JsonValue, *path: str | int) -> JsonValue:
    """Return the value at the path; None when any part of it is missing."""
    value = document
    for part in path:
        if isinstance(part, str) and isinstance(value, dict):
            value = value.get(part)
        elif isinstance(part, int) and isinstance(value, list) and -len(value) <= part < len(value):
            value = value[part]
        else:
            return None
    return value


def object_at(document: JsonValue, *path: str | int) -> JsonObject:
    """Return the object at the path; an empty one when it is missing."""
    value = dig(document, *path)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise TypeError(f"{path}: an object is expected, not {value!r}")
    return value


def objects_at(document: JsonValue, *path: str | int) -> list[JsonObject]:
    """Return the list of objects at the path; an empty one when it is missing."""
    value = dig(document, *path)
    if value is None:
        return []
    if not isinstance(value, list):
        raise TypeError(f"{path}: a list is expected, not {value!r}")
    return [object_at(item) for item in value]


def text_at(document: JsonValue, *path: str | int) -> str:
    """Return the text at the path; empty when it is missing."""
    value = dig(document, *path)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise TypeError(f"{path}: a text is expected, not {value!r}")
    return value


def number_at(document: JsonValue, *path: str | int) -> float:
    """Return the number at the path; 0 when it is missing."""
    value = dig(document, *path)
    if value is None:
        return 0
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{path}: a number is expected, not {value!r}")
    return value


def whole_at(document: JsonValue, *path: str | int) -> int:
    """Return the whole number at the path; 0 when it is missing."""
    return int(number_at(document, *path))
