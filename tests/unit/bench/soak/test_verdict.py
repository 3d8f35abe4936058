"""Whether memory is flat."""

from __future__ import annotations

import pytest
from bench.soak.verdict import Sample, judge


def samples(*memory: int, every: float = 60.0) -> list[Sample]:
    """One a minute when nothing else is said."""
    return [
        Sample(every * number, one, connected=1, connects=1, subscriptions=0, published=0, received=0, errors=0)
        for number, one in enumerate(memory, start=1)
    ]


def test_growth_during_the_warm_up_does_not_count() -> None:
    """The first third is left out."""
    found = judge(samples(10, 30, 50, 70, 80, *[100] * 13))
    assert found is not None
    assert (found.flat, found.samples, found.rise) == (True, 13, 0)


def test_steady_growth_is_not_flat() -> None:
    """1,000 bytes a minute on 100,000: 60,000 an hour."""
    found = judge(samples(*(100_000 + 1000 * minute for minute in range(18))))
    assert found is not None
    assert not found.flat
    assert found.slope == pytest.approx(60_000)
    assert found.rise == pytest.approx(12_000 / 111_000)


def test_falling_is_flat() -> None:
    """It need not stay the same."""
    found = judge(samples(*(100_000 - 1000 * minute for minute in range(18))))
    assert found is not None
    assert found.flat


@pytest.mark.parametrize(
    "short", [[], samples(1, 2, 3), samples(*[1] * 100, every=6.0), samples(1, 1, 1, 1, every=600.0)]
)
def test_too_little_has_no_verdict(short: list[Sample]) -> None:
    """Too few samples, or over too little time."""
    assert judge(short) is None
