"""The part of a spec that makes a revision: all fields but those with KEEPS_REVISION."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from types import UnionType
from typing import get_args

from realtime_operator.api.base import JsonObject, JsonValue, Model
from realtime_operator.api.fields import EMPTY_IS_ABSENT, KEEPS_REVISION
from realtime_operator.api.v1alpha1 import RealtimeClusterSpec


def revision_part(spec: JsonObject) -> JsonObject:
    """Return the part of a spec as written."""
    part = spec
    for path in KEEPING:
        part = _without(part, path)
    return part


def differing_part(model: Model, *, whole: bool = False) -> JsonObject:
    """Return the part of a spec, or of a model in it, that differs from the defaults and makes a revision.

    With `whole` it has the fields that keep the revision too.

    A later release gives the same part for the same spec: fields that are new in it have their default, and are left
    out.
    """
    part: JsonObject = {}
    for name, alias, default, empty_is_absent in _defaults(type(model), whole):
        value = getattr(model, name)
        if value == default:
            continue
        written = _json(value, whole=whole)
        if written != {} or not (empty_is_absent or isinstance(default, Model)):
            part[alias] = written
    return part


@functools.cache
def _defaults(model: type[Model], whole: bool) -> tuple[tuple[str, str, object, bool], ...]:
    """Return name, alias and default of the fields, and whether an empty value says the same as none.

    Only of the fields that make a revision, unless `whole`. Pydantic copies a default at each call.
    """
    return tuple(
        (
            name,
            field.alias or name,
            field.get_default(call_default_factory=True),
            EMPTY_IS_ABSENT in field.metadata,
        )
        for name, field in model.model_fields.items()
        if whole or KEEPS_REVISION not in field.metadata
    )


def _json(value: object, *, whole: bool) -> JsonValue:
    match value:
        case Model():
            return differing_part(value, whole=whole)
        case tuple() | list():
            return [_json(item, whole=whole) for item in value]
        case dict():
            return {str(key): _json(item, whole=whole) for key, item in value.items()}
        case None | bool() | int() | float() | str():
            return value
    raise TypeError(f"{value!r} is not of a spec")


def keeping_paths(model: type[Model], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the paths of the fields whose change keeps the revision."""
    for name, field in model.model_fields.items():
        here = (*path, field.alias or name)
        if KEEPS_REVISION in field.metadata:
            yield here
        else:
            for inner in _models_in(field.annotation):
                yield from keeping_paths(inner, here)


def _models_in(annotation: object) -> Iterator[type[Model]]:
    """Yield the model of a field that has one or may have one; lists of models have no fields of this kind."""
    for part in get_args(annotation) if isinstance(annotation, UnionType) else (annotation,):
        if isinstance(part, type) and issubclass(part, Model):
            yield part


def _telling_paths(model: type[Model], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the paths of optional objects that say something by their presence, also when they are empty."""
    for name, field in model.model_fields.items():
        here = (*path, field.alias or name)
        for inner in _models_in(field.annotation):
            if not field.is_required() and field.default is None and EMPTY_IS_ABSENT not in field.metadata:
                yield here
            yield from _telling_paths(inner, here)


KEEPING = tuple(keeping_paths(RealtimeClusterSpec))
TELLING = frozenset(_telling_paths(RealtimeClusterSpec))


def _without(document: JsonObject, path: tuple[str, ...], above: tuple[str, ...] = ()) -> JsonObject:
    """Return the document without a field, and without objects that are then empty and say nothing by that."""
    name, rest = path[0], path[1:]
    value = document.get(name)
    if name not in document or (rest and not isinstance(value, dict)):
        return document
    here = (*above, name)
    inner = _without(value, rest, here) if rest and isinstance(value, dict) else {}
    stays = bool(inner) or (bool(rest) and here in TELLING)
    return {key: inner if key == name else other for key, other in document.items() if key != name or stays}
