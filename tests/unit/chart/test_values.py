"""The chart's values: strict, described, and in agreement with each other."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest

from realtime_operator.api.base import JsonObject, JsonValue
from tests.kit.chart import CHART, GOLDEN_NAMES, chart_file, documents_of, golden_values
from tests.kit.document import object_at, text_at

SCHEMA = chart_file("values.schema.json")
VALUES = chart_file("values.yaml")
FREE = {
    "global",
    "affinity",
    "podSecurityContext",
    "securityContext",
    "resources.requests",
    "resources.limits",
    "webhook.namespaceSelector",
}
"""Values that have Kubernetes' own shape: the API server checks them."""
MAY_BE_NULL = {"resources", "podSecurityContext", "securityContext"}
"""Maps with defaults that the chart leaves out when they are null."""


def objects_of(schema: JsonObject, path: str = "") -> Iterator[tuple[str, JsonObject]]:
    """All object schemas with their paths."""
    yield path, schema
    for name, child in object_at(schema, "properties").items():
        child_path = f"{path}.{name}" if path else name
        if object_at(child).get("type") == "object":
            yield from objects_of(object_at(child), child_path)


def leaves_of(value: JsonValue, path: str = "") -> Iterator[str]:
    """Paths of all values that have no further fields."""
    if not isinstance(value, dict) or not value or path in FREE:
        yield path
        return
    for name, child in value.items():
        yield from leaves_of(child, f"{path}.{name}" if path else name)


def maps_of(value: JsonObject, path: str = "") -> Iterator[str]:
    """Paths of all maps with fields."""
    for name, child in value.items():
        if isinstance(child, dict) and child:
            child_path = f"{path}.{name}" if path else name
            yield child_path
            if child_path not in FREE | MAY_BE_NULL:
                yield from maps_of(child, child_path)


def coalesced(values: JsonObject, defaults: JsonObject = VALUES) -> JsonObject:
    """Return the values over their defaults as Helm makes them: maps are merged, and null removes a field."""
    merged = {**defaults, **values}
    for name, value in values.items():
        default = defaults.get(name)
        if value is None:
            del merged[name]
        elif isinstance(value, dict) and isinstance(default, dict):
            merged[name] = coalesced(value, default)
    return merged


def null_at(path: str) -> JsonObject:
    """Return values in which this one is null."""
    values: JsonValue = None
    for name in reversed(path.split(".")):
        values = {name: values}
    return object_at(values)


def refusal(values: JsonObject) -> str:
    """Why the schema refuses the values over the defaults; empty when it does not."""
    error = jsonschema.Draft7Validator(SCHEMA).iter_errors(coalesced(values))
    return "; ".join(f"{'.'.join(map(str, e.absolute_path))}: {e.message}" for e in error)


def test_defaults_pass_the_schema() -> None:
    """The default values are what the schema allows."""
    jsonschema.Draft7Validator.check_schema(SCHEMA)
    assert refusal({}) == ""


@pytest.mark.parametrize("name", GOLDEN_NAMES)
def test_golden_values_pass_the_schema(name: str) -> None:
    """The values of the golden manifests are what the schema allows."""
    (values,) = documents_of(golden_values(name).read_text())
    assert refusal(values) == ""


@pytest.mark.parametrize(("path", "schema"), list(objects_of(SCHEMA)))
def test_every_object_is_closed(path: str, schema: JsonObject) -> None:
    """An unknown field is refused everywhere but where Kubernetes defines the shape, or names are free."""
    if path in FREE:
        return
    names_are_free = object_at(schema, "additionalProperties") if schema["additionalProperties"] else {}
    assert schema["additionalProperties"] is False or names_are_free == {"type": "string"}


@pytest.mark.parametrize("path", list(leaves_of(VALUES)))
def test_every_default_is_in_the_schema(path: str) -> None:
    """Every value of values.yaml is known to the schema."""
    schema = SCHEMA
    for name in path.split("."):
        schema = object_at(schema, "properties", name)
        assert schema, f"{path} is not in values.schema.json"


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"replica": 2}, "replica"),
        ({"image": {"name": "operator"}}, "image"),
        ({"replicas": "2"}, "replicas"),
        ({"watchNamespaces": "team-a"}, "watchNamespaces"),
        ({"watchNamespaces": ["Team"]}, "watchNamespaces"),
        ({"log": {"level": "verbose"}}, "log.level"),
        ({"pollSeconds": 0}, "pollSeconds"),
        ({"image": {"digest": "abc"}}, "image.digest"),
        ({"podDisruptionBudget": {"maxUnavailable": "half"}}, "podDisruptionBudget.maxUnavailable"),
        ({"podDisruptionBudget": {"maxUnavailable": 0}}, "podDisruptionBudget.maxUnavailable"),
        ({"podDisruptionBudget": {"maxUnavailable": "0%"}}, "podDisruptionBudget.maxUnavailable"),
    ],
)
def test_wrong_values_are_refused_by_name(values: JsonObject, field: str) -> None:
    """A misspelt field or a wrong type is refused with a message that names it."""
    assert field in refusal(values)


@pytest.mark.parametrize("path", list(maps_of(VALUES)))
def test_a_map_that_is_null_is_refused_by_name(path: str) -> None:
    """The templates read the fields of a map, unless they leave the whole of it out."""
    if path in MAY_BE_NULL:
        assert refusal(null_at(path)) == ""
    else:
        parent, _, name = path.rpartition(".")
        assert f"{parent}: {name!r} is a required property" in refusal(null_at(path))


@pytest.mark.parametrize("path", list(leaves_of(VALUES)))
def test_a_value_that_is_null_is_refused_unless_its_default_is_empty(path: str) -> None:
    """What null would mean is not obvious: no number, `false`, or the default."""
    *parents, name = path.split(".")
    default = object_at(VALUES, *parents)[name]
    kubernetes = path.partition(".")[0] in MAY_BE_NULL | {"livenessProbe", "readinessProbe"}
    is_refused = f"{name!r} is a required property" in refusal(null_at(path))
    assert is_refused != (kubernetes or (default in ("", [], {}) and path != "watchNamespaces"))


@pytest.mark.parametrize("path", list(leaves_of(VALUES)))
def test_every_value_is_in_the_readme(path: str) -> None:
    """The chart's README has a row for every value, or for the object that it belongs to."""
    rows = set(re.findall(r"`([\w.]+)`", (CHART / "README.md").read_text()))
    parts = path.split(".")
    assert any(".".join(parts[:length]) in rows for length in range(1, len(parts) + 1)), path


def test_versions_agree() -> None:
    """Chart, application and Python package have the same version."""
    chart = chart_file("Chart.yaml")
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"]
    assert text_at(chart, "version") == text_at(chart, "appVersion") == project["version"]
