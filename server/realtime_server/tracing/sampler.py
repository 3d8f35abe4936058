"""Bound on the traces that a worker samples per second."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from opentelemetry.context import Context
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, Decision, ParentBased, Sampler, SamplingResult
from opentelemetry.trace import Link, SpanKind, TraceState, get_current_span
from opentelemetry.util.types import Attributes

from realtime_server.core.limits.rates import TokenBucket


class BoundedSampler(Sampler):
    """Sampler of what the parent's flag says, and of traces that begin here.

    Of either kind at most `traces_per_second` are sampled; `refused` counts the others. Deliveries are no traces of
    their own: theirs were counted where they were sent.
    """

    def __init__(self, traces_per_second: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._sampler = ParentBased(ALWAYS_ON)
        self._bucket = TokenBucket(traces_per_second, max(1.0, traces_per_second), clock())
        self._clock = clock
        self.refused = 0

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        """Decide about one span."""
        result = self._sampler.should_sample(parent_context, trace_id, name, kind, attributes, links, trace_state)
        if (
            result.decision is not Decision.RECORD_AND_SAMPLE
            or kind is SpanKind.CONSUMER
            or _has_local_parent(parent_context)
        ):
            return result
        if self._bucket.take(self._clock()):
            return result
        self.refused += 1
        return SamplingResult(Decision.DROP, trace_state=result.trace_state)

    def get_description(self) -> str:
        """Describe the sampler for people."""
        return type(self).__name__


def _has_local_parent(context: Context | None) -> bool:
    parent = get_current_span(context).get_span_context()
    return parent.is_valid and not parent.is_remote
