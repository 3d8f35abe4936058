"""Access to nested values of JSON documents; missing values and values of other types are empty."""

from __future__ import annotations

import json

from realtime_operator.api.base import JsonObject, JsonValue


def dig(document: JsonValue, *path: str) -> JsonValue:
    """Return the value at a path, None when a part of it is missing."""
    for part in path:
        document = document.get(part) if isinstance(document, dict) else None
    return document


def text_at(document: JsonValue, *path: str) -> str:
    """Return the text at a path, empty when it is missing."""
    value = dig(document, *path)
    return value if isinstance(value, str) else ""


def object_at(document: JsonValue, *path: str) -> JsonObject:
    """Return the object at a path, an empty one when it is missing."""
    value = dig(document, *path)
    return value if isinstance(value, dict) else {}


def objects_at(document: JsonValue, *path: str) -> list[JsonObject]:
    """Return the objects of the list at a path, none when it is missing."""
    value = dig(document, *path)
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def merge_patch(document: JsonValue, patch: JsonValue) -> JsonValue:
    """Apply a JSON merge patch (RFC 7396, section 2)."""
    if not isinstance(patch, dict):
        return json.loads(json.dumps(patch)) if patch is not None else document
    merged: JsonObject = dict(document) if isinstance(document, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patch(merged.get(key), value)
    return merged
