"""Tests of models, checks of single values, and rules over several."""

from __future__ import annotations

from typing import Annotated

import pytest
from pydantic import ValidationError

from realtime_operator.api.base import VALIDATIONS, Check, Model, rule


class Range(Model):
    """A range."""

    lower_end: Annotated[int, Check("self >= 0", "must not be negative", lambda value: value >= 0)] = 0
    """From here."""
    upper_end: int = 9
    """To here."""

    @rule("self.lowerEnd <= self.upperEnd", "lowerEnd must not be above upperEnd", field="lowerEnd")
    def _is_ordered(self) -> bool:
        return self.lower_end <= self.upper_end


class Narrow(Range):
    """A range that is not wide."""

    @rule("self.upperEnd - self.lowerEnd < 5", "must be narrow")
    def _is_narrow(self) -> bool:
        return self.upper_end - self.lower_end < 5


def test_names_are_camel_case_outside() -> None:
    """Names are in Python's form in code, and in Kubernetes' form in documents."""
    assert Range.model_validate({"lowerEnd": 1}).lower_end == 1
    assert Range().model_dump(by_alias=True) == {"lowerEnd": 0, "upperEnd": 9}


@pytest.mark.parametrize("document", [{"lowerEnd": "1"}, {"lowerEnd": True}, {"lowerEnd": 1.0}, {"middle": 1}])
def test_nothing_is_converted_and_nothing_unknown_is_taken(document: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Range.model_validate(document)


def test_models_do_not_change() -> None:
    """Models are immutable."""
    with pytest.raises(ValidationError, match="frozen"):
        Range().lower_end = 3  # type: ignore[misc] # what is tested


def test_a_check_says_its_message() -> None:
    """The message is the same as the API server's."""
    with pytest.raises(ValidationError) as caught:
        Range.model_validate({"lowerEnd": -1})
    assert [(error["loc"], error["msg"]) for error in caught.value.errors()] == [
        (("lowerEnd",), "must not be negative")
    ]


def test_a_check_is_a_rule_of_its_field() -> None:
    """The API server gets the check as a CEL rule."""
    schema = Range.model_json_schema()["properties"]["lowerEnd"]
    assert schema[VALIDATIONS] == [{"rule": "self >= 0", "message": "must not be negative"}]


def test_a_rule_names_its_field() -> None:
    """A rule over several fields names the one to change."""
    with pytest.raises(ValidationError) as caught:
        Range.model_validate({"lowerEnd": 10})
    (error,) = caught.value.errors()
    assert error["msg"] == "lowerEnd must not be above upperEnd"
    assert error["ctx"]["field"] == "lowerEnd"


def test_rules_are_inherited() -> None:
    """Rules of the base come before those of the model."""
    assert [entry.message for entry in Narrow.rules] == ["lowerEnd must not be above upperEnd", "must be narrow"]
    with pytest.raises(ValidationError, match="must be narrow"):
        Narrow.model_validate({})
