"""Tests of the types of fields."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from realtime_operator.api.base import Model
from realtime_operator.api.fields import Duration, Milliseconds, Quantity, Rate, Repository, Share, Size


class Everything(Model):
    """A field of each type."""

    duration: Duration | None = None
    milliseconds: Milliseconds | None = None
    size: Size | None = None
    quantity: Quantity | None = None
    share: Share | None = None
    rate: Rate | None = None
    repository: Repository | None = None


ACCEPTED: dict[str, list[int | str]] = {
    "duration": ["1s", "720h", "1h30m"],
    "milliseconds": ["0ms", "5ms", "250ms", "1000ms"],
    "size": [1024, "64Ki", "1Gi", "10k", "1e6"],
    "quantity": ["100m", 2, "0", "1.5Gi"],
    "share": [0, 3, "0%", "25%", "100%"],
    "rate": ["Auto", 1, 100000],
    "repository": ["server", "ghcr.io/a/server", "registry:5000/a/b_c/d-e", "localhost/realtime-server"],
}


@pytest.mark.parametrize(("field", "value"), [(field, value) for field, values in ACCEPTED.items() for value in values])
def test_right_values_are_taken_as_they_are(field: str, value: int | str) -> None:
    """Values are not converted."""
    taken = Everything.model_validate({field: value}).model_dump()[field]
    assert taken == value
    assert type(taken) is type(value)


@pytest.mark.parametrize("value", [True, 1.5, ["1"]])
def test_int_or_string_is_nothing_else(value: object) -> None:
    """A boolean is refused too, although it is an integer in Python."""
    with pytest.raises(ValidationError, match="must be of type integer or string"):
        Everything.model_validate({"share": value})
