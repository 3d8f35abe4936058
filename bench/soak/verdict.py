"""The verdict on memory growth: the slope after the warm-up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import linear_regression, mean

WARM_UP = 1 / 3
"""Part of the time that is not judged: caches fill and the allocator reaches its peak."""
FLAT = 0.02
"""Relative growth over the judged time, as part of the mean, up to which memory counts as flat."""
LEAST_SAMPLES = 4
LEAST_SECONDS = 600.0
"""Minimum seconds to judge: over less time small growth would count as flat."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One sample: `at` in seconds since the start, `memory` in bytes, counts since the start."""

    at: float
    memory: int
    connected: int
    connects: int
    subscriptions: int
    published: int
    received: int
    errors: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """A line fitted to the judged samples: its slope in bytes per hour, its rise as part of their mean."""

    slope: float
    rise: float
    mean: float
    samples: int

    @property
    def flat(self) -> bool:
        """True when memory does not grow; falling memory counts as flat."""
        return self.rise <= FLAT


def judge(samples: Sequence[Sample]) -> Verdict | None:
    """Judge the samples; None with fewer than LEAST_SAMPLES over LEAST_SECONDS after the warm-up."""
    if not samples:
        return None
    begin = samples[-1].at * WARM_UP
    judged = [sample for sample in samples if sample.at >= begin]
    if len(judged) < LEAST_SAMPLES or judged[-1].at - judged[0].at < LEAST_SECONDS:
        return None
    times, sizes = [sample.at for sample in judged], [float(sample.memory) for sample in judged]
    slope = linear_regression(times, sizes).slope
    level = mean(sizes)
    return Verdict(slope * 3600, slope * (times[-1] - times[0]) / level, level, len(judged))
