"""Conversion of a model's JSON schema to a structural schema for a CRD.

References are inlined, `null` is removed (optional means absent), rules become CEL validations, and a default stands at
its field only. Unknown parts are refused: the API server would ignore them, or refuse the CRD.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from pydantic import BaseModel

from realtime_operator.api.base import VALIDATIONS, JsonObject, JsonValue, Model

INT_OR_STRING = "x-kubernetes-int-or-string"
PRESERVES_UNKNOWN = "x-kubernetes-preserve-unknown-fields"

_COPIED = (
    "type",
    "format",
    "enum",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "pattern",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    INT_OR_STRING,
    PRESERVES_UNKNOWN,
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
    VALIDATIONS,
)
_HANDLED = ("description", "default", "properties", "required", "additionalProperties", "items")
_DROPPED = ("title",)
_TYPES = frozenset({"object", "array", "string", "integer", "number", "boolean"})


class UnsupportedSchema(TypeError):  # noqa: N818 - says what the schema is
    """A model uses a feature that a CRD cannot express, or that is not allowed here."""


@dataclass(frozen=True, slots=True)
class _Source:
    definitions: Mapping[str, JsonObject]
    models: Mapping[str, type[Model]]
    bounded: bool


def structural_schema(model: type[Model], *, bounded: bool) -> JsonObject:
    """Return the structural schema of a model; raises UnsupportedSchema.

    With `bounded` every text, list and map must have a maximum size, from which the API server estimates the cost of
    rules.
    """
    raw = model.model_json_schema(by_alias=True, mode="validation")
    definitions = cast("dict[str, JsonObject]", raw.pop("$defs", {}))
    source = _Source(definitions, _models_below(model), bounded)
    return _with_rules(_convert(cast("JsonObject", raw), source, model.__name__), model)


def _models_below(model: type[Model]) -> dict[str, type[Model]]:
    """Return all models that may be referred to, by their name in the definitions."""
    found: dict[str, type[Model]] = {}
    waiting = [model]
    while waiting:
        current = waiting.pop()
        for field in current.model_fields.values():
            for used in _models_in(field.annotation):
                if used.__name__ not in found:
                    found[used.__name__] = used
                    waiting.append(used)
    return found


def _models_in(annotation: object) -> list[type[Model]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation] if issubclass(annotation, Model) else []
    return [model for part in getattr(annotation, "__args__", ()) for model in _models_in(part)]


def _convert(node: JsonObject, source: _Source, path: str) -> JsonObject:
    node, model = _resolve(node, source, path)
    unknown = node.keys() - {*_COPIED, *_HANDLED, *_DROPPED}
    if unknown:
        raise UnsupportedSchema(f"{path}: {', '.join(sorted(unknown))} has no place in a CRD")
    if node.get("type") not in _TYPES and INT_OR_STRING not in node:
        raise UnsupportedSchema(f"{path}: needs one type of {', '.join(sorted(_TYPES))}")
    if source.bounded:
        _check_bounds(node, path)
    schema: JsonObject = {key: node[key] for key in ("description", "type") if key in node}
    if "description" in schema:
        schema["description"] = " ".join(str(schema["description"]).split())  # without the line breaks of the source
    schema |= {key: node[key] for key in _COPIED if key in node}
    schema |= _children(node, source, path)
    schema = _with_rules(schema, model) if model else schema
    return schema | _default(node, schema)


def _resolve(node: JsonObject, source: _Source, path: str) -> tuple[JsonObject, type[Model] | None]:
    """Return a schema without null and with its reference resolved; keys beside the reference win."""
    model = None
    if "anyOf" in node:
        options = node["anyOf"]
        present = [item for item in options if item != {"type": "null"}] if isinstance(options, list) else []
        if len(present) != 1 or not isinstance(present[0], dict):
            raise UnsupportedSchema(f"{path}: a union; use one optional field for each variant, and a rule")
        beside = {key: value for key, value in node.items() if key not in {"anyOf", "default"}}
        node = {**present[0], **beside}
    if "$ref" in node:
        name = str(node["$ref"]).removeprefix("#/$defs/")
        model = source.models.get(name)
        node = {**source.definitions[name], **{key: value for key, value in node.items() if key != "$ref"}}
    if "const" in node:
        node = {**{key: value for key, value in node.items() if key != "const"}, "enum": [node["const"]]}
    return node, model


def _check_bounds(node: JsonObject, path: str) -> None:
    kind = node.get("type")
    unbounded = (
        (kind == "string" and not node.keys() & {"maxLength", "enum"})
        or (kind == "array" and "maxItems" not in node)
        or (kind == "object" and not node.keys() & {"properties", "maxProperties", PRESERVES_UNKNOWN})
        or (kind == "integer" and not node.keys() >= {"minimum", "maximum"})
        or (INT_OR_STRING in node and "maxLength" not in node)
    )
    if unbounded:
        raise UnsupportedSchema(f"{path}: has no largest size")


def _children(node: JsonObject, source: _Source, path: str) -> JsonObject:
    schema: JsonObject = {}
    properties, items, values = node.get("properties"), node.get("items"), node.get("additionalProperties")
    if isinstance(properties, dict):
        schema["properties"] = {name: _property(child, source, f"{path}.{name}") for name, child in properties.items()}
    if isinstance(items, dict):
        schema["items"] = _convert(items, source, f"{path}[]")
    if isinstance(values, dict):
        schema["additionalProperties"] = _convert(values, source, f"{path}[*]")
    if node.get("required"):
        schema["required"] = node["required"]
    return schema


def _property(node: JsonValue, source: _Source, path: str) -> JsonObject:
    schema = _convert(node if isinstance(node, dict) else {}, source, path)
    if not schema.get("description"):
        raise UnsupportedSchema(f"{path}: is not documented")
    return {**schema, "description": f"{schema['description']}{_limits(schema)}"}


def _limits(schema: JsonObject) -> str:
    """Return sentences about the valid values of a field for `kubectl explain`, without the rules of an object."""
    if "properties" in schema:
        return ""
    if "minimum" in schema and "maximum" in schema:
        return f" From {schema['minimum']:,} to {schema['maximum']:,}."
    return "".join(f" {sentence(message)}" for message in rule_messages(schema))


def rule_messages(schema: JsonObject) -> list[str]:
    """Return the messages of a schema's own rules."""
    rules = schema.get(VALIDATIONS)
    return [str(rule["message"]) for rule in rules if isinstance(rule, dict)] if isinstance(rules, list) else []


