"""Whether a live object still says what its manifest says."""

from __future__ import annotations

import pytest

from realtime_operator.api.base import JsonObject, JsonValue
from realtime_operator.planning.difference import contains, controller_uid, needs_apply


@pytest.mark.parametrize(
    ("live", "wanted", "expected"),
    [
        ({"a": 1, "b": 2}, {"a": 1}, True),
        ({"a": 2}, {"a": 1}, False),
        ({}, {"a": 1}, False),
        ({"a": [{"n": 1, "default": 0}]}, {"a": [{"n": 1}]}, True),
        ({"a": [1, 2]}, {"a": [1]}, False),
        ({"a": True}, {"a": 1}, False),
        ({"a": "1"}, {"a": 1}, False),
        ({"a": {"b": None}}, {"a": {"b": {}}}, False),
    ],
)
def test_contains(live: JsonValue, wanted: JsonValue, expected: bool) -> None:
    """Defaults that the API server adds do not matter; everything that the manifest names does."""
    assert contains(live, wanted) is expected


def test_a_missing_object_needs_an_apply() -> None:
    """Somebody deleted it, or it was never there."""
    assert needs_apply({"kind": "Service"}, None)


def test_the_controller_is_found_among_the_owners() -> None:
    """Other owners do not count."""
    references: list[JsonValue] = [{"uid": "x"}, {"uid": "y", "controller": True}]
    live: JsonObject = {"metadata": {"ownerReferences": references}}
    assert controller_uid(live) == "y"
    assert controller_uid({}) is None
