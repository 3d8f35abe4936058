"""Tests of the server's generated modules."""

from __future__ import annotations

import ast

from schema.server_side import core_module, settings_module
from schema.table import Table

TABLE = Table.read()
FIELDS = [field.field for field in TABLE.server_fields]


def fields(source: str, name: str) -> list[str]:
    """Return the annotated fields of a class in a module."""
    (found,) = (node for node in ast.parse(source).body if isinstance(node, ast.ClassDef) and node.name == name)
    return [n.target.id for n in found.body if isinstance(n, ast.AnnAssign) and isinstance(n.target, ast.Name)]


def test_core_has_every_field_but_the_name() -> None:
    """Fields are in the order of the table."""
    assert fields(core_module(TABLE), "ChannelOptions") == FIELDS[1:]


def test_the_configuration_has_every_field() -> None:
    """Fields of objects are in a model of their own."""
    source = settings_module(TABLE)
    assert fields(source, "Namespace") == FIELDS
    assert fields(source, "History") == ["size", "ttl_seconds"]


def test_a_rule_names_the_value_that_broke_it() -> None:
    """The value is named where the message has a place for it."""
    assert 'f"slow_consumer {self.slow_consumer} skips' in settings_module(TABLE)


def test_core_imports_nothing_of_the_configuration() -> None:
    imported = [node.module for node in ast.walk(ast.parse(core_module(TABLE))) if isinstance(node, ast.ImportFrom)]
    assert imported == ["__future__", "dataclasses", "enum", "realtime_server.core.model.values"]
