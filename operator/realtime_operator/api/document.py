"""Reads deep in JSON documents without surprises: what is not there, or of another type, is empty."""

from __future__ import annotations

from realtime_operator.api.base import JsonObject, JsonValue


def dig(document: JsonValue, *path: str) -> JsonValue:
    """A value deep in a document, None when a part of the path is missing."""
    for part in path:
        document = document.get(part) if isinstance(document, dict) else None
    return document


def text_at(document: JsonValue, *path: str) -> str:
    """A text, empty when it is missing."""
    value = dig(document, *path)
    return value if isinstance(value, str) else ""


def object_at(document: JsonValue, *path: str) -> JsonObject:
    """An object, an empty one when it is missing."""
    value = dig(document, *path)
    return value if isinstance(value, dict) else {}


def objects_at(document: JsonValue, *path: str) -> list[JsonObject]:
    """The objects of a list, none when it is missing."""
    value = dig(document, *path)
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
