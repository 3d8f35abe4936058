"""The reference of the resource in Markdown, from the same schema as the CRD."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from realtime_operator import naming
from realtime_operator.api.base import JsonObject
from realtime_operator.api.crd import root_schema
from realtime_operator.api.schema import INT_OR_STRING, PRESERVES_UNKNOWN, object_at, rule_messages, sentence

HEADER = """<!-- Generated from operator/realtime_operator/api/v1alpha1.py by `make docs`. Do not edit. -->
# RealtimeCluster

"""
INTRODUCTION = """
Every field has a default or may be absent: an empty spec is a small cluster that works.
Fields that are not here are refused by `kubectl` and dropped by the API server.
The same text is in `kubectl explain rtc.spec --recursive`.
"""


def build_reference() -> str:
    """Build the page."""
    schema = root_schema()
    properties = object_at(schema, "properties")
    head = f"`apiVersion: {naming.API_VERSION}`, `kind: {naming.KIND}`, short name `{naming.SHORT_NAME}`.\n"
    parts = [HEADER, head, str(schema["description"]), "\n", INTRODUCTION, *_rules(schema)]
    for name in ("spec", "status"):
        parts.extend(_sections(name, object_at(properties, name)))
    return "".join(parts)


def _sections(path: str, schema: JsonObject) -> Iterator[str]:
    """Yield a section for an object, and one for each object below it."""
    properties = object_at(schema, "properties")
    required = schema.get("required")
    yield f"\n## {path}\n\n{schema['description']}\n\n| field | type | default | means |\n| --- | --- | --- | --- |\n"
    for name in properties:
        is_required = isinstance(required, list) and name in required
        yield _row(f"{path}.{name}", name, object_at(properties, name), is_required=is_required)
    yield from _rules(schema)
    for name, child in properties.items():
        assert isinstance(child, dict)
        items = object_at(child, "items")
        if "properties" in child:
            yield from _sections(f"{path}.{name}", child)
        elif _has_section(items):
            yield from _sections(f"{path}.{name}[]", items)


def _row(path: str, name: str, schema: JsonObject, *, is_required: bool) -> str:
    default = "required" if is_required else _default(schema)
    return f"| `{name}` | {_linked(path, schema)} | {default} | {schema['description']}{_choices(schema)} |\n"


def _linked(path: str, schema: JsonObject) -> str:
    """Return the type; for objects with fields as a link to their section."""
    has_section = "properties" in schema or _has_section(object_at(schema, "items"))
    anchor = re.sub(r"[^\w-]", "", path.lower())
    return f"[{_type(schema)}](#{anchor})" if has_section else _type(schema)


def _has_section(schema: JsonObject) -> bool:
    """Return True for an object with fields of its own; those of Kubernetes' structures are in its documentation."""
    return "properties" in schema and PRESERVES_UNKNOWN not in schema


def _type(schema: JsonObject) -> str:
    if INT_OR_STRING in schema:
        return "integer or string"
    if "items" in schema:
        return f"list of {_plural(_type(object_at(schema, 'items')))}"
    if "additionalProperties" in schema:
        return f"map to {_plural(_type(object_at(schema, 'additionalProperties')))}"
    return str(schema["type"])


def _plural(name: str) -> str:
    return "integers or strings" if name == "integer or string" else f"{name}s"


def _default(schema: JsonObject) -> str:
    value = schema.get("default")
    return (
        ""
        if value is None or "properties" in schema
        else f"`{json.dumps(value) if not isinstance(value, str) else value}`"
    )


def _choices(schema: JsonObject) -> str:
    """Return the values of an enumeration that its description does not explain."""
    allowed = object_at(schema, "items").get("enum", schema.get("enum"))
    if not isinstance(allowed, list) or all(f"`{value}`" in str(schema["description"]) for value in allowed):
        return ""
    return " One of " + ", ".join(f"`{value}`" for value in allowed) + "."


def _rules(schema: JsonObject) -> Iterator[str]:
    messages = rule_messages(schema)
    if messages:
        yield "\nRules:\n\n" + "".join(f"- {sentence(message)}\n" for message in messages)
