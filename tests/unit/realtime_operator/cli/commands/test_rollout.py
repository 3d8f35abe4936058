"""Outcome of a rollout, as `rollout status` follows it."""

from __future__ import annotations

import pytest

from realtime_operator.api.base import JsonObject
from realtime_operator.cli.commands.rollout import Outcome, outcome_of

SETTLED: JsonObject = {"observedGeneration": 2, "phase": "Ready", "currentRevision": "a", "targetRevision": "a"}


def cluster(status: JsonObject, generation: int = 2) -> JsonObject:
    """Return a cluster with this generation, whose status is of generation 2, and settled but for `status`."""
    return {"metadata": {"generation": generation}, "status": SETTLED | status}


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ({}, Outcome.DONE),
        ({"phase": "Progressing"}, Outcome.OPEN),
        ({"targetRevision": "b"}, Outcome.OPEN),
        ({"rollout": {"updatedServers": 1}}, Outcome.OPEN),
        ({"canary": {"phase": "Holding"}, "targetRevision": "b"}, Outcome.OPEN),
        ({"canary": {"phase": "Passed"}, "targetRevision": "b"}, Outcome.OPEN),
        ({"canary": {"phase": "Paused"}, "targetRevision": "b"}, Outcome.FAILED),
        ({"canary": {"phase": "RolledBack"}, "phase": "Degraded"}, Outcome.FAILED),
    ],
)
def test_a_rollout_ends_with_its_servers_or_a_failed_gate(status: JsonObject, expected: Outcome) -> None:
    assert outcome_of(cluster(status)) is expected


@pytest.mark.parametrize("phase", ["Paused", "RolledBack"])
def test_a_failure_of_an_earlier_spec_is_none_of_the_next(phase: str) -> None:
    """Whoever resumes or mends the spec, and follows at once, is not told of what failed before."""
    assert outcome_of(cluster({"canary": {"phase": phase}}, generation=3)) is Outcome.OPEN
