"""Export in the background: bounded, counted, quiet."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Sequence

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from structlog.testing import capture_logs

from realtime_server.tracing.exporter import BoundedProcessor, CountingExporter, ExportUsage, stop_within

WAITING = 8


class HeldExporter(SpanExporter):
    """Exporter whose result the test sets, and which answers once it is released."""

    def __init__(self) -> None:
        self.result = SpanExportResult.SUCCESS
        self.released = threading.Event()
        self.entered = threading.Event()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:  # noqa: ARG002
        """Wait, and return the result."""
        self.entered.set()
        self.released.wait()
        if self.result is SpanExportResult.FAILURE:
            log = logging.getLogger("opentelemetry.exporter")
            log.warning("Transient error: %s", "connection refused")
            log.error("Failed to export")
        return self.result

    def shutdown(self) -> None:
        """Give up."""
        self.released.set()


class Exporting:
    """A processor, its exporters and a tracer."""

    def __init__(self) -> None:
        self.usage = ExportUsage()
        self.held = HeldExporter()
        self.exporter = CountingExporter(self.held, self.usage, "http://collector:4318")
        self.processor = BoundedProcessor(self.exporter, self.usage, most_waiting=WAITING)
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(self.processor)
        self._tracer = provider.get_tracer("test")

    def end_spans(self, count: int) -> None:
        """Begin and end spans."""
        for _ in range(count):
            self._tracer.start_span("span").end()


@pytest.fixture
def exporting() -> Iterator[Exporting]:
    """Make a processor, and stop its thread."""
    made = Exporting()
    yield made
    made.held.released.set()
    made.processor.shutdown()


def test_what_exceeds_the_bound_is_dropped_and_counted(exporting: Exporting) -> None:
    """A collector that does not answer costs no more memory than the bound, and never waits."""
    exporting.end_spans(WAITING)
    assert exporting.held.entered.wait(10), "the first batch is on its way"
    exporting.end_spans(WAITING + 5)
    assert exporting.usage.overflowed == 5
    exporting.held.released.set()
    exporting.processor.force_flush()
    assert (exporting.usage.exported, exporting.usage.ended) == (2 * WAITING, 2 * WAITING)
    exporting.end_spans(1)
    assert exporting.usage.overflowed == 5


def test_a_collector_that_is_away_is_logged_once(exporting: Exporting) -> None:
    """One line when it begins, with the reason, and one when it is over."""
    exporting.held.released.set()
    with capture_logs() as logs:
        for result in (SpanExportResult.FAILURE, SpanExportResult.FAILURE, SpanExportResult.SUCCESS):
            exporting.held.result = result
            exporting.end_spans(2)
            exporting.processor.force_flush()
    assert [(line["event"], line["log_level"]) for line in logs] == [
        ("spans cannot be exported", "warning"),
        ("spans are exported again", "info"),
    ]
    assert logs[0]["error"] == "Transient error: connection refused"
    assert (exporting.usage.failed, exporting.usage.exported) == (4, 2)


def test_the_end_exports_what_waits(exporting: Exporting) -> None:
    exporting.held.released.set()
    exporting.end_spans(3)
    stop_within(exporting.processor, exporting.exporter, 10)
    assert exporting.usage.exported == 3


def test_the_end_waits_for_a_bounded_time(exporting: Exporting) -> None:
    """Then the exporter is interrupted, and the loss is logged."""
    exporting.end_spans(3)
    began = time.monotonic()
    with capture_logs() as logs:
        stop_within(exporting.processor, exporting.exporter, 0.01)
    assert time.monotonic() - began < 10
    assert exporting.held.released.is_set()
    assert [line["event"] for line in logs] == ["spans are lost: the collector did not take them in time"]
