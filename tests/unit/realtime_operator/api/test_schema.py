"""Tests of structural schemas made from models."""

from __future__ import annotations

from typing import Annotated, Literal

import pytest
from pydantic import Field

from realtime_operator.api.base import Model, rule
from realtime_operator.api.schema import UnsupportedSchema, structural_schema


class Inner(Model):
    """An inner object."""

    size: Annotated[int, Field(ge=1, le=9)] = 3
    """How much."""
    mode: Literal["a", "b"] | None = None
    """Which one."""


class Ruled(Inner):
    """With a rule."""

    @rule("self.size > 1", "must be more", field="size")
    def _is_more(self) -> bool:
        return self.size > 1


class Outer(Model):
    """An outer object."""

    inner: Inner = Inner()
    """The inner one."""
    ruled: Ruled = Ruled()
    """The one with a rule."""
    other: Inner | None = None
    """May be absent."""
    names: Annotated[tuple[Annotated[str, Field(max_length=5)], ...], Field(max_length=2)] = ()
    """Some names."""


class Undocumented(Model):
    """Says too little."""

    size: int = 0


class Union(Model):
    """One or the other."""

    value: int | str = 0
    """A number or a text."""


class Unbounded(Model):
    """As long as you like."""

    text: str = ""
    """A text."""


def test_the_whole_schema() -> None:
    """References are inlined, null and titles are removed, defaults are at their field and rules at their object."""
    size = {"description": "How much. From 1 to 9.", "type": "integer", "minimum": 1, "maximum": 9, "default": 3}
    mode = {"description": "Which one.", "type": "string", "enum": ["a", "b"]}
    rule_of_size = {"rule": "self.size > 1", "message": "must be more", "fieldPath": ".size"}
    properties = {"size": size, "mode": mode}
    assert structural_schema(Outer, bounded=True) == {
        "description": "An outer object.",
        "type": "object",
        "properties": {
            "inner": {"description": "The inner one.", "type": "object", "properties": properties, "default": {}},
            "ruled": {
                "description": "The one with a rule.",
                "type": "object",
                "properties": properties,
                "default": {"size": 3},
                "x-kubernetes-validations": [rule_of_size],
            },
            "other": {"description": "May be absent.", "type": "object", "properties": properties},
            "names": {
                "description": "Some names.",
                "type": "array",
                "maxItems": 2,
                "items": {"type": "string", "maxLength": 5},
            },
        },
    }


@pytest.mark.parametrize(
    ("model", "bounded", "message"),
    [
        (Undocumented, False, "Undocumented.size: is not documented"),
        (Union, False, "Union.value: a union"),
        (Unbounded, True, "Unbounded.text: has no largest size"),
    ],
)
def test_what_a_crd_cannot_say_is_refused(model: type[Model], bounded: bool, message: str) -> None:
    """The error comes when the schema is generated, and names the field."""
    with pytest.raises(UnsupportedSchema, match=message):
        structural_schema(model, bounded=bounded)


def test_unknown_keywords_are_refused() -> None:
    """The API server would drop them silently."""

    class Multiple(Model):
        """Only some."""

        size: Annotated[int, Field(multiple_of=2)] = 0
        """Even."""

    with pytest.raises(UnsupportedSchema, match=r"Multiple\.size: multipleOf has no place in a CRD"):
        structural_schema(Multiple, bounded=False)
