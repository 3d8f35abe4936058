"""Tests of the access to JSON documents."""

from __future__ import annotations

from realtime_operator.api.base import JsonObject
from realtime_operator.api.document import dig, merge_patch, object_at, objects_at, text_at

DOCUMENT: JsonObject = {"a": {"b": [1, {"c": "d"}], "text": "t", "number": 3}}


def test_what_is_there_is_found() -> None:
    """Values are found by path; of a list only the objects are returned."""
    assert dig(DOCUMENT, "a", "number") == 3
    assert text_at(DOCUMENT, "a", "text") == "t"
    assert object_at(DOCUMENT, "a") == DOCUMENT["a"]
    assert objects_at(DOCUMENT, "a", "b") == [{"c": "d"}]


def test_what_is_missing_or_of_another_type_is_empty() -> None:
    """No error is raised, also below a value that is not an object."""
    assert dig(DOCUMENT, "a", "text", "x") is None
    assert text_at(DOCUMENT, "a", "number") == text_at(DOCUMENT, "x", "y") == ""
    assert object_at(DOCUMENT, "a", "b") == object_at(None, "x") == {}
    assert objects_at(DOCUMENT, "a", "text") == objects_at(DOCUMENT, "x") == []


def test_merge_patches_are_those_of_the_standard() -> None:
    """The cases are those of RFC 7396, appendix A, for objects."""
    assert merge_patch({"a": "b"}, {"a": "c"}) == {"a": "c"}
    assert merge_patch({"a": "b", "b": "c"}, {"a": None}) == {"b": "c"}
    assert merge_patch({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}) == {"a": {"b": "d"}}
    assert merge_patch({"a": [{"b": "c"}]}, {"a": [1]}) == {"a": [1]}
    assert merge_patch({}, {"a": {"bb": {"ccc": None}}}) == {"a": {"bb": {}}}
    assert merge_patch({"a": "foo"}, {"a": {"b": 1}}) == {"a": {"b": 1}}
