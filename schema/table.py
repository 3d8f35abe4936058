"""The table of a namespace's options: read from TOML, validated, immutable."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, Field, ValidationError, model_validator

TABLE = Path(__file__).parent / "namespace_options.toml"
PRESENT = "present"
"""Value in a rule that stands for the presence of an object."""
ZERO = "zero"
"""Value in a rule that stands for no time."""

Scalar = bool | int | float | str
Settings = Mapping[str, Scalar]
RESOURCE_TYPES: Mapping[str, str] = {
    "name": "name",
    "boolean": "boolean",
    "integer": "integer",
    "duration": "seconds",
    "milliseconds": "seconds",
    "object": "object",
}
"""Types of the resource for fields that one field of the configuration mirrors; an enumeration sets any number."""
CONFIGURATION_TYPES = frozenset(RESOURCE_TYPES.values())


def snake_case(name: str) -> str:
    """Convert a name to the form of Python and the configuration: `slowConsumer` to slow_consumer."""
    return re.sub("([A-Z])", r"_\1", name).lower()


class TableError(Exception):
    """The table contradicts itself; the message has the place, and what would be valid."""


class Entry(BaseModel, frozen=True, extra="forbid"):
    """Base of the entries of the table."""


class ServerField(Entry):
    """A field of the server's configuration. `type` is one of CONFIGURATION_TYPES, or the name of an enumeration."""

    field: Annotated[str, Field(pattern="^[a-z_]+$")]
    type: str
    description: str
    since: Annotated[str, Field(pattern=r"^\d+\.\d+\.\d+$")]
    default: Scalar | None = None
    minimum: int | None = None
    above: int | None = None
    maximum: int | None = None


class EnumerationValue(Entry):
    """A value of an enumeration of the resource, and the configuration's fields that it sets."""

    means: str
    server: Settings = {}


class Option(Entry):
    """A field of the resource, and the configuration's fields that it becomes."""

    field: Annotated[str, Field(pattern="^[a-z][a-zA-Z]*$")]
    type: Literal["name", "boolean", "integer", "duration", "milliseconds", "enumeration", "object"]
    description: str
    default: Scalar | None = None
    minimum: int | None = None
    maximum: int | None = None
    values: Mapping[str, EnumerationValue] = {}
    model: Annotated[str, Field(alias="class")] = ""
    about: str = ""
    options: Annotated[tuple[Option, ...], Field(alias="option")] = ()
    server: Annotated[tuple[ServerField, ...], Field(min_length=1)]

    @property
    def attribute(self) -> str:
        """Name of the field in Python."""
        return snake_case(self.field)

    @property
    def text(self) -> str:
        """Description of the field, with those of its values."""
        values = "; ".join(f"`{name}`: {value.means}" for name, value in self.values.items())
        return f"{self.description} {values}." if values else self.description

    def settings(self, value: str) -> Settings:
        """Return the configuration's fields that a value of this enumeration sets."""
        return {
            field.field: self.values[value].server.get(field.field, field.default)
            for field in self.server
            if field.default is not None
        }

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if self.type != "enumeration":
            if [field.type for field in self.server] != [RESOURCE_TYPES[self.type]]:
                raise ValueError(f"{self.field}: needs one [[option.server]] of type {RESOURCE_TYPES[self.type]}")
            return self
        if self.default not in self.values:
            raise ValueError(f"{self.field}: default must be one of {', '.join(self.values)}")
        for name in self.values:
            if re.fullmatch("[A-Z][a-zA-Z]*", name) is None:
                raise ValueError(f"{self.field}: {name}: values are written in CamelCase with a capital")
        return self


class Enumeration(Entry):
    """An enumeration of the configuration, with its values and their descriptions."""

    name: Annotated[str, Field(pattern="^[A-Z][a-zA-Z]+$")]
    description: str
    values: Mapping[str, str]


class Rule(Entry):
    """A rule: when the field in `when` has one of the values, every field in `needs` must have one of its values."""

    when: Annotated[Mapping[str, tuple[Scalar, ...]], Field(min_length=1, max_length=1)]
    needs: Annotated[Mapping[str, tuple[Scalar, ...]], Field(min_length=1)]
    message: str


class ResourceRule(Rule):
    """A rule of the resource; `field` is the one to be changed."""

    name: Annotated[str, Field(pattern="^[a-z_]+$")]
    field: str


class Described(Entry):
    """The description of the namespace itself."""

    description: str


