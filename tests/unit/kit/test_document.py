"""Documents are read with their types, and what is not as expected is told with its path."""

from __future__ import annotations

import pytest

from realtime_operator.api.base import JsonObject
from tests.kit.document import dig, number_at, object_at, objects_at, parse, text_at, whole_at

DOCUMENT: JsonObject = {"a": {"b": [{"name": "x"}, {"name": "y"}], "n": 2.0}, "t": "text"}


def test_what_is_there_is_found_by_its_path() -> None:
    """Keys and positions make a path; positions count from the end, too."""
    assert dig(DOCUMENT, "a", "b", -1, "name") == "y"
    assert [text_at(item, "name") for item in objects_at(DOCUMENT, "a", "b")] == ["x", "y"]
    assert whole_at(DOCUMENT, "a", "n") == 2


def test_what_is_missing_is_empty() -> None:
    """A path that leads nowhere gives the empty value of the type."""
    assert dig(DOCUMENT, "a", "b", 2) is None
    assert dig(DOCUMENT, "t", "deeper") is None
    assert (object_at(DOCUMENT, "x"), objects_at(DOCUMENT, "x"), text_at(DOCUMENT, "x")) == ({}, [], "")
    assert number_at(DOCUMENT, "x") == 0


@pytest.mark.parametrize("read", [object_at, objects_at, number_at])
def test_another_type_than_expected_is_told_with_its_path(read: object) -> None:
    """It is a fault of the document, not a missing value."""
    assert callable(read)
    with pytest.raises(TypeError, match=r"\('t',\)"):
        read(DOCUMENT, "t")


def test_only_objects_are_parsed() -> None:
    """A list at the top is refused."""
    assert parse(b'{"a": 1}') == {"a": 1}
    with pytest.raises(TypeError, match="not a JSON object"):
        parse("[1]")
