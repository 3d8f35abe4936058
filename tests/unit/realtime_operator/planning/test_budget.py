"""Tests of the budget: the rate that the receiving servers were measured to accept."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from realtime_operator.planning.budget import DrainPolicy, accept_rate, connections_per_second
from realtime_operator.planning.world import Server, ServerReport, ServerState

AUTO = DrainPolicy(None, 600, 5)


def server(cost: float | None, workers: int = 1) -> Server:
    """Return a receiving server with this measured cost of an accepted connection in CPU seconds."""
    report = ServerReport(ServerState.SERVING, 0, accept_cost_seconds=cost, workers=workers)
    return Server("a", "a", "r", datetime(2026, 1, 1, tzinfo=UTC), ready=True, report=report)


@pytest.mark.parametrize(
    ("cost", "workers", "expected"), [(0.001, 1, 250), (0.001, 4, 1000), (0.01, 1, 25), (None, 1, 50)]
)
def test_a_quarter_of_the_measured_capacity_may_be_used(cost: float | None, workers: int, expected: float) -> None:
    """An unmeasured server gets 50 connections per second."""
    assert accept_rate(server(cost, workers)) == expected


def test_auto_adds_up_the_receivers() -> None:
    assert connections_per_second(AUTO, [server(0.001), server(None)]) == 300


def test_a_given_rate_is_the_budget() -> None:
    assert connections_per_second(DrainPolicy(7, 600, 5), [server(0.001)]) == 7


def test_without_receivers_nothing_may_move() -> None:
    """A rate of the spec does not matter then."""
    assert connections_per_second(DrainPolicy(7, 600, 5), []) == 0
