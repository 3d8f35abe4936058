"""Whether memory is flat: the slope after the warm-up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import linear_regression, mean

WARM_UP = 1 / 3
"""So much of the time is not judged: caches fill, the allocator takes what it needs at most."""
FLAT = 0.02
"""Growth over the judged time, as a part of the mean, up to which memory is called flat."""
LEAST_SAMPLES = 4
LEAST_SECONDS = 600.0
"""A line through less time than this says nothing: a little growth would be called flat."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What was seen at one moment: `at` in seconds since the start, `memory` in bytes, counts since the start."""

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
    """A straight line through the judged samples: its slope in bytes per hour, its rise as a part of their mean."""

    slope: float
    rise: float
    mean: float
    samples: int

    @property
    def flat(self) -> bool:
        """Whether memory does not grow. Falling is flat."""
        return self.rise <= FLAT


def judge(samples: Sequence[Sample]) -> Verdict | None:
    """None when there is too little to judge after the warm-up: LEAST_SAMPLES over LEAST_SECONDS."""
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
