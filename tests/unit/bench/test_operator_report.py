"""What the comparison of operators says, and when it fails."""

from __future__ import annotations

import pytest
from bench.operator.load import Foreign
from bench.operator.measure import Measured
from bench.operator.report import MEBIBYTE, Comparison, render


def measured(build: str, peak: float, **requests: int) -> Measured:
    """One operator for two minutes."""
    return Measured(build, int(peak * MEBIBYTE), int(peak * MEBIBYTE), 120, requests)


def comparison(grown: float = 95, reads: int = 150) -> Comparison:
    """The operator now takes 90 MiB alone and `grown` beside others, and `reads` in two minutes."""
    return Comparison(
        "aaa",
        20,
        Foreign(1000, 200_000, 5000),
        (measured("before", 100, get=100, list=650, update=60), measured("now", 90, get=reads, update=60)),
        (measured("before", 900, get=100, list=650), measured("now", grown, get=reads)),
    )


def test_the_figures_are_in_the_table() -> None:
    """Growth of the peak, and reads a minute without the writes."""
    text = render(comparison())
    assert "commit aaa" in text
    assert "| **growth of the peak, MiB** | 800.0 | 5.0 |" in text
    assert "| **reads a minute** | 375 | 75 |" in text
    assert "1,000 Secrets of 200 KB and 5,000 Pods" in text


@pytest.mark.parametrize(
    ("grown", "reads", "missed"),
    [(99.9, 150, 0), (100, 150, 1), (95, 151, 1), (200, 700, 2)],
)
def test_a_goal_that_is_missed_is_named(grown: float, reads: int, missed: int) -> None:
    """Less than 10 MiB, and at most a fifth."""
    assert len(comparison(grown, reads).missed()) == missed
