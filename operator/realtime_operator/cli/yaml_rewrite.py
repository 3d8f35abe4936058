"""Conversion of a YAML file in former names. Comments, and documents in which nothing is converted, stay as written."""

from __future__ import annotations

import io
import itertools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import yaml
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.scalarstring import ScalarString
from ruamel.yaml.util import load_yaml_guess_indent

from realtime_operator import naming
from realtime_operator.api.base import JsonObject, JsonValue
from realtime_operator.api.conversion import Edit, edits_of
from realtime_operator.api.conversion import Path as FieldPath
from realtime_operator.cli.cluster_file import checked, parse_documents
from realtime_operator.errors import InputError

LINE_WIDTH = 1_000_000
"""Lines are not folded."""
NESTED = re.compile(r"^( *)[^\s#-][^\n#]*:[ ]*\n(?: *(?:#[^\n]*)?\n)*( +)[^\s#-]", flags=re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Converted:
    """The text of a file in the names of today, and a line for each edit; no line: nothing was to be converted."""

    text: str
    edits: tuple[str, ...]


def convert(text: str, source: str) -> Converted:
    """Convert the RealtimeClusters in a text; raises InputError, which names the field, where it cannot be done.

    `source` is named in errors.
    """
    parts: list[str] = []
    lines: list[str] = []
    for part in _documents(text, source):
        converted, edits = _converted(part, source)
        parts.append(converted)
        lines += edits
    return Converted("".join(parts), tuple(lines))


def _converted(text: str, source: str) -> tuple[str, list[str]]:
    """Convert the text of one document; the result is one that this release accepts."""
    lines: list[str] = []
    for document in parse_documents(text, source):
        if document.get("kind") != naming.KIND:
            continue
        edits = _edits(document, source)
        text = _rewritten(text, edits) if edits else text
        lines = [f"{naming.KIND} {_name(document)}: {edit}" for edit in edits]
        for converted in parse_documents(text, source):
            checked(source, converted)
    return text, lines


def _documents(text: str, source: str) -> Iterator[str]:
    """The texts of the documents; joined, they are the whole text."""
    try:
        events = list(yaml.parse(text))
    except yaml.YAMLError as error:
        raise InputError(f"{source}: is not YAML: {' '.join(str(error).split())}") from error
    marks = [event.start_mark for event in events if isinstance(event, yaml.DocumentStartEvent)]
    bounds = [0, *(mark.index for mark in marks[1:] if mark is not None), len(text)]
    for start, end in itertools.pairwise(bounds):
        yield text[start:end]


def _edits(document: JsonObject, source: str) -> tuple[Edit, ...]:
    edits, obstacles = edits_of(document)
    if obstacles:
        lines = "\n".join(f"  {obstacle}" for obstacle in obstacles)
        raise InputError(f"{source}: {naming.KIND} {_name(document)} cannot be converted:\n{lines}")
    return edits


def _name(document: JsonObject) -> str:
    metadata = document.get("metadata")
    return str(metadata.get("name", "")) if isinstance(metadata, dict) else ""


def _rewritten(text: str, edits: tuple[Edit, ...]) -> str:
    _, sequence, offset = load_yaml_guess_indent(text)
    nested = NESTED.search(text)
    rewriter = YAML()
    rewriter.preserve_quotes = True
    rewriter.width = LINE_WIDTH
    rewriter.explicit_start = text.startswith("---")
    mapping = len(nested[2]) - len(nested[1]) if nested else 2
    rewriter.indent(mapping=mapping, sequence=sequence or mapping, offset=offset or 0)
    document = rewriter.load(text)
    for edit in edits:
        _apply(document, edit)
    output = io.StringIO()
    rewriter.dump(document, output)
    return output.getvalue()


def _apply(document: CommentedMap, edit: Edit) -> None:
    """Write the new field where the first former one was."""
    first, path = edit.former[0], edit.path
    owner = _at(document, first[:-1])
    if first == path:
        owner[first[-1]] = _like(owner[first[-1]], edit.value)
        _remove(document, edit.former[1:])
        return
    fork = next(depth for depth, (old, new) in enumerate(zip(first, path, strict=False)) if old != new)
    parent = _at(document, path[:fork])
    position = list(parent).index(first[fork])
    is_sibling = fork == len(first) - 1
    comment = parent.ca.items.get(first[fork]) if is_sibling else None
    value = owner[first[-1]] if edit.value is None else _node(edit.value, owner[first[-1]])
    _remove(document, edit.former)
    _insert(parent, path[fork:], value, position if is_sibling else position + 1)
    if comment is not None:
        parent.ca.items[path[fork]] = comment


def _at(document: CommentedMap, path: FieldPath) -> CommentedMap:
    node = document
    for step in path:
        node = node[step]
    return node


def _remove(document: CommentedMap, paths: Iterable[FieldPath]) -> None:
    for path in paths:
        del _at(document, path[:-1])[path[-1]]


def _insert(parent: CommentedMap, path: FieldPath, value: object, position: int) -> None:
    """Insert a value below a mapping, in mappings that are made where they are not there yet."""
    if path[0] in parent:
        below = parent[path[0]]
        _insert(below, path[1:], value, len(below))
        return
    if path[1:] and isinstance(value, CommentedMap):
        value.ca.comment = None  # it is the comment of the key, which gets another value
    for step in reversed(path[1:]):
        wrapper = CommentedMap({step: value})
        if _is_flow(value):
            wrapper.fa.set_flow_style()
        value = wrapper
    parent.insert(position, path[0], value)


def _is_flow(value: object) -> bool:
    return not isinstance(value, CommentedMap | CommentedSeq) or value.fa.flow_style() is True


def _like(old: object, value: JsonValue) -> object:
    """A scalar in the quotes of the one that it replaces."""
    return type(old)(value) if isinstance(old, ScalarString) and isinstance(value, str) else value


def _node(value: JsonValue, old: object) -> object:
    """A value in the style, flow or block, of the one that it replaces."""
    if not isinstance(value, list):
        return _like(old, value)
    items = CommentedSeq([CommentedMap(item) if isinstance(item, dict) else item for item in value])
    for node in (items, *items) if _is_flow(old) else ():
        if isinstance(node, CommentedMap | CommentedSeq):
            node.fa.set_flow_style()
    return items
