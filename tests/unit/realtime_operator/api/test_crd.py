"""Tests of the CustomResourceDefinition."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest
import yaml

from realtime_operator import naming
from realtime_operator.api.base import JsonObject, JsonValue
from realtime_operator.api.crd import build_crd, root_schema
from realtime_operator.api.errors import FindingReason
from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.api.validation import validate
from realtime_operator.planning.model.reasons import Reason
from tests.kit.document import dig, object_at, objects_at, parse

ROOT = Path(__file__).parents[4]
EXAMPLES = sorted([*(ROOT / "examples").glob("*.yaml"), *(ROOT / "examples").glob("*/*.yaml")])


def strings(value: JsonValue) -> list[str]:
    """Return the items of a list as text."""
    return [str(item) for item in value] if isinstance(value, list) else []


def documents(path: Path) -> list[JsonObject]:
    """Return the objects of a YAML file."""
    return [parse(json.dumps(document)) for document in yaml.safe_load_all(path.read_text())]


def test_it_has_the_names_that_users_type() -> None:
    names = object_at(build_crd(), "spec", "names")
    assert (names["shortNames"], names["categories"], names["plural"]) == (["rtc"], ["realtime"], "realtimeclusters")


def test_it_has_status_and_scale() -> None:
    """The status is a subresource, and so is the scale, for autoscalers."""
    subresources = object_at(build_crd(), "spec", "versions", 0, "subresources")
    assert subresources["status"] == {}
    assert subresources["scale"] == {
        "specReplicasPath": ".spec.replicas",
        "statusReplicasPath": ".status.replicas",
        "labelSelectorPath": ".status.selector",
    }


def test_it_prints_what_matters() -> None:
    """The columns are those of `kubectl get rtc`, and of `-o wide`."""
    columns = objects_at(build_crd(), "spec", "versions", 0, "additionalPrinterColumns")
    names = {priority: [c["name"] for c in columns if c.get("priority", 0) == priority] for priority in (0, 1)}
    assert names[0] == ["Phase", "Ready", "Connections", "Revision", "Endpoint", "Age"]
    assert names[1] == ["Image", "Budget", "Autoscaling", "Message"]


def test_every_column_is_a_field() -> None:
    """A column's path leads to a field of the schema."""
    schema = root_schema()
    for column in objects_at(build_crd(), "spec", "versions", 0, "additionalPrinterColumns"):
        parts = str(column["jsonPath"]).removeprefix(".").split(".")
        path = [step for part in parts for step in ("properties", part)]
        assert parts[0] == "metadata" or dig(schema, *path) is not None


def enumerations(schema: JsonValue, path: str = "") -> Iterator[tuple[str, JsonValue]]:
    """Yield the values of all enumerations below a schema, with the path of their field."""
    if isinstance(schema, list):
        for item in schema:
            yield from enumerations(item, path)
    if isinstance(schema, dict):
        values = schema.get("enum")
        yield from ((path, value) for value in (values if isinstance(values, list) else []))
        for name, child in schema.items():
            step = "" if name in {"properties", "items", "additionalProperties"} else f".{name}"
            yield from enumerations(child, f"{path}{step}")


def test_enumerations_are_in_camel_case_with_a_capital() -> None:
    found = [*enumerations(root_schema())]
    assert len(found) > 40
    odd = [entry for entry in found if not re.fullmatch("[A-Z][A-Za-z0-9]*", str(entry[1]))]
    assert odd == []


def descriptions(schema: JsonObject, path: str) -> Iterator[tuple[str, str]]:
    """Yield path and description of all fields below a schema."""
    for name, child in object_at(schema, "properties").items():
        field = object_at(child)
        yield f"{path}.{name}", str(field.get("description", ""))
        yield from descriptions(field, f"{path}.{name}")
        yield from descriptions(object_at(field, "items"), f"{path}.{name}[]")


def test_descriptions_begin_with_what_the_field_is() -> None:
    """Descriptions for `kubectl explain` begin with a noun, not a question."""
    found = [entry for entry in descriptions(root_schema(), "") if not entry[0].startswith(".metadata")]
    assert len(found) > 150
    riddles = re.compile(r"(What|Whether|Who|How|Where|When|Why|Which|So|Of)\b|[^A-Z`]|.*[^.]$")
    odd = [entry for entry in found if riddles.match(entry[1])]
    assert [path for path, _ in odd] == []


