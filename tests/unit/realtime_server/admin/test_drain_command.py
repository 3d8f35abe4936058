"""How fast a pod drains that is about to be stopped."""

from __future__ import annotations

import pytest

from realtime_server.admin.drain_command import IN_TIME, pace


@pytest.mark.parametrize(
    ("connections", "seconds", "expected"),
    [(0, 600, 50), (10_000, 600, 50), (50_000, 600, 50_000 / (600 * IN_TIME)), (10, 0.5, 50), (100, 1, 100)],
)
def test_the_given_rate_or_what_it_takes(connections: int, seconds: float, expected: float) -> None:
    """Never slower than 50 here, and over before nine tenths of the time are."""
    assert pace(connections, 50, seconds) == expected
