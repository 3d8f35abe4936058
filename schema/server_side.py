"""Generator of the server's modules: the options in core, and the model of the configuration."""

from __future__ import annotations

from schema.conditions import broken, member
from schema.table import CONFIGURATION_TYPES, Enumeration, Option, Rule, ServerField, Table
from schema.writing import HEADER, docstring, formatted, text

TYPES = {"boolean": "bool", "integer": "int", "seconds": "float"}
NAME = 'Annotated[str, Field(min_length=1, max_length=64, pattern="^[a-zA-Z0-9_.-]+$")]'


def core_module(table: Table) -> str:
    """Return the source of the options in core, core/model/channel_options.py."""
    parts = [
        HEADER,
        '"""The options of a channel, as its namespace has them."""\n\nfrom __future__ import annotations\n\n',
        "from dataclasses import dataclass\nfrom enum import StrEnum\n\n",
        "from realtime_server.core.model.values import HistoryOptions\n",
        *(_enumeration(enumeration) for enumeration in table.enumerations),
        "\n\n@dataclass(frozen=True, slots=True)\nclass ChannelOptions:\n",
        '    """Features and permissions of a channel; they satisfy the rules of the configuration."""\n\n',
        *(_option(option, field) for option in table.options for field in option.server if field.type != "name"),
    ]
    return formatted("".join(parts))


def _enumeration(enumeration: Enumeration) -> str:
    members = "".join(
        f'    {member(value)} = "{value}"{_noqa(value)}\n{docstring(means)}'
        for value, means in enumeration.values.items()
    )
    return f"\n\nclass {enumeration.name}(StrEnum):\n{docstring(enumeration.description)}\n{members}"


def _noqa(value: str) -> str:
    return "  # noqa: S105 - names what it takes" if value == "token" else ""


def _option(option: Option, field: ServerField) -> str:
    if field.type == "object":
        declared = f"{option.model}Options | None = None"
    else:
        declared = f"{TYPES.get(field.type, field.type)} = {_default(field)}"
    return f"    {field.field}: {declared}\n"


def _default(field: ServerField) -> str:
    if field.type not in CONFIGURATION_TYPES:
        return f"{field.type}.{member(str(field.default))}"
    return repr(float(field.default) if field.type == "seconds" and field.default is not None else field.default)


def settings_module(table: Table) -> str:
    """Return the source of the configuration's model, namespace_settings.py."""
    objects = [option for option in table.options if option.type == "object"]
    classes = sorted(["ChannelOptions", *(enumeration.name for enumeration in table.enumerations)])
    parts = [
        HEADER,
        '"""The options of a channel namespace in the configuration."""\n\nfrom __future__ import annotations\n\n',
        "from typing import Annotated, Self\n\nfrom pydantic import BaseModel, Field, model_validator\n\n",
        f"from realtime_server.core.model.channel_options import {', '.join(classes)}\n",
        "from realtime_server.core.model.values import HistoryOptions\n",
        *(_model(option.model, option.about, _fields(option.options)) for option in objects),
        _model("Namespace", table.namespace.description, _fields(table.options)),
        "\n    @model_validator(mode='after')\n    def _options_go_together(self) -> Self:\n",
        *(_rule(rule, table) for rule in table.server_rules),
        "        return self\n",
        "\n\ndef channel_options(namespace: Namespace) -> ChannelOptions:\n",
        '    """Return the options in the form of core."""\n    return ChannelOptions(\n',
        *(f"        {field.field}={_value(option, field)},\n" for option in table.options for field in option.server
          if field.type != "name"),
        "    )\n",
        *(_object_function(option) for option in objects),
    ]  # fmt: skip
    return formatted("".join(parts))


def _fields(options: tuple[Option, ...]) -> str:
    return "".join(f"    {field.field}: {_setting(option, field)}\n" for option in options for field in option.server)


def _model(name: str, about: str, fields: str) -> str:
    return f'\n\nclass {name}(BaseModel, frozen=True, extra="forbid"):\n{docstring(about)}\n{fields}'


def _setting(option: Option, field: ServerField) -> str:
    if field.type == "name":
        return NAME
    if field.type == "object":
        return f"{option.model} | None = None"
    kind = TYPES.get(field.type, field.type)
    bounds = {"ge": field.minimum, "gt": field.above, "le": field.maximum}
    written = ", ".join(f"{name}={bound}" for name, bound in bounds.items() if bound is not None)
    declared = f"Annotated[{kind}, Field({written})]" if written else kind
    default = _default(field) if field.type not in CONFIGURATION_TYPES else repr(field.default)
    return f"{declared} = {default}"


def _rule(rule: Rule, table: Table) -> str:
    ((field, _),) = rule.when.items()
    message = text(rule.message.replace(f"{{{field}}}", f"{{self.{field}}}"))
    if "{self." in message:
        message = "\n".join("f" + line if "{" in line else line for line in message.splitlines())
    return f"        if {broken(rule, table)}:\n            raise ValueError({message})\n"


def _value(option: Option, field: ServerField) -> str:
    return f"_{option.attribute}(namespace.{field.field})" if field.type == "object" else f"namespace.{field.field}"


def _object_function(option: Option) -> str:
    fields = ", ".join(f"{option.attribute}.{field.field}" for inner in option.options for field in inner.server)
    return (
        f"\n\ndef _{option.attribute}({option.attribute}: {option.model} | None) -> {option.model}Options | None:\n"
        f"    return None if {option.attribute} is None else {option.model}Options({fields})\n"
    )
