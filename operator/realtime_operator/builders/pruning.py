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
class Each:
    """Defaults of a list of objects, empty by default; `fields` are the defaults of each object."""

    fields: Defaults


@dataclass(frozen=True, slots=True)
class Maybe:
    """Defaults of an object that is absent by default; `fields` apply when it is present."""

    fields: Defaults


Defaults: TypeAlias = "Mapping[str, JsonValue | Each | Maybe | Defaults]"


def pruned(config: JsonObject, defaults: Defaults) -> JsonObject:
    """Return the configuration without the fields that have their default value."""
    kept = {name: _pruned(value, defaults.get(name)) for name, value in config.items()}
    return {name: value for name, value in kept.items() if name not in defaults or value != _empty(defaults[name])}


def _pruned(value: JsonValue, default: JsonValue | Each | Maybe | Defaults) -> JsonValue:
    match default:
        case Each() if isinstance(value, list):
            return [_pruned(item, default.fields) for item in value]
        case Maybe():
            return _pruned(value, default.fields)
        case Mapping() if isinstance(value, dict):
            return pruned(value, default)
    return value


def _empty(default: JsonValue | Each | Maybe | Defaults) -> JsonValue:
    """Return the value that a pruned field has when all of it is default."""
    match default:
        case Each():
            return []
        case Maybe():
            return None
        case Mapping():
            return {}
    return default
