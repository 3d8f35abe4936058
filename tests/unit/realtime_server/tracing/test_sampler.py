"""Which traces are sampled."""

from __future__ import annotations

import pytest
from opentelemetry.context import Context
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    TraceFlags,
    set_span_in_context,
)

from realtime_server.tracing.sampler import MILLION, BoundedSampler

TRACES = [(number * 0x9E3779B97F4A7C15) % 2**64 for number in range(1, 2001)]


def parent(*, sampled: bool, remote: bool = True) -> Context:
    """Return a context with a parent."""
    flags = TraceFlags(TraceFlags.SAMPLED if sampled else TraceFlags.DEFAULT)
    return set_span_in_context(NonRecordingSpan(SpanContext(1, 2, is_remote=remote, trace_flags=flags)), Context())


class Sampling:
    """Sampler at a time that the test sets."""

    def __init__(self, per_million: int, traces_per_second: float) -> None:
        self.now = 0.0
        self.sampler = BoundedSampler(per_million, traces_per_second, clock=lambda: self.now)

    def samples(self, context: Context, kind: SpanKind = SpanKind.SERVER, trace: int = 1) -> bool:
        """Return the decision about a span."""
        decision = self.sampler.should_sample(context, trace, "name", kind).decision
        return decision is Decision.RECORD_AND_SAMPLE


@pytest.mark.parametrize(("per_million", "least", "most"), [(0, 0, 0), (250_000, 400, 600), (MILLION, 2000, 2000)])
def test_without_a_caller_s_trace_the_rate_decides(per_million: int, least: int, most: int) -> None:
    sampling = Sampling(per_million, 100_000)
    assert least <= sum(sampling.samples(Context(), trace=trace) for trace in TRACES) <= most


@pytest.mark.parametrize("sampled", [True, False])
@pytest.mark.parametrize("per_million", [0, MILLION])
def test_with_a_caller_s_trace_its_flag_decides(per_million: int, *, sampled: bool) -> None:
    assert Sampling(per_million, 100).samples(parent(sampled=sampled)) is sampled


def test_above_the_bound_no_trace_is_sampled() -> None:
    """Whoever asks for it; the others are counted."""
    sampling = Sampling(MILLION, 2)
    asked = [sampling.samples(context) for context in (parent(sampled=True), Context(), parent(sampled=True))]
    assert asked == [True, True, False]
    assert sampling.sampler.refused == 1
    sampling.now = 0.5
    assert sampling.samples(Context())
    assert not sampling.samples(Context())
    assert sampling.sampler.refused == 2


def test_parts_of_a_sampled_trace_are_not_bounded() -> None:
    """A trace is complete: its spans within the worker, and the deliveries by others."""
    sampling = Sampling(0, 1)
    assert sampling.samples(parent(sampled=True))
    for _ in range(10):
        assert sampling.samples(parent(sampled=True, remote=False), SpanKind.PRODUCER)
        assert sampling.samples(parent(sampled=True), SpanKind.CONSUMER)
    assert sampling.sampler.refused == 0
