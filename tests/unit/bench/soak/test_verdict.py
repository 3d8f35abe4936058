"""Whether memory is flat."""

from __future__ import annotations

import pytest
from bench.soak.verdict import Sample, judge


def samples(*memory: int) -> list[Sample]:
    """One a minute."""
    return [
        Sample(60.0 * number, one, connected=1, connects=1, subscriptions=0, published=0, received=0, errors=0)
        for number, one in enumerate(memory, start=1)
    ]


def test_growth_during_the_warm_up_does_not_count() -> None:
    """The first third is left out."""
    found = judge(samples(10, 50, 100, 100, 100, 100, 100, 100, 100))
    assert found is not None
    assert (found.flat, found.samples) == (True, 7)


def test_steady_growth_is_not_flat() -> None:
    """1,000 bytes a minute on 100,000: 60,000 an hour."""
    found = judge(samples(*(100_000 + 1000 * minute for minute in range(9))))
    assert found is not None
    assert not found.flat
    assert found.slope == pytest.approx(60_000)
    assert found.rise == pytest.approx(6000 / 105_000, rel=0.02)


def test_falling_is_flat() -> None:
    """It need not stay the same."""
    found = judge(samples(*(100_000 - 1000 * minute for minute in range(9))))
    assert found is not None
    assert found.flat


@pytest.mark.parametrize("memory", [[], [1, 2, 3]])
def test_too_few_samples_have_no_verdict(memory: list[int]) -> None:
    """A line through two points says nothing."""
    assert judge(samples(*memory)) is None
