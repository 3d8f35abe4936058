"""Base of all versions of the API: JSON types, base models, and rules that a JSON schema cannot express.

A rule is written once, with a CEL expression for the API server and its Python twin for the operator: both refuse the
same objects with the same message, as tests/kit/refusals.py proves.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Generic, Self, TypeVar

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, GetJsonSchemaHandler, model_validator
from pydantic.alias_generators import to_camel
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

JsonValue = None | bool | int | float | str | list["JsonValue"] | dict[str, "JsonValue"]
JsonObject = dict[str, JsonValue]

VALIDATIONS = "x-kubernetes-validations"

Value = TypeVar("Value")
Owner = TypeVar("Owner", bound="Model")


@dataclass(frozen=True, slots=True)
class Check(Generic[Value]):
    """Rule for a single value, as metadata of a type: `Annotated[str, Check("self != ''", "...", bool)]`.

    `cel` must hold for the API server and `holds` for the operator; `message` says what is wrong and what would be
    valid.
    """

    cel: str
    message: str
    holds: Callable[[Value], bool]

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Add the check after the type's own validation."""
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Add the rule to the schema, for the API server."""
        rendered = handler(schema)
        rules = [*rendered.get(VALIDATIONS, []), {"rule": self.cel, "message": self.message}]
        return {**rendered, VALIDATIONS: rules}

    def _check(self, value: Value) -> Value:
        if not self.holds(value):
            raise refusal(self.message)
        return value


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule over several fields of a model.

    `field` (its name in the resource) is the one to be changed, None: the model itself.
    """

    cel: str
    message: str
    field: str | None
    holds: Callable[[Model], bool]


def rule(cel: str, message: str, *, field: str | None = None) -> Callable[[Callable[[Owner], bool]], RuleMethod]:
    """Make a rule of a method that returns True when the rule holds."""

    def decorate(method: Callable[[Owner], bool]) -> RuleMethod:
        return RuleMethod(Rule(cel, message, field, method))  # type: ignore[arg-type] # only called with its owner

    return decorate


@dataclass(frozen=True, slots=True)
class RuleMethod:
    """The product of `rule` in a class body, collected by `Model`."""

    rule: Rule


class Model(BaseModel):
    """Base of every model of the API: camelCase outside, immutable, unknown fields refused, no conversions."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="forbid",
        frozen=True,
        strict=True,
        use_attribute_docstrings=True,
        ignored_types=(RuleMethod,),
    )

    rules: ClassVar[tuple[Rule, ...]] = ()

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: object) -> None:
        """Collect the rules in the order of their definition."""
        own = tuple(member.rule for member in vars(cls).values() if isinstance(member, RuleMethod))
        cls.rules = (*cls.rules, *own)

    @model_validator(mode="after")
    def _check_rules(self) -> Self:
        for entry in self.rules:
            if not entry.holds(self):
                raise refusal(entry.message, entry.field)
        return self


def refusal(message: str, field: str | None = None) -> PydanticCustomError:
    """Return the error of a violated rule; `errors.findings_of` reads the field from it."""
    return PydanticCustomError("rule", "{message}", {"message": message, "field": field})
