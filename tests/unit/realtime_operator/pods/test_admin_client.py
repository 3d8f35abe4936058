"""Reports as servers send them."""

from __future__ import annotations

import pytest

from realtime_operator.planning.world import ServerReport, ServerState
from realtime_operator.pods.admin_client import read_report


def test_a_report_is_read() -> None:
    """The fields of the admin API's status; others are ignored."""
    document = {
        "server": "a", "state": "draining", "connections": 7, "seconds_since_last_accept": 1.5,
        "accept_cost_seconds": None, "drain_rate": 50, "backplane_healthy": True, "workers": 2, "new": "field",
    }  # fmt: skip
    expected = ServerReport(ServerState.DRAINING, 7, 1.5, None, 50.0, backplane_healthy=True, workers=2)
    assert read_report(document) == expected


@pytest.mark.parametrize("document", [{}, {"state": "odd", "connections": 1}, {"state": "serving", "connections": "x"}])
def test_a_report_that_cannot_be_understood_is_an_error(document: dict[str, object]) -> None:
    """It counts as no report: nothing is decided on a guess."""
    with pytest.raises((KeyError, ValueError)):
        read_report(document)
