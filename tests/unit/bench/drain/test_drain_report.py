"""Tests of the report on replacements."""

from __future__ import annotations

from pathlib import Path

from bench.drain.drain_report import write
from bench.drain.outcome import AT_ONCE, OURS, SINGLE, SLEEP, Outcome


def test_the_report_has_a_row_for_each_way_and_a_plot(tmp_path: Path) -> None:
    """What was measured one by one is no line of the plot."""
    names = (SINGLE, SLEEP, AT_ONCE, OURS)
    outcomes = [Outcome(name, 1_000, (0.5, 1.5), (0.5, 0.75), 2.0, 1, 0, 0, 0) for name in names]
    write(tmp_path, outcomes, 1_000, 20.0, 4)
    report, plot = (tmp_path / "drain.md").read_text(), (tmp_path / "drain.svg").read_text()
    for name in names:
        assert f"| {name} | 1,000 | 2 | 0.50 | 0.75 | 1.5 | 2.0 | 1 | 0 | 0 |" in report
        assert (name in plot) is (name != SINGLE)
    assert "20 connections per second" in report
