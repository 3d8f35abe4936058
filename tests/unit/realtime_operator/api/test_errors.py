"""Tests of findings and their paths."""

from __future__ import annotations

import pytest

from realtime_operator.api.base import JsonValue
from realtime_operator.api.errors import Finding, FindingReason, InvalidCluster, format_path
from realtime_operator.api.v1alpha1 import RealtimeCluster


def test_paths_are_written_as_kubernetes_does() -> None:
    """Indexes are in brackets, names after dots."""
    assert format_path(["spec", "namespaces", 0, "name"]) == "spec.namespaces[0].name"
    assert format_path([]) == ""


def test_every_problem_is_a_finding() -> None:
    """All problems are reported at once."""
    with pytest.raises(InvalidCluster) as caught:
        RealtimeCluster.from_object({"metadata": {"name": "a"}, "spec": {"replicas": -1, "workers": 2, "paused": 1}})
    assert [finding.path for finding in caught.value.findings] == ["spec.replicas", "spec.paused", "spec.workers"]
    assert {finding.reason for finding in caught.value.findings} == {FindingReason.INVALID_FIELD}


def test_wrong_items_do_not_make_a_list_too_short() -> None:
    """The items are told, as the API server does; only an empty list is too short."""
    cases: list[tuple[list[JsonValue], list[str]]] = [
        ([{"share": "10%", "hold": "0s"}], ["spec.rollout.canary.steps[0].hold"]),
        ([{}], ["spec.rollout.canary.steps[0].share"]),
        ([], ["spec.rollout.canary.steps"]),
    ]
    for steps, paths in cases:
        with pytest.raises(InvalidCluster) as caught:
            RealtimeCluster.from_object({"metadata": {"name": "a"}, "spec": {"rollout": {"canary": {"steps": steps}}}})
        assert [finding.path for finding in caught.value.findings] == paths


def test_the_message_has_all_findings() -> None:
    """The message has one line for each finding, the path first."""
    finding = Finding("spec.replicas", FindingReason.INVALID_FIELD, "is wrong")
    assert str(InvalidCluster([finding, finding])) == "spec.replicas: is wrong; spec.replicas: is wrong"


def test_unknown_fields_are_named_in_our_words() -> None:
    """An operator that is older than the CRD names the field that it does not know."""
    with pytest.raises(InvalidCluster, match=r"^spec\.canary: is not a known field$"):
        RealtimeCluster.from_object({"metadata": {"name": "a"}, "spec": {"canary": []}})
