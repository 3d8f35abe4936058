"""The state of a canary in `.status.canary`, written and read back. Pure."""

from __future__ import annotations

from enum import StrEnum
from typing import TypeVar

from realtime_operator.api.base import JsonObject, JsonValue
from realtime_operator.api.document import object_at, objects_at, text_at
from realtime_operator.planning.canary.gates import Gate, GateResult, Outcome
from realtime_operator.planning.canary.steps import CanaryState, Phase
from realtime_operator.planning.model.timestamps import parse_timestamp, timestamp

Word = TypeVar("Word", bound=StrEnum)


def write_canary(state: CanaryState) -> JsonObject:
    """Return the state as a part of the status."""
    results: list[JsonValue] = [
        {"name": result.gate.value, "outcome": result.outcome.value, "message": result.message}
        for result in state.results
    ]
    return {
        "revision": state.revision,
        "madeOf": state.made_of,
        "step": state.step,
        "phase": state.phase.value,
        "stepStartedAt": timestamp(state.begun),
        "since": timestamp(state.since),
        **({"gates": results} if results else {}),
        **({"failedGate": state.failed.value, "message": state.message} if state.failed is not None else {}),
        **({"resumedAt": state.resumed_at} if state.resumed_at else {}),
    }


def read_canary(status: JsonObject) -> CanaryState | None:
    """Return the state in a status; None when there is none, or it is of another release and can't be read."""
    found = object_at(status, "canary")
    begun, since = (parse_timestamp(found.get(name)) for name in ("stepStartedAt", "since"))
    phase, step = _word(Phase, found.get("phase")), found.get("step")
    if begun is None or since is None or phase is None or not isinstance(step, int) or step < 1:
        return None
    results = (_result(entry) for entry in objects_at(found, "gates"))
    return CanaryState(
        revision=text_at(found, "revision"),
        made_of=text_at(found, "madeOf"),
        step=step,
        phase=phase,
        begun=begun,
        since=since,
        results=tuple(result for result in results if result is not None),
        failed=_word(Gate, found.get("failedGate")),
        message=text_at(found, "message"),
        resumed_at=text_at(found, "resumedAt"),
    )


def _result(entry: JsonObject) -> GateResult | None:
    gate, outcome = _word(Gate, entry.get("name")), _word(Outcome, entry.get("outcome"))
    return None if gate is None or outcome is None else GateResult(gate, outcome, text_at(entry, "message"))


def _word(kind: type[Word], value: JsonValue) -> Word | None:
    return next((word for word in kind if word.value == value), None)
