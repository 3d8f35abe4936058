"""Tests of the decisions of the leader election."""

from __future__ import annotations

import pytest

from realtime_operator import naming
from realtime_operator.api.base import JsonObject
from realtime_operator.platforms.kubernetes.lease import LeaseObservation, Step, decide, has_leader, pause_of

JITTER = 1.2
"""Longest time between two attempts, as a multiple of the setting."""


def lease(holder: str, duration: int = 15) -> JsonObject:
    """Return a Lease of the operator with a holder."""
    metadata: JsonObject = {"managedFields": [{"manager": naming.FIELD_MANAGER, "operation": "Update"}]}
    return {"metadata": metadata, "spec": {"holderIdentity": holder, "leaseDurationSeconds": duration}}


@pytest.mark.parametrize(
    ("found", "seen", "now", "expected"),
    [
        (None, None, 0.0, Step.CREATE),
        (lease(""), None, 0.0, Step.TAKE),
        (lease("me"), None, 0.0, Step.RENEW),
        (lease("other"), None, 1e9, Step.WAIT),
        (lease("other"), LeaseObservation("other", "1", 100.0), 115.0, Step.WAIT),
        (lease("other"), LeaseObservation("other", "1", 100.0), 115.1, Step.TAKE),
        (lease("other", 60), LeaseObservation("other", "1", 100.0), 130.0, Step.WAIT),
        ({**lease(""), "metadata": {}}, None, 0.0, Step.LEAVE),
        ({**lease("other"), "metadata": {}}, LeaseObservation("other", "1", 100.0), 1e9, Step.LEAVE),
        (lease("third"), LeaseObservation("other", "1", 100.0), 1e9, Step.WAIT),
    ],
)
def test_a_lease_is_taken_when_its_holder_was_silent_for_the_duration_that_it_states(
    found: JsonObject | None, seen: LeaseObservation | None, now: float, expected: Step
) -> None:
    """Silence is measured from the last change that this process saw; clocks are not compared."""
    assert decide(found, seen, "me", 15, now) is expected


def test_between_two_leaders_there_is_one() -> None:
    """From the end of a holder that has crashed until a waiting process takes the Lease, at its next attempt."""
    seen = LeaseObservation("other", "1", 100.0)
    assert decide(lease("other"), seen, "me", 15, 115.0 + JITTER * 2) is Step.TAKE
    assert has_leader(seen, 15, 2, 115.0 + JITTER * 2)
    assert not has_leader(seen, 15, 2, 119.0)
    assert not has_leader(None, 15, 2, 119.0)


@pytest.mark.parametrize(
    ("value", "paused"),
    [("incident 17", "incident 17"), ("true", "true"), ("false", None), ("False", None), ("", None)],
)
def test_an_annotation_pauses_the_operator_and_says_why(value: str, paused: str | None) -> None:
    """Any text but "false" pauses."""
    assert pause_of({"metadata": {"annotations": {naming.ANNOTATION_PAUSED: value}}}) == paused
    assert pause_of({"metadata": {}}) is None
