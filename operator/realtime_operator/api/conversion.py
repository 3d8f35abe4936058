"""Conversion of a RealtimeCluster with former names: the necessary edits. Pure."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pydantic.alias_generators import to_pascal, to_snake

from realtime_operator.api.base import JsonValue, Model
from realtime_operator.api.errors import format_path
from realtime_operator.api.former_names import REWRITES, ConversionError, Rewrite
from realtime_operator.api.v1alpha1 import RealtimeClusterSpec

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Edit:
    """An edit: the fields at `former` become the one at `path`; `value` is None when a single field moves unchanged."""

    former: tuple[Path, ...]
    path: Path
    value: JsonValue

    def __str__(self) -> str:
        """Describe the edit in one line."""
        before = " and ".join(map(format_path, self.former))
        if self.former == (self.path,):
            return f"{before} is now {_written(self.value)}"
        written = "" if self.value is None else f": {_written(self.value)}"
        verb = "is" if len(self.former) == 1 else "are"
        return f"{before} {verb} replaced by {format_path(self.path)}{written}"


@dataclass(frozen=True, slots=True)
class Obstacle:
    """A field that cannot be converted, with the reason."""

    path: Path
    reason: str

    def __str__(self) -> str:
        """Describe the obstacle in one line."""
        return f"{format_path(self.path)}: {self.reason}"


def edits_of(document: JsonValue) -> tuple[tuple[Edit, ...], tuple[Obstacle, ...]]:
    """Return the edits that convert a RealtimeCluster, and the fields that cannot be converted."""
    spec = document.get("spec") if isinstance(document, Mapping) else None
    edits: list[Edit] = []
    obstacles: list[Obstacle] = []
    for rewrite in REWRITES:
        for path, owner in _objects_at(spec, rewrite.owner, ("spec",)):
            try:
                edits += _edit(rewrite, path, owner)
            except ConversionError as error:
                obstacles.append(Obstacle((*path, *rewrite.fields[0].split(".")), str(error)))
    edits += _capitals(RealtimeClusterSpec, spec, ("spec",))
    return tuple(edits), tuple(obstacles)


def _edit(rewrite: Rewrite, path: Path, owner: Mapping[str, JsonValue]) -> Iterator[Edit]:
    found = {name: _dig(owner, name) for name in rewrite.fields}
    values = {name: value for name, value in found.items() if value is not None}
    if not rewrite.applies(values):
        return
    if rewrite.target not in rewrite.fields and _dig(owner, rewrite.target) is not None:
        raise ConversionError(f"{rewrite.path} is also set: remove one of them")
    former = tuple((*path, *name.split(".")) for name in values)
    value = None if rewrite.convert is None else rewrite.convert(values)
    yield Edit(former, (*path, *rewrite.target.split(".")), value)


def _dig(owner: Mapping[str, JsonValue], name: str) -> JsonValue:
    value: JsonValue | Mapping[str, JsonValue] = owner
    for part in name.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value  # type: ignore[return-value] # a mapping of JSON is JSON


def _objects_at(node: JsonValue, owner: str, path: Path) -> Iterator[tuple[Path, Mapping[str, JsonValue]]]:
    """Yield the objects at a path, in which `[]` stands for the items of a list."""
    if not owner:
        if isinstance(node, Mapping):
            yield path, node
        return
    step, _, rest = owner.partition(".")
    name, is_list = step.removesuffix("[]"), step.endswith("[]")
    child = node.get(name) if isinstance(node, Mapping) else None
    if not is_list:
        yield from _objects_at(child, rest, (*path, name))
    elif isinstance(child, Sequence) and not isinstance(child, str):
        for index, item in enumerate(child):
            yield from _objects_at(item, rest, (*path, name, index))


def _capitals(annotation: object, node: JsonValue, path: Path) -> Iterator[Edit]:
    """Yield the edits of values of enumerations without a capital."""
    if isinstance(annotation, type) and issubclass(annotation, Model) and isinstance(node, Mapping):
        for name, field in annotation.model_fields.items():
            key = field.alias or name
            yield from _capitals(field.annotation, node.get(key), (*path, key))
        return
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Literal and isinstance(node, str):
        capital = to_pascal(to_snake(node))
        if node not in arguments and capital in arguments:
            yield Edit((path,), path, capital)
    elif origin in {typing.Union, types.UnionType, typing.Annotated}:
        for argument in arguments:
            yield from _capitals(argument, node, path)
    elif origin is tuple and isinstance(node, Sequence) and not isinstance(node, str):
        for index, item in enumerate(node):
            yield from _capitals(arguments[0], item, (*path, index))


def _written(value: JsonValue) -> str:
    match value:
        case list():
            return f"[{', '.join(map(_written, value))}]"
        case dict():
            return f"{{{', '.join(f'{key}: {_written(item)}' for key, item in value.items())}}}"
    return str(value)