class Table(Entry):
    """The whole table."""

    namespace: Described
    options: Annotated[tuple[Option, ...], Field(alias="option")]
    enumerations: Annotated[tuple[Enumeration, ...], Field(alias="enumeration")]
    rules: Annotated[tuple[ResourceRule, ...], Field(alias="rule")]
    server_rules: Annotated[tuple[Rule, ...], Field(alias="server_rule")]

    @classmethod
    def read(cls, path: Path = TABLE) -> Table:
        """Read and check a table; raises TableError."""
        try:
            return cls.model_validate(tomllib.loads(path.read_text()))
        except (ValidationError, tomllib.TOMLDecodeError) as error:
            raise TableError(f"{path}: {error}") from error

    @property
    def server_fields(self) -> tuple[ServerField, ...]:
        """Return the fields of the configuration, without those of objects."""
        return tuple(field for option in self.options for field in option.server)

    def enumeration(self, name: str) -> Enumeration:
        """Return the enumeration of this name; raises TableError."""
        for enumeration in self.enumerations:
            if enumeration.name == name:
                return enumeration
        raise TableError(f"{name} is neither {', '.join(sorted(CONFIGURATION_TYPES))} nor an [[enumeration]]")

    def resource_values(self, field: str) -> tuple[Scalar, ...]:
        """Return the values of a field of the resource that rules may name, () for none; raises TableError."""
        for option in self.options:
            if option.field == field:
                return _values(option.type, tuple(option.values))
        raise TableError(f"a rule names {field}, which is no [[option]]")

    def server_values(self, field: str) -> tuple[Scalar, ...]:
        """Return the values of a field of the configuration that rules may name; raises TableError."""
        for candidate in self.server_fields:
            if candidate.field == field:
                known = candidate.type in CONFIGURATION_TYPES
                return _values(candidate.type, () if known else tuple(self.enumeration(candidate.type).values))
        raise TableError(f"a rule names {field}, which is no [[option.server]]")

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        problems = [*self._wrong_defaults(), *self._wrong_settings(), *self._wrong_rules()]
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _wrong_defaults(self) -> Iterator[str]:
        names = [field.field for field in self.server_fields]
        yield from (f"{name} is defined twice" for name in {*names} if names.count(name) > 1)
        for field in self.server_fields:
            if field.type not in CONFIGURATION_TYPES and field.default not in self._names_of(field.type):
                yield f"{field.field}: default must be a value of the enumeration {field.type}"

    def _wrong_settings(self) -> Iterator[str]:
        for option in self.options:
            fields = {field.field: field for field in option.server}
            unset = {*fields}
            for name, value in option.values.items():
                for set_field, setting in value.server.items():
                    unset.discard(set_field)
                    if set_field not in fields or not self._takes(fields[set_field], setting):
                        yield f"{option.field}: {name} sets {set_field} to {setting}, which the configuration refuses"
            if option.values and unset:
                yield f"{option.field}: no value sets {', '.join(sorted(unset))}"
            kept = [option.settings(name) for name in option.values]
            if any(kept.count(settings) > 1 for settings in kept):
                yield f"{option.field}: two values set the same"

    def _wrong_rules(self) -> Iterator[str]:
        for rules, values_of in ((self.rules, self.resource_values), (self.server_rules, self.server_values)):
            for rule in rules:
                for field, values in {**rule.when, **rule.needs}.items():
                    try:
                        known = values_of(field)
                    except TableError as error:
                        yield str(error)
                        continue
                    if not {*values} < {*known}:
                        yield f"a rule about {field} must name some of {', '.join(map(str, known))}, and not all"

        yield from (
            f"{rule.field}: is no [[option]], and cannot be changed"
            for rule in self.rules
            if rule.field not in {option.field for option in self.options}
        )

    def _takes(self, field: ServerField, value: Scalar) -> bool:
        return isinstance(value, bool) if field.type == "boolean" else value in self._names_of(field.type)

    def _names_of(self, enumeration: str) -> tuple[str, ...]:
        return next((tuple(known.values) for known in self.enumerations if known.name == enumeration), ())


def _values(kind: str, named: tuple[str, ...]) -> tuple[Scalar, ...]:
    if kind == "boolean":
        return (True, False)
    if kind in {"milliseconds", "seconds"}:
        return (ZERO, "positive")
    return (PRESENT, "absent") if kind == "object" else named
