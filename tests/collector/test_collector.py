"""The real OpenTelemetry Collector receives what servers export."""

from __future__ import annotations

from pathlib import Path

from tests.component.tracing.test_traces import CALLER, SAMPLED, TRACE, call, subscriber
from tests.kit.deadline import eventually
from tests.kit.opentelemetry_collector import OpenTelemetryCollector, PrintedSpan, printed_spans
from tests.kit.redis_process import running_redis
from tests.kit.server_process import ServerProcess


async def test_call_sending_and_the_deliveries_of_two_servers_are_one_trace(tmp_path: Path) -> None:
    """The collector accepts the servers' requests, and prints a trace with one root, the caller's span."""
    with OpenTelemetryCollector(tmp_path) as collector, running_redis() as redis:
        tracing = {"endpoint": collector.endpoint}
        async with (
            ServerProcess("one", redis, tracing={**tracing}) as one,
            ServerProcess("two", redis, tracing={**tracing}) as two,
            subscriber(one, "chat:room"),
            subscriber(two, "chat:room"),
        ):
            await call(one, "publish", {"traceparent": SAMPLED}, channel="chat:room", data={"text": "hello"})

            async def spans() -> list[PrintedSpan]:
                return printed_spans(collector.output)

            found = await eventually(spans, lambda spans: len(spans) >= 4, what="4 spans", within=20)
    assert {span.trace for span in found} == {TRACE}
    by_name = {span.name: span for span in found}
    request, send = by_name["POST /api/publish"], by_name["send chat:{channel}"]
    deliveries = [span for span in found if span.name == "deliver chat:{channel}"]
    assert (request.parent, request.kind) == (CALLER, "Server")
    assert (send.parent, send.kind) == (request.ident, "Producer")
    assert [(span.parent, span.kind) for span in deliveries] == [(send.ident, "Consumer")] * 2
    assert "service.instance.id: Str(one/0)" in collector.output
    assert "service.instance.id: Str(two/0)" in collector.output
