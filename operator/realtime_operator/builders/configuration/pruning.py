"""Removal of fields that equal the server's defaults from its configuration.

A server of an earlier release refuses unknown fields. With defaults left out it meets one only where the spec asks for
something that release cannot do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from realtime_operator.api.base import JsonObject, JsonValue


@dataclass(frozen=True, slots=True)
class ListDefaults:
    """Defaults of a list of objects, empty by default; `fields` are the defaults of each object."""

    fields: Defaults


@dataclass(frozen=True, slots=True)
class OptionalDefaults:
    """Defaults of an object that is absent by default; `fields` apply when it is present."""

    fields: Defaults


Defaults: TypeAlias = "Mapping[str, JsonValue | ListDefaults | OptionalDefaults | Defaults]"


def pruned(config: JsonObject, defaults: Defaults) -> JsonObject:
    """Return the configuration without the fields that have their default value."""
    kept = {name: _pruned(value, defaults.get(name)) for name, value in config.items()}
    return {name: value for name, value in kept.items() if name not in defaults or value != _empty(defaults[name])}


def _pruned(value: JsonValue, default: JsonValue | ListDefaults | OptionalDefaults | Defaults) -> JsonValue:
    match default:
        case ListDefaults() if isinstance(value, list):
            return [_pruned(item, default.fields) for item in value]
        case OptionalDefaults():
            return _pruned(value, default.fields)
        case Mapping() if isinstance(value, dict):
            return pruned(value, default)
    return value


def _empty(default: JsonValue | ListDefaults | OptionalDefaults | Defaults) -> JsonValue:
    """Return the value that a pruned field has when all of it is default."""
    match default:
        case ListDefaults():
            return []
        case OptionalDefaults():
            return None
        case Mapping():
            return {}
    return default
