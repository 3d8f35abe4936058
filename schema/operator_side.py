"""Generator of the operator's modules: the model of the resource, and its translation to the configuration."""

from __future__ import annotations

import json
from collections.abc import Iterator

from schema.conditions import holds
from schema.table import Option, ResourceRule, Table
from schema.writing import HEADER, docstring, formatted, text

TYPES = {"name": "NamespaceName", "boolean": "bool", "duration": "Duration", "milliseconds": "Milliseconds"}
PROPERTIES = {
    "duration": ("int", "duration.seconds(self.{0})"),
    "milliseconds": ("float", "duration.milliseconds(self.{0}) / 1000"),
}
"""Properties in seconds, by the type of the field: their type and expression."""


def model_module(table: Table) -> str:
    """Return the source of the model, api/v1alpha1_namespace.py."""
    objects = [option for option in table.options if option.type == "object"]
    parts = [
        HEADER,
        '"""The options of a channel namespace in the spec."""\n\nfrom __future__ import annotations\n\n',
        "from typing import Annotated, Literal\n\nfrom pydantic import Field\n\n",
        "from realtime_operator.api import duration\n",
        "from realtime_operator.api.base import Model, rule\n",
        "from realtime_operator.api.fields import Duration, Milliseconds, NamespaceName\n",
    ]
    parts += [_model(option.model, option.about, option.options) for option in objects]
    parts.append(_model("Namespace", table.namespace.description, table.options, table))
    return formatted("".join(parts))


def _model(name: str, about: str, options: tuple[Option, ...], table: Table | None = None) -> str:
    members = [f"    {option.attribute}: {_annotation(option)}\n{docstring(option.text)}" for option in options]
    if table is not None:
        members += [_rule(rule, table) for rule in table.rules]
    members += [_property(option) for option in options if option.type in PROPERTIES]
    return f"\n\nclass {name}(Model):\n{docstring(about)}\n{''.join(members)}"


def _annotation(option: Option) -> str:
    match option.type:
        case "name":
            return TYPES["name"]
        case "object":
            return f"{option.model} | None = None"
        case "integer":
            return f"Annotated[int, Field(ge={option.minimum}, le={option.maximum})] = {option.default}"
        case "enumeration":
            return f"Literal[{', '.join(json.dumps(value) for value in option.values)}] = {json.dumps(option.default)}"
    return f"{TYPES[option.type]} = {option.default!r}"


def _rule(rule: ResourceRule, table: Table) -> str:
    return (
        f"\n    @rule(\n{text(holds(rule, table, 'cel'))},\n{text(rule.message)},\nfield={json.dumps(rule.field)},\n)\n"
        f"    def _{rule.name}(self) -> bool:\n        return {holds(rule, table, 'operator')}\n"
    )


def _property(option: Option) -> str:
    kind, expression = PROPERTIES[option.type]
    return (
        f"\n    @property\n    def {option.attribute}_seconds(self) -> {kind}:\n"
        f'        """`{option.attribute}` in seconds."""\n        return {expression.format(option.attribute)}\n'
    )


def config_module(table: Table) -> str:
    """Return the source of the translation, builders/configuration/namespaces.py."""
    objects = [option for option in table.options if option.type == "object"]
    enumerations = [option for option in table.options if option.values]
    names = ", ".join(sorted([*(option.model for option in objects), "Namespace"]))
    parts = [
        HEADER,
        '"""The options of a channel namespace in the servers\' configuration."""\n\n',
        "from __future__ import annotations\n",
        "\nfrom collections.abc import Mapping\n\nfrom realtime_operator.api.base import JsonObject\n",
        f"from realtime_operator.api.v1alpha1_namespace import {names}\n",
        "from realtime_operator.builders.configuration.pruning import Defaults, OptionalDefaults\n\n",
        *(_defaults(option.model.upper(), option.options) for option in objects),
        _defaults("NAMESPACE", table.options),
        '"""Defaults of the server for fields of a namespace that its configuration leaves out."""\n\n',
        *(_settings(option) for option in enumerations),
        _translation("namespace_config", "Namespace", table.options),
        *(_translation(f"_{option.attribute}", option.model, option.options) for option in objects),
    ]
    return formatted("".join(parts))


def _defaults(name: str, options: tuple[Option, ...]) -> str:
    lines = "".join(f"    {line},\n" for option in options for line in _default_lines(option))
    return f"{name}: Defaults = {{\n{lines}}}\n"


def _default_lines(option: Option) -> Iterator[str]:
    for field in option.server:
        if field.type == "object":
            yield f'"{field.field}": OptionalDefaults({option.model.upper()})'
        elif field.default is not None:
            yield f'"{field.field}": {field.default!r}'


def _settings(option: Option) -> str:
    lines = "".join(f"    {json.dumps(value)}: {dict(option.settings(value))!r},\n" for value in option.values)
    return f"{option.attribute.upper()}: Mapping[str, JsonObject] = {{\n{lines}}}\n"


def _translation(function: str, model: str, options: tuple[Option, ...]) -> str:
    lines = "".join(f"        {_translated(option)},\n" for option in options)
    return (
        f'\n\ndef {function}(options: {model}) -> JsonObject:\n    """Return all fields of the configuration."""\n'
        f"    return {{\n{lines}    }}\n"
    )


def _translated(option: Option) -> str:
    value = f"options.{option.attribute}"
    match option.type:
        case "enumeration":
            return f"**{option.attribute.upper()}[{value}]"
        case "object":
            value = f"None if {value} is None else _{option.attribute}({value})"
        case "duration" | "milliseconds":
            value += "_seconds"
    return f'"{option.server[0].field}": {value}'
