"""Tests of lists and how they are merged."""

from __future__ import annotations

from typing import Annotated

import pytest
from pydantic import ValidationError

from realtime_operator.api.base import Model
from realtime_operator.api.lists import ATOMIC, MAP_BY_NAME, SET


class Named(Model):
    """Something with a name."""

    name: str


class Lists(Model):
    """A list of each type."""

    texts: Annotated[tuple[str, ...], SET] = ()
    objects: Annotated[tuple[Named, ...], MAP_BY_NAME] = ()
    whatever: Annotated[tuple[str, ...], ATOMIC] = ()


def test_the_api_server_is_told_how_to_merge() -> None:
    properties = Lists.model_json_schema()["properties"]
    assert [properties[name]["x-kubernetes-list-type"] for name in Lists.model_fields] == ["set", "map", "atomic"]
    assert properties["objects"]["x-kubernetes-list-map-keys"] == ["name"]


@pytest.mark.parametrize("text", ['{"texts": ["a", "b", "a"]}', '{"objects": [{"name": "a"}, {"name": "a"}]}'])
def test_nothing_is_twice_in_a_set_or_map(text: str) -> None:
    """The message names the duplicate."""
    with pytest.raises(ValidationError, match="Duplicate value: a"):
        Lists.model_validate_json(text)


def test_atomic_lists_may_repeat() -> None:
    """Atomic lists are replaced as a whole."""
    assert Lists.model_validate_json('{"whatever": ["a", "a"]}').whatever == ("a", "a")
