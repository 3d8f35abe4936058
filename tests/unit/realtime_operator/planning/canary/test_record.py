"""The state of a canary in the status."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from realtime_operator.api.base import JsonObject
from realtime_operator.api.v1alpha1_status import RealtimeClusterStatus
from realtime_operator.planning.canary.gates import Gate, GateResult, Outcome
from realtime_operator.planning.canary.record import read_canary, write_canary
from realtime_operator.planning.canary.steps import CanaryState, Phase
from tests.unit.realtime_operator.planning.simulation import START

HOLDING = CanaryState("new", "hash", 2, Phase.HOLDING, START, START + timedelta(seconds=9))
RESULT = GateResult(Gate.CONNECTS, Outcome.FAILED, "all of them")


@pytest.mark.parametrize(
    "state",
    [
        HOLDING,
        replace(HOLDING, results=(RESULT,)),
        replace(HOLDING, phase=Phase.PAUSED, failed=Gate.CONNECTS, message="all of them", resumed_at="once"),
    ],
)
def test_a_successor_reads_what_was_written(state: CanaryState) -> None:
    """The API server takes it, too."""
    document: JsonObject = {"canary": write_canary(state)}
    assert read_canary(document) == state
    assert RealtimeClusterStatus.from_object(document) is not None


@pytest.mark.parametrize("change", [{"phase": "Dancing"}, {"step": 0}, {"since": "yesterday"}])
def test_what_cannot_be_read_is_none(change: JsonObject) -> None:
    """The canary begins anew then."""
    assert read_canary({"canary": {**write_canary(HOLDING), **change}}) is None
    assert read_canary({}) is None
