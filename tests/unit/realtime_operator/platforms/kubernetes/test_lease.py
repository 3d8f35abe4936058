"""Who may lead, decided from what was seen of the Lease."""

from __future__ import annotations

import pytest

from realtime_operator.api.base import JsonObject
from realtime_operator.platforms.kubernetes.lease import Sighting, Step, decide


def lease(holder: str, duration: int = 15) -> JsonObject:
    """A Lease with a holder."""
    return {"spec": {"holderIdentity": holder, "leaseDurationSeconds": duration}}


@pytest.mark.parametrize(
    ("found", "seen", "now", "expected"),
    [
        (None, None, 0.0, Step.CREATE),
        (lease(""), None, 0.0, Step.TAKE),
        (lease("me"), None, 0.0, Step.RENEW),
        (lease("other"), None, 1e9, Step.WAIT),
        (lease("other"), Sighting("other", "1", 100.0), 115.0, Step.WAIT),
        (lease("other"), Sighting("other", "1", 100.0), 115.1, Step.TAKE),
        (lease("other", 60), Sighting("other", "1", 100.0), 130.0, Step.WAIT),
        (lease("third"), Sighting("other", "1", 100.0), 1e9, Step.WAIT),
    ],
)
def test_a_lease_is_taken_when_its_holder_was_silent_for_the_duration_that_it_states(
    found: JsonObject | None, seen: Sighting | None, now: float, expected: Step
) -> None:
    """Silence is measured from the last change that this process saw, never by comparing clocks."""
    assert decide(found, seen, "me", 15, now) is expected
