"""Tests of the part of a spec that makes a revision, for every leaf of the spec."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from realtime_operator.api.base import JsonObject
from realtime_operator.api.revision_part import TELLING, differing_part, revision_part
from realtime_operator.api.v1alpha1 import RealtimeClusterSpec
from realtime_operator.api.v1alpha1_status import RevisionRecord
from realtime_operator.builders.servers.revision import build_revision
from realtime_operator.planning.revisions import history
from tests.kit.document import dig, parse
from tests.kit.manifests import SETTINGS, cluster_of
from tests.kit.spec_leaves import Leaf, changed, leaves, model_leaves, used_specs

FIRST: dict[Leaf, tuple[JsonObject, JsonObject]] = {}
"""For each leaf the first spec in which it may have another value, and the spec with that value."""
for used in used_specs():
    for each in leaves(used):
        if each not in FIRST and (another := changed(used, each)) is not None:
            FIRST[each] = used, another
CASES = [(leaf, spec, other) for leaf, (spec, other) in FIRST.items()]


def revision_of(spec: JsonObject) -> str:
    """Return the name of the revision of a spec."""
    return build_revision(cluster_of(spec), SETTINGS).name


def test_no_field_of_the_models_is_missing_here() -> None:
    """A new field must be in one of the specs and have another value, or this test fails."""
    seen = {tuple(part for part in leaf if isinstance(part, str)) for leaf, _, _ in CASES}
    assert seen == set(model_leaves())


@pytest.mark.parametrize(
    ("spec", "other"), [case[1:] for case in CASES], ids=[".".join(map(str, leaf)) for leaf, _, _ in CASES]
)
def test_a_field_makes_a_revision_exactly_when_it_is_in_the_part(spec: JsonObject, other: JsonObject) -> None:
    """The builders, the history and `undo` agree on the fields that make a revision."""
    makes_one = revision_of(other) != revision_of(spec)
    assert (revision_part(other) != revision_part(spec)) is makes_one
    models = [RealtimeClusterSpec.model_validate_json(json.dumps(each)) for each in (spec, other)]
    assert (differing_part(models[0]) != differing_part(models[1])) is makes_one
    back = history.patch_to(other, record_of(spec))
    assert (back != {}) is makes_one
    if makes_one:
        restored = history.recorded_spec(record_of(spec), cluster_of(other).spec)
        assert restored is not None
        assert revision_of(parse(restored.model_dump_json(by_alias=True, exclude_none=True))) == revision_of(spec)


def record_of(spec: JsonObject) -> RevisionRecord:
    """Return the record of a spec in the history."""
    text = json.dumps(history.to_record(cluster_of(spec)))
    return RevisionRecord(revision="a", spec=text)


def test_a_spec_that_says_the_defaults_differs_in_nothing() -> None:
    """Explicit and implicit defaults give the same hash, also when a later release adds a field with a default."""
    written = RealtimeClusterSpec.model_validate_json(RealtimeClusterSpec().model_dump_json())
    assert differing_part(written) == differing_part(RealtimeClusterSpec()) == {}


def test_an_empty_object_that_says_something_is_kept() -> None:
    """`history: {}` stands for a history with defaults.

    A `rollout` with fields that keep the revision only is dropped.
    """
    spec = RealtimeClusterSpec.model_validate_json(
        '{"namespaces": [{"name": "a", "history": {}}], "rollout": {"maxSurge": 2}}'
    )
    assert differing_part(spec) == {"namespaces": [{"name": "a", "history": {}}]}


def with_empty(path: tuple[str, ...]) -> JsonObject:
    """Return a spec with an empty object at a path."""
    spec: JsonObject = {}
    for name in reversed(path):
        spec = {name: spec}
    return spec


def _may_be_empty(path: tuple[str, ...]) -> bool:
    try:
        RealtimeClusterSpec.model_validate_json(json.dumps(with_empty(path)))
    except ValidationError:
        return False
    return True


EMPTY = sorted(filter(_may_be_empty, TELLING))


def test_tls_of_redis_is_one_of_those_that_may_be_empty() -> None:
    """Else the next test would look at nothing."""
    assert ("backplane", "redis", "managed", "tls") in EMPTY


@pytest.mark.parametrize("path", EMPTY, ids=".".join)
def test_an_empty_object_makes_a_revision_as_a_full_one_does(path: tuple[str, ...]) -> None:
    """What is written and what is parsed agree, also for the history: a revision without the object is another one."""
    spec, without = with_empty(path), with_empty(path[:-1])
    makes_one = revision_of(spec) != revision_of(without)
    assert (revision_part(spec) != revision_part(without)) is makes_one
    before = history.recorded_spec(record_of(without), cluster_of(spec).spec)
    assert before is not None
    assert (
        revision_of(parse(before.model_dump_json(by_alias=True, exclude_none=True))) != revision_of(spec)
    ) is makes_one


def test_the_rest_of_the_document_is_left() -> None:
    spec: JsonObject = {
        "replicas": 3, "server": {}, "rollout": {"maxSurge": 1, "drain": {"settle": "1s"}},
        "backplane": {"redis": {"managed": {}}},
    }  # fmt: skip
    assert revision_part(spec) == {"server": {}, "rollout": {"drain": {"settle": "1s"}}}
    assert dig(spec, "rollout", "maxSurge") == 1, "the argument is not changed"
