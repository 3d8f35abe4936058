"""A configuration without what equals the server's defaults.

A server of an earlier release refuses a field that it does not know. It meets such a field only where somebody has
asked for something else than the default, and so for what that release cannot do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from realtime_operator.api.base import JsonObject, JsonValue


@dataclass(frozen=True, slots=True)
class Each:
    """A list of objects, empty by default; `fields` are the defaults of each."""

    fields: Defaults


@dataclass(frozen=True, slots=True)
class Maybe:
    """An object that is absent by default; `fields` are the defaults of one that is there."""

    fields: Defaults


Defaults: TypeAlias = "Mapping[str, JsonValue | Each | Maybe | Defaults]"


def pruned(config: JsonObject, defaults: Defaults) -> JsonObject:
    """The configuration without the fields that have their default."""
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
    """The pruned value that says nothing."""
    match default:
        case Each():
            return []
        case Maybe():
            return None
        case Mapping():
            return {}
    return default
