"""Conversion of YAML and JSON files that use former names.

Comments, and documents without such names, are not changed. JSON stays JSON.
"""

from __future__ import annotations

import io
import itertools
import json
import re
from collections.abc import Iterator
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
"""Line width that is never reached, so that lines are not folded."""
NESTED = re.compile(r"^( *)[^\s#-][^\n#]*:[ ]*\n(?: *(?:#[^\n]*)?\n)*( +)[^\s#-]", flags=re.MULTILINE)
JSON_INDENT = re.compile(r'\s*\{\s*\n( +)"')
"""Beginning of JSON with one field per line."""


@dataclass(frozen=True, slots=True)
class Converted:
    """The text with current names, and a description of each edit; without edits the text is unchanged."""

    text: str
    edits: tuple[str, ...]


def convert(text: str, source: str) -> Converted:
    """Convert the RealtimeClusters in a text; raises InputError, which names the field, when that is not possible.

    `source` names the text in errors.
    """
    parts: list[str] = []
    lines: list[str] = []
    for part in _documents(text, source):
        converted, edits = _converted(part, source)
        parts.append(converted)
        lines += edits
    return Converted("".join(parts), tuple(lines))


def _converted(text: str, source: str) -> tuple[str, list[str]]:
    """Convert the text of one document and check that this release accepts the result."""
    lines: list[str] = []
    for document in parse_documents(text, source):
        if document.get("kind") != naming.KIND:
            continue
        edits = _edits(document, source)
        if edits:
            _refuse_aliases(text, f"{source}: {naming.KIND} {_name(document)}")
            text = _rewritten(text, edits)
        lines = [f"{naming.KIND} {_name(document)}: {edit}" for edit in edits]
        for converted in parse_documents(text, source):
            checked(source, converted)
    return text, lines


def _documents(text: str, source: str) -> Iterator[str]:
    """Yield the texts of the documents; their concatenation is the whole text."""
    try:
        events = list(yaml.parse(text))
    except yaml.YAMLError as error:
        raise InputError(f"{source}: is not YAML: {' '.join(str(error).split())}") from error
    marks = [event.start_mark for event in events if isinstance(event, yaml.DocumentStartEvent)]
    bounds = [0, *(mark.index for mark in marks[1:] if mark is not None), len(text)]
    for start, end in itertools.pairwise(bounds):
        yield text[start:end]


def _refuse_aliases(text: str, what: str) -> None:
    """Raise InputError for aliases: an edit of the anchored node would change its other occurrences."""
    for event in yaml.parse(text):
        if isinstance(event, yaml.AliasEvent):
            raise InputError(
                f"{what} cannot be converted: the alias *{event.anchor} refers to another part of the file: "
                "replace it with the text of that part"
            )


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
    rewriter.brace_single_entry_mapping_in_flow_sequence = True
    rewriter.explicit_start = text.startswith("---")
    mapping = len(nested[2]) - len(nested[1]) if nested else 2
    rewriter.indent(mapping=mapping, sequence=sequence or mapping, offset=offset or 0)
    document = rewriter.load(text)
    for edit in edits:
        _apply(document, edit)
    if _is_json(text):
        return _json_like(text, document)
    output = io.StringIO()
    rewriter.dump(document, output)
    return output.getvalue()


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _json_like(text: str, document: CommentedMap) -> str:
    """Return a document as JSON, on one line or indented as `text` is: readers of JSON may not read YAML."""
    indented = JSON_INDENT.match(text)
    end = "\n" if text.endswith("\n") else ""
    return json.dumps(document, indent=indented[1] if indented else None, ensure_ascii=False) + end


def _apply(document: CommentedMap, edit: Edit) -> None:
    """Write the new field at the position of the first former one."""
    first, path = edit.former[0], edit.path
    for other in edit.former[1:]:
        _remove(_at(document, other[:-1]), other[-1])
    owner = _at(document, first[:-1])
    if first == path:
        owner[first[-1]] = _like(owner[first[-1]], edit.value)
        return
    fork = next(depth for depth, (old, new) in enumerate(zip(first, path, strict=False)) if old != new)
    parent = _at(document, path[:fork])
    position = list(parent).index(first[fork])
    is_sibling = fork == len(first) - 1
    comment = owner.ca.items.pop(first[-1], None)
    old = owner.pop(first[-1])
    _insert(parent, path[fork:], old if edit.value is None else _node(edit.value, old), position + (not is_sibling))
    if comment is not None:
        below = _at(document, path[:-1])
        is_inside = not is_sibling and not _is_flow(below)
        (below if is_inside else parent).ca.items.setdefault(path[-1 if is_inside else fork], comment)


def _remove(owner: CommentedMap, name: str | int) -> None:
    """Remove a field; its comment, with the lines below it, moves to the field before it."""
    comment = owner.ca.items.pop(name, None)
    before = list(owner)[max(list(owner).index(name) - 1, 0)]
    del owner[name]
    if comment is None or before == name or not _is_flow(owner[before]):
        return
    there = owner.ca.items.get(before)
    if there is None or there[2] is None:
        owner.ca.items[before] = comment
    elif comment[2] is not None:
        there[2].value += comment[2].value


def _at(document: CommentedMap, path: FieldPath) -> CommentedMap:
    node = document
    for step in path:
        node = node[step]
    return node


def _insert(parent: CommentedMap, path: FieldPath, value: object, position: int) -> None:
    """Insert a value below a mapping, and create missing mappings on its path."""
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
    """Return the value with the quotes of the scalar that it replaces."""
    return type(old)(value) if isinstance(old, ScalarString) and isinstance(value, str) else value


def _node(value: JsonValue, old: object) -> object:
    """Return the value as a node in the style (flow or block) of the one that it replaces."""
    if not isinstance(value, list):
        return _like(old, value)
    items = CommentedSeq([CommentedMap(item) if isinstance(item, dict) else item for item in value])
    if _is_flow(old):
        for node in (items, *items):
            if isinstance(node, CommentedMap | CommentedSeq):
                node.fa.set_flow_style()
        return items
    for index, comment in old.ca.items.items():  # type: ignore[attr-defined] # a block is a CommentedSeq
        if isinstance(items[index], CommentedMap):  # there the comment belongs to the last field
            items[index].ca.items[next(reversed(items[index]))] = [None, None, comment[0], None]
    return items
