"""Tests of the table of former names."""

from __future__ import annotations

import json

import pytest

from realtime_operator.api.base import JsonObject
from realtime_operator.api.crd import root_schema
from realtime_operator.api.errors import InvalidCluster
from realtime_operator.api.former_names import REWRITES, Rewrite, new_name
from realtime_operator.api.v1alpha1 import RealtimeCluster
from tests.kit.document import object_at


def has_field(path: str) -> bool:
    """Return True when the schema has a field at a path."""
    node = object_at(root_schema(), "properties")
    for step in path.split("."):
        field = object_at(node, step.removesuffix("[]"))
        if not field:
            return False
        node = object_at(object_at(field, "items") if step.endswith("[]") else field, "properties")
    return True


@pytest.mark.parametrize("rewrite", REWRITES, ids=lambda rewrite: rewrite.path)
def test_new_names_are_fields_and_former_ones_are_not(rewrite: Rewrite) -> None:
    """A file is never converted into an invalid one."""
    assert has_field(rewrite.path)
    assert [path for path in rewrite.former_paths if has_field(path)] in ([], [rewrite.path])


@pytest.mark.parametrize(
    ("spec", "path", "expected"),
    [
        ({"image": {"pullSecrets": ["a"]}}, "spec.image.pullSecrets", "it was replaced by spec.pod.imagePullSecrets"),
        (
            {"auth": {"tokens": [{"secretRef": {"name": "a", "key": "b"}}]}},
            "spec.auth.tokens[0].secretRef",
            "it was replaced by spec.auth.tokens[].secretKeyRef",
        ),
        ({"auth": {"anonymous": True}}, "spec.auth.anonymous", 'supported values: "Deny", "Allow"'),
        (
            {"hooks": {"connect": {"url": "http://a", "whenDown": "allow"}}},
            "spec.hooks.connect.whenDown",
            'supported values: "Deny", "Allow"',
        ),
        (
            {"rollout": {"drain": {"connectionsPerSecond": "auto"}}},
            "spec.rollout.drain.connectionsPerSecond",
            "or Auto",
        ),
    ],
)
def test_errors_about_former_words_name_the_new_ones(spec: JsonObject, path: str, expected: str) -> None:
    """The message also names the command that rewrites the file."""
    with pytest.raises(InvalidCluster) as caught:
        RealtimeCluster.from_object({"metadata": {"name": "a"}, "spec": spec})
    (message,) = [finding.message for finding in caught.value.findings if finding.path == path]
    assert expected in message
    assert message.endswith("`realtime convert` updates the file")


def test_other_errors_do_not_name_it() -> None:
    spec: JsonObject = {"canary": [], "auth": {"anonymous": "perhaps"}, "hooks": {"connect": {"url": "x"}}}
    with pytest.raises(InvalidCluster) as caught:
        RealtimeCluster.from_object({"metadata": {"name": "a"}, "spec": spec})
    assert "convert" not in json.dumps([str(finding) for finding in caught.value.findings])
    assert new_name("spec.canary") is None