def test_conditions_have_the_fields_of_kubernetes() -> None:
    """Fields are required and bounded as in metav1.Condition, as `kubectl wait` and other programs expect."""
    condition = object_at(root_schema(), "properties", "status", "properties", "conditions", "items")
    assert set(strings(condition["required"])) == {"type", "status", "reason", "message", "lastTransitionTime"}
    fields = object_at(condition, "properties")
    bounds = {name: object_at(fields, name).get("maxLength") for name in ("type", "reason", "message")}
    assert bounds == {"type": 316, "reason": 1024, "message": 32768}
    assert object_at(fields, "reason")["minLength"] == 1
    assert object_at(fields, "status")["enum"] == ["True", "False", "Unknown"]
    reasons = [reason.value for reason in (*Reason, *FindingReason)]
    assert [reason for reason in reasons if not re.search(str(object_at(fields, "reason")["pattern"]), reason)] == []


def test_an_absent_spec_is_an_empty_one() -> None:
    """The API server fills in the defaults of an absent spec too."""
    assert dig(root_schema(), "properties", "spec", "default") == {}


def test_lists_of_the_status_are_merged_by_key() -> None:
    """Another program may own a condition."""
    status = object_at(root_schema(), "properties", "status", "properties")
    assert dig(status, "conditions", "x-kubernetes-list-map-keys") == ["type"]
    assert dig(status, "servers", "x-kubernetes-list-map-keys") == ["name"]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples_are_valid(path: Path) -> None:
    """Each example has one valid cluster, and the Secrets that it refers to."""
    found = documents(path)
    secrets = {
        str(dig(item, "metadata", "name")): dict.fromkeys(object_at(item, "stringData"), "")
        for item in found
        if item["kind"] == "Secret"
    }
    (document,) = [item for item in found if item["kind"] == naming.KIND]
    jsonschema.validate(document, root_schema())
    assert validate(RealtimeCluster.from_object(document), secrets) == ()


def test_there_are_examples() -> None:
    assert "quickstart" in {path.stem for path in EXAMPLES}


def with_defaults(value: JsonValue, schema: JsonObject) -> JsonValue:
    """Return a value as the API server stores it: with defaults of absent fields, from the outside to the inside."""
    if isinstance(value, list):
        return [with_defaults(item, object_at(schema, "items")) for item in value]
    if not isinstance(value, dict):
        return value
    filled = dict(value)
    for name in object_at(schema, "properties"):
        child = object_at(schema, "properties", name)
        if name not in filled and "default" in child:
            filled[name] = child["default"]
        if name in filled:
            filled[name] = with_defaults(filled[name], child)
    return filled


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"namespaces": [{"name": "chat", "history": {}}]},
        {"autoscaling": {"maxReplicas": 5, "connectionsPerReplica": 100}},
        {"server": {"heartbeat": {"interval": "30s"}}, "rollout": {"drain": {}}},
    ],
)
def test_models_and_schema_have_the_same_defaults(spec: JsonObject) -> None:
    document: JsonObject = {"metadata": {"name": "a"}, "spec": spec}
    stored = with_defaults(document, root_schema())
    assert isinstance(stored, dict)
    assert stored != document
    assert RealtimeCluster.from_object(stored) == RealtimeCluster.from_object(document)


def pattern_costs(schema: JsonObject, path: str = "", count: int = 1) -> Iterator[tuple[str, int]]:
    """Yield the costs of matching patterns, as API servers estimate them; `count`: how often there is such a value."""
    length = schema.get("maxLength")
    for rule in objects_at(schema, "x-kubernetes-validations"):
        patterns = re.findall(r"self\.matches\('([^']*)'\)", str(rule["rule"]))
        if isinstance(length, int) and patterns:
            text = math.ceil(0.1 * (4 * length + 1))
            yield path, count * text * sum(math.ceil(0.25 * len(pattern)) for pattern in patterns)
    for name, field in object_at(schema, "properties").items():
        yield from pattern_costs(object_at(field), f"{path}.{name}", count)
    most = schema.get("maxItems")
    if "items" in schema and isinstance(most, int):
        yield from pattern_costs(object_at(schema, "items"), f"{path}[]", count * most)


def test_patterns_are_within_the_budget_of_api_servers() -> None:
    """An API server refuses a CRD with a rule of more than 10 million; what is beside the patterns of one takes 0.4."""
    costs = dict(pattern_costs(root_schema()))
    assert ".spec.protocols.webSocket.routes[].actions[].publish.channel" in costs
    assert {path: cost for path, cost in costs.items() if cost > 9_500_000} == {}
