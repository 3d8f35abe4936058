"""Generator of the part of docs/reference/server-config.md about namespaces."""

from __future__ import annotations

import json
from collections.abc import Iterator

from schema.table import CONFIGURATION_TYPES, Option, ServerField, Table

BEGIN = "<!-- Generated from schema/namespace_options.toml by `make options`. Do not edit. -->\n"
END = "<!-- End of what is generated. -->\n"
HEAD = "\n| field | type | default | since | means | in the resource |\n| --- | --- | --- | --- | --- | --- |\n"


def table_of_fields(table: Table) -> str:
    """Return the table of the configuration's fields in Markdown, with both marks."""
    return f"{BEGIN}{HEAD}{''.join(_rows(table, table.options, '', ''))}\n{END}"


def with_table(page: str, table: Table) -> str:
    """Replace the table in the page; raises ValueError for a page without the marks."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError("the page has no marks of the generated part")
    return f"{before}{table_of_fields(table)}{after}"


def _rows(table: Table, options: tuple[Option, ...], path: str, resource: str) -> Iterator[str]:
    for option in options:
        for field in option.server:
            default = "" if field.type == "object" else "required" if field.default is None else _code(field.default)
            yield (
                f"| `{path}{field.field}` | {_type(field)} | {default} | {field.since} | {_means(field, table)}"
                f" | `{resource}{option.field}` |\n"
            )
        (*_, last) = option.server
        yield from _rows(table, option.options, f"{path}{last.field}.", f"{resource}{option.field}.")


def _code(value: object) -> str:
    return f"`{value if isinstance(value, str) else json.dumps(value)}`"


def _type(field: ServerField) -> str:
    kind = field.type if field.type in CONFIGURATION_TYPES else "enumeration"
    kind = {"name": "text", "object": "object or null"}.get(kind, kind)
    least = field.minimum if field.minimum is not None else field.above
    if least is None:
        return kind
    begins = f"above {least}" if field.above is not None else f"from {least}"
    return f"{kind}, {begins}" + ("" if field.maximum is None else f" to {field.maximum}")


def _means(field: ServerField, table: Table) -> str:
    if field.type in CONFIGURATION_TYPES:
        return field.description
    values = table.enumeration(field.type).values
    listed = "; ".join(
        f"`{value}`: {means[:1].lower()}{means[1:].removesuffix('.')}" for value, means in values.items()
    )
    return f"{field.description}. {listed[:1]}{listed[1:]}" if listed else field.description
