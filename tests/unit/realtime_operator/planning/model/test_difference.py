"""Tests of the comparison of live objects with manifests."""

from __future__ import annotations

import pytest

from realtime_operator.api.base import JsonObject, JsonValue
from realtime_operator.planning.model.difference import contains, controller_uid, needs_apply


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
    """Defaults that the API server adds do not matter; fields of the manifest do."""
    assert contains(live, wanted) is expected


def test_a_missing_object_needs_an_apply() -> None:
    assert needs_apply({"kind": "Service"}, None)


def test_the_controller_is_found_among_the_owners() -> None:
    """Other owners are ignored."""
    references: list[JsonValue] = [{"uid": "x"}, {"uid": "y", "controller": True}]
    live: JsonObject = {"metadata": {"ownerReferences": references}}
    assert controller_uid(live) == "y"
    assert controller_uid({}) is None
