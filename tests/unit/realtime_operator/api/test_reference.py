"""Tests of the generated reference."""

from __future__ import annotations

from collections.abc import Iterator

from realtime_operator.api.base import JsonObject
from realtime_operator.api.crd import root_schema
from realtime_operator.api.reference import build_reference
from realtime_operator.api.schema import PRESERVES_UNKNOWN
from tests.kit.document import object_at


def fields(schema: JsonObject) -> Iterator[str]:
    """Yield the names of all fields of a schema, without those of Kubernetes' own structures."""
    for name in object_at(schema, "properties"):
        yield name
        child = object_at(schema, "properties", name)
        yield from fields(child)
        items = object_at(child, "items")
        yield from fields({} if PRESERVES_UNKNOWN in items else items)


def test_every_field_is_in_it() -> None:
    page = build_reference()
    for part in ("spec", "status"):
        for name in fields(object_at(root_schema(), "properties", part)):
            assert f"| `{name}` |" in page


def test_rules_are_in_it() -> None:
    assert "- Timeout must be shorter than interval" in build_reference()


def test_tables_have_no_broken_cells() -> None:
    rows = [line for line in build_reference().splitlines() if line.startswith("|")]
    assert {line.replace("\\|", "").count("|") for line in rows} == {5}
