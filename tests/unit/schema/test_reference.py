"""Tests of the table of fields in the reference."""

from __future__ import annotations

import pytest
from schema.reference import BEGIN, END, table_of_fields, with_table
from schema.table import Table

TABLE = Table.read()


def test_every_field_has_a_row() -> None:
    """Fields of objects have a row too, with type, default, and the resource's field that sets them."""
    lines = table_of_fields(TABLE).splitlines()
    named = [line.split("`")[1] for line in lines if line.startswith("| `")]
    assert named[:4] == ["name", "history", "history.size", "history.ttl_seconds"]
    assert set(named) == {field.field for field in TABLE.server_fields} | {"history.size", "history.ttl_seconds"}
    (size,) = (line for line in lines if line.startswith("| `history.size`"))
    assert size.startswith("| `history.size` | integer, from 1 | `100` | 0.1.0 |")
    assert size.endswith("| `history.size` |")


def test_values_of_enumerations_are_explained() -> None:
    (publish,) = (line for line in table_of_fields(TABLE).splitlines() if line.startswith("| `publish`"))
    assert "`nobody`: no client; `subscribers`: subscribers of the channel; `anyone`: all clients" in publish


def test_only_what_stands_between_the_marks_is_replaced() -> None:
    """A page without marks is refused."""
    page = f"before\n{BEGIN}old\n{END}after\n"
    assert with_table(page, TABLE) == f"before\n{table_of_fields(TABLE)}after\n"
    with pytest.raises(ValueError, match="has no marks"):
        with_table("before\nafter\n", TABLE)