def sentence(message: str) -> str:
    """Make a sentence of a rule's message; a field name at its start keeps its case."""
    first, _, _ = message.partition(" ")
    is_field = first != first.lower()
    return f"`{first}`{message[len(first) :]}." if is_field else f"{message[:1].upper()}{message[1:]}."


def _default(node: JsonObject, schema: JsonObject) -> JsonObject:
    """Return the field `default`, or nothing for absent and empty values and objects without defaults.

    The default of an object is empty, as its fields have their own; but the API server checks rules against the default
    as written, so that of an object with rules is written out.
    """
    if node.get("default") in (None, [], {}):
        return {}
    if "properties" not in schema:
        return {"default": node["default"]}
    values: JsonObject = {
        name: child["default"]
        for name, child in object_at(schema, "properties").items()
        if isinstance(child, dict) and "default" in child
    }
    if not values:
        return {}
    return {"default": values if VALIDATIONS in schema else {}}


def object_at(schema: JsonObject, key: str) -> JsonObject:
    """Return the object at a key of a schema; an empty one when it is missing."""
    value = schema.get(key)
    return value if isinstance(value, dict) else {}


def _with_rules(schema: JsonObject, model: type[Model]) -> JsonObject:
    rules: list[JsonValue] = [
        {"rule": rule.cel, "message": rule.message, **({"fieldPath": f".{rule.field}"} if rule.field else {})}
        for rule in model.rules
    ]
    return {**schema, VALIDATIONS: rules} if rules else schema
