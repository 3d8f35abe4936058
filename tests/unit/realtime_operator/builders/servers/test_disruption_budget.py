"""Tests of the PodDisruptionBudget."""

from __future__ import annotations

import pytest

from realtime_operator.api.base import JsonObject
from realtime_operator.builders.servers.disruption_budget import build_disruption_budget
from tests.kit.document import dig, object_at
from tests.kit.manifests import cluster_of


@pytest.mark.parametrize(("wanted", "expected"), [(0, 1), ("0%", 1), (2, 2), ("20%", "20%")])
def test_one_server_may_always_be_evicted(wanted: int | str, expected: int | str) -> None:
    """The field maxUnavailable is never 0, which would block node drains for good."""
    budget = build_disruption_budget(cluster_of({"rollout": {"maxUnavailable": wanted}}))
    assert dig(budget, "spec", "maxUnavailable") == expected


def test_it_is_the_same_for_every_number_of_servers() -> None:
    assert build_disruption_budget(cluster_of({"replicas": 1})) == build_disruption_budget(cluster_of({"replicas": 9}))


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"maxUnavailable": 0}, {"maxUnavailable": 0, "unhealthyPodEvictionPolicy": "AlwaysAllow"}),
        ({"maxUnavailable": "40%"}, {"maxUnavailable": "40%", "unhealthyPodEvictionPolicy": "AlwaysAllow"}),
        (
            {"minAvailable": 3, "unhealthyPodEvictionPolicy": "IfHealthyBudget"},
            {"minAvailable": 3, "unhealthyPodEvictionPolicy": "IfHealthyBudget"},
        ),
    ],
    ids=str,
)
def test_a_limit_of_the_spec_replaces_the_default(wanted: JsonObject, expected: JsonObject) -> None:
    spec = object_at(build_disruption_budget(cluster_of({"disruptionBudget": wanted})), "spec")
    assert {name: value for name, value in spec.items() if name != "selector"} == expected


def test_it_can_be_disabled() -> None:
    assert build_disruption_budget(cluster_of({"disruptionBudget": {"mode": "Disabled"}})) is None
