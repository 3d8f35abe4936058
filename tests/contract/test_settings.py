"""Reach of the spec: every setting of a server is a field of the resource, or documented as none."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
from pydantic import BaseModel

from realtime_operator.api.base import JsonObject, JsonValue
from realtime_operator.builders.configuration.config_map import full_config
from realtime_server.settings import Settings
from tests.contract.test_names import EVERYTHING
from tests.kit.manifests import cluster_of
from tests.kit.spec_leaves import changed, leaves, used_specs

REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "server-config.md"


def settings_of(model: type[BaseModel], path: str = "") -> Iterator[str]:
    """Yield the paths of all settings that have no settings below them; items of lists have `[]`."""
    for name, field in model.model_fields.items():
        inner = model_in(field.annotation)
        if inner is None:
            yield f"{path}{name}"
        else:
            items = "[]" if "tuple" in str(field.annotation) else ""
            yield from settings_of(inner, f"{path}{name}{items}.")


def model_in(annotation: object) -> type[BaseModel] | None:
    """Return the model in a type, None when it has none."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := model_in(part)) is not None), None)


def values_of(config: JsonValue, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield path and value of everything in a configuration, lists item by item and as a whole."""
    yield path, json.dumps(config)
    if isinstance(config, dict):
        for name, value in config.items():
            yield from values_of(value, f"{path}.{name}" if path else name)
    if isinstance(config, list):
        for item in config:
            yield from values_of(item, f"{path}[]")


def specs() -> Iterator[JsonObject]:
    """Yield specs that differ in every field."""
    yield {}
    yield EVERYTHING
    for spec in used_specs():
        yield spec
        yield from (other for leaf in leaves(spec) if (other := changed(spec, leaf)) is not None)


def reached() -> set[str]:
    """Return the settings that have different values for different specs, or for some only."""
    configurations = [frozenset(values_of(full_config(cluster_of(spec)))) for spec in specs()]
    everywhere = frozenset.intersection(*configurations)
    anywhere = frozenset.union(*configurations)
    return {path for path, _ in anywhere - everywhere}


@pytest.fixture(scope="module")
def documented() -> list[str]:
    """Settings that the reference calls not in the resource."""
    table = REFERENCE.read_text().partition("<!-- not in the resource -->")[2]
    return re.findall(r"^\| `([\w.\[\]]+)` \|", table, flags=re.MULTILINE)


@pytest.mark.timeout(300)  # it builds a configuration for each of 500 specs
def test_a_setting_is_in_the_spec_or_documented_as_not(documented: list[str]) -> None:
    """A new setting of the server has to become a field of the spec, or a line of the reference, in the same change."""
    known, found = set(settings_of(Settings)), reached()
    assert sorted(known - found - set(documented)) == []
    assert sorted(set(documented) - known) == [], "documented, but no setting"
    assert sorted(found & set(documented)) == [], "documented as out of reach, but a field of the spec"
