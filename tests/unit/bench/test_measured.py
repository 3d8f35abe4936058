"""What is derived from one measurement."""

from __future__ import annotations

import pytest
from bench.measured import Measured


def test_figures_of_a_span() -> None:
    """Work by CPU time and by time, and the parts of the time that both sides were busy."""
    one = Measured(1000, wall=2.0, server_cpu=0.5, load_cpu=1.0)
    assert (one.per_cpu_second, one.per_second, one.server_share, one.load_share) == (2000, 500, 0.25, 0.5)
    assert one.cpu_microseconds == pytest.approx(500)


def test_memory_is_divided_by_connections() -> None:
    """In bytes."""
    assert Measured(count=10_000, memory=40_960_000).bytes_per_connection == 4096
