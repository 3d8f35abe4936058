"""Tests of the operator's generated modules."""

from __future__ import annotations

import ast

from schema.operator_side import config_module, model_module
from schema.table import Table

TABLE = Table.read()


def classes(source: str) -> dict[str, ast.ClassDef]:
    """Return the classes of a module by name."""
    return {node.name: node for node in ast.parse(source).body if isinstance(node, ast.ClassDef)}


def test_the_model_has_every_option_in_the_order_of_the_table() -> None:
    """Each option is followed by its description."""
    namespace = classes(model_module(TABLE))["Namespace"]
    fields = [
        node.target.id
        for node in namespace.body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    ]
    assert fields == [option.attribute for option in TABLE.options]
    documented = [
        node.value.value
        for node in namespace.body[1:]
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    ]
    assert [" ".join(str(text).split()) for text in documented] == [option.text for option in TABLE.options]


def test_the_model_has_every_rule() -> None:
    """A rule is a method that returns True when it holds."""
    methods = {
        node.name for node in classes(model_module(TABLE))["Namespace"].body if isinstance(node, ast.FunctionDef)
    }
    assert {f"_{rule.name}" for rule in TABLE.rules} <= methods


def test_the_translation_knows_every_value_of_every_enumeration() -> None:
    """Each value has its complete configuration."""
    source = config_module(TABLE)
    tables = {
        node.target.id: ast.literal_eval(node.value)
        for node in ast.parse(source).body
        if isinstance(node, ast.AnnAssign)
        and isinstance(node.target, ast.Name)
        and node.target.id not in {"NAMESPACE", "HISTORY"}
        and node.value is not None
    }
    assert tables == {
        option.attribute.upper(): {value: dict(option.settings(value)) for value in option.values}
        for option in TABLE.options
        if option.values
    }
