"""Tests of the status."""

from __future__ import annotations

import pytest

from realtime_operator.api.base import JsonObject
from realtime_operator.api.v1alpha1_status import RealtimeClusterStatus


def test_a_status_survives_reading_and_writing() -> None:
    """A successor reads every field that an operator has written."""
    document: JsonObject = {
        "phase": "Progressing",
        "conditions": [
            {
                "type": "Ready",
                "status": "True",
                "reason": "R",
                "message": "m",
                "lastTransitionTime": "2026-01-01T00:00:00Z",
                "observedGeneration": 2,
            }
        ],
        "observedGeneration": 2,
        "ready": "3/3",
        "replicas": 3,
        "endpoints": {"client": "ws://a:8000/connection/websocket"},
        "rollout": {"startedAt": "2026-01-01T00:00:00Z", "drainingServers": ["a", "b"]},
        "budget": {"connectionsPerSecond": 12.5},
        "autoscaling": {"desiredReplicas": 3, "highestRecommendation": 2},
        "servers": [{"name": "a", "state": "Draining", "ready": False, "connections": 0}],
    }
    status = RealtimeClusterStatus.from_object(document)
    assert status is not None
    assert status.model_dump(mode="json", by_alias=True, exclude_unset=True) == document


@pytest.mark.parametrize(
    "change", [{"reason": ""}, {"reason": "two words"}, {"type": "-"}, {"status": "true"}, {"message": None}], ids=str
)
def test_a_condition_that_kubernetes_would_refuse_makes_a_status_unreadable(change: JsonObject) -> None:
    """The status counts as absent and is written again."""
    condition: JsonObject = {
        "type": "Ready", "status": "True", "reason": "R", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z",
    }  # fmt: skip
    assert RealtimeClusterStatus.from_object({"conditions": [condition]}) is not None
    assert RealtimeClusterStatus.from_object({"conditions": [{**condition, **change}]}) is None


def test_fields_of_another_release_are_ignored() -> None:
    """After a downgrade the older operator reads the fields that it knows."""
    status = RealtimeClusterStatus.from_object(
        {"phase": "Ready", "weather": "fine", "servers": [{"name": "a", "x": 1}]}
    )
    assert status is not None
    assert status.phase == "Ready"
