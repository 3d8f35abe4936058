"""The status."""

from __future__ import annotations

from realtime_operator.api.base import JsonObject
from realtime_operator.api.v1alpha1_status import RealtimeClusterStatus


def test_a_status_survives_reading_and_writing() -> None:
    """What an operator has written its successor reads, field by field."""
    document: JsonObject = {
        "phase": "Progressing",
        "conditions": [{"type": "Ready", "status": "True", "reason": "R", "message": "m", "observedGeneration": 2}],
        "observedGeneration": 2,
        "replicas": 3,
        "endpoints": {"client": "ws://a:8000/connection/websocket"},
        "rollout": {"startedAt": "2026-01-01T00:00:00Z", "drainingServers": ["a", "b"]},
        "budget": {"connectionsPerSecond": 12.5},
        "autoscaling": {"desiredReplicas": 3, "highestRecommendation": 2},
        "servers": [{"name": "a", "state": "draining", "ready": False, "connections": 0}],
    }
    status = RealtimeClusterStatus.from_object(document)
    assert status is not None
    assert status.model_dump(mode="json", by_alias=True, exclude_unset=True) == document


def test_fields_of_another_release_are_ignored() -> None:
    """After a downgrade the older operator reads what it knows."""
    status = RealtimeClusterStatus.from_object(
        {"phase": "Ready", "weather": "fine", "servers": [{"name": "a", "x": 1}]}
    )
    assert status is not None
    assert status.phase == "Ready"
