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

from realtime_server.tracing.sampler import BoundedSampler


def parent(*, sampled: bool, remote: bool = True) -> Context:
    """Return a context with a parent."""
    flags = TraceFlags(TraceFlags.SAMPLED if sampled else TraceFlags.DEFAULT)
    return set_span_in_context(NonRecordingSpan(SpanContext(1, 2, is_remote=remote, trace_flags=flags)), Context())


class Sampling:
    """Sampler at a time that the test sets."""

    def __init__(self, traces_per_second: float) -> None:
        self.now = 0.0
        self.sampler = BoundedSampler(traces_per_second, clock=lambda: self.now)

    def samples(self, context: Context, kind: SpanKind = SpanKind.SERVER) -> bool:
        """Return the decision about a span."""
        decision = self.sampler.should_sample(context, 1, "name", kind).decision
        return decision is Decision.RECORD_AND_SAMPLE


@pytest.mark.parametrize("sampled", [True, False])
def test_the_parent_s_flag_decides(*, sampled: bool) -> None:
    assert Sampling(100).samples(parent(sampled=sampled)) is sampled


def test_above_the_bound_no_trace_is_sampled() -> None:
    """Whoever asks for it; the others are counted."""
    sampling = Sampling(2)
    asked = [sampling.samples(context) for context in (parent(sampled=True), Context(), parent(sampled=True))]
    assert asked == [True, True, False]
    assert sampling.sampler.refused == 1
    sampling.now = 0.5
    assert sampling.samples(Context())
    assert not sampling.samples(Context())
    assert sampling.sampler.refused == 2


def test_parts_of_a_sampled_trace_are_not_bounded() -> None:
    """A trace is complete: its spans within the worker, and the deliveries by others."""
    sampling = Sampling(1)
    assert sampling.samples(parent(sampled=True))
    for _ in range(10):
        assert sampling.samples(parent(sampled=True, remote=False), SpanKind.PRODUCER)
        assert sampling.samples(parent(sampled=True), SpanKind.CONSUMER)
    assert sampling.sampler.refused == 0
