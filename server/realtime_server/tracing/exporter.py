"""Export of ended spans in the background: bounded, counted, and quiet while the collector does not answer.

The SDK's processor exports from a thread of its own. Its queue never overflows, because spans beyond `MOST_WAITING` are
dropped before; the SDK would drop without counting them.
"""

from __future__ import annotations

import logging
import ssl
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

import requests
import structlog
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from requests.auth import AuthBase
from requests.utils import get_environ_proxies

from realtime_server.settings import SecretFile
from realtime_server.tracing_settings import Tracing

logger = structlog.get_logger()

TRACES_PATH = "/v1/traces"
MOST_WAITING = 4096
"""Spans that wait to be exported; further ones are dropped."""
BATCH = 256
"""Maximum number of spans per request, which bounds the time that encoding them takes from the event loop."""
EXPORT_MILLISECONDS = 1000
"""Time that a span waits for others."""
TIMEOUT_SECONDS = 5.0
"""Time within which the collector must accept a request, retries included."""


@dataclass(slots=True)
class ExportUsage:
    """Counters of spans. `taken` and what follows are written by the exporting thread alone, the rest by the loop's."""

    ended: int = 0
    overflowed: int = 0
    taken: int = 0
    exported: int = 0
    failed: int = 0


class _HeaderFiles(AuthBase):
    """Headers for the collector, each from a file that is read again when it changes."""

    def __init__(self, settings: Tracing) -> None:
        self._headers = {header.name: SecretFile(header.file) for header in settings.headers}

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        for name, file in self._headers.items():
            request.headers[name] = file.read()
        return request


class _FirstError(logging.Handler):
    """Keeper of the exporter's first message about a batch, which says why it has failed; later ones say that."""

    text = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.text = self.text or record.getMessage()


class CountingExporter(SpanExporter):
    """Counter of what another exporter does; it logs when that begins to fail, and when it succeeds again."""

    def __init__(self, exporter: SpanExporter, usage: ExportUsage, endpoint: str) -> None:
        self._exporter = exporter
        self._usage = usage
        self._endpoint = endpoint
        self._fails = False
        self._errors = _FirstError()
        # One line of its own says it: each of the SDK's would be repeated for every batch.
        log = logging.getLogger("opentelemetry")
        log.addHandler(self._errors)
        log.propagate = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Export a batch."""
        self._usage.taken += len(spans)
        self._errors.text = ""
        result = self._exporter.export(spans)
        if result is SpanExportResult.SUCCESS:
            self._usage.exported += len(spans)
            if self._fails:
                logger.info("spans are exported again", endpoint=self._endpoint)
        else:
            self._usage.failed += len(spans)
            if not self._fails:
                logger.warning("spans cannot be exported", endpoint=self._endpoint, error=self._errors.text)
        self._fails = result is not SpanExportResult.SUCCESS
        return result

    def shutdown(self) -> None:
        """Stop, and interrupt a retry."""
        self._exporter.shutdown()


class BoundedProcessor(SpanProcessor):
    """Processor that exports spans in batches, and drops what exceeds MOST_WAITING."""

    def __init__(self, exporter: SpanExporter, usage: ExportUsage, *, most_waiting: int = MOST_WAITING) -> None:
        self._usage = usage
        self._most_waiting = most_waiting
        self._batches: SpanProcessor = BatchSpanProcessor(
            exporter,
            max_queue_size=most_waiting,
            max_export_batch_size=min(BATCH, most_waiting),
            schedule_delay_millis=EXPORT_MILLISECONDS,
        )

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Do nothing."""

    def on_end(self, span: ReadableSpan) -> None:
        """Queue an ended span."""
        if self._usage.ended - self._usage.taken >= self._most_waiting:
            self._usage.overflowed += 1
            return
        self._usage.ended += 1
        self._batches.on_end(span)

    def shutdown(self) -> None:
        """Export what waits, and stop. Blocks until the exporter gives up."""
        self._batches.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Export what waits. Blocks."""
        return self._batches.force_flush(timeout_millis)


def otlp_exporter(settings: Tracing) -> SpanExporter:
    """Return an exporter of Protobuf over HTTP to the collector of the settings.

    It uses the proxy of the environment. Its authorities are those of the settings or of the system, as everywhere in
    the server: requests would prefer a file that the environment names, or those that it ships with.
    """
    endpoint = settings.endpoint.rstrip("/") + TRACES_PATH
    system = ssl.get_default_verify_paths()
    authorities = str(settings.ca_file or system.cafile or system.capath or "")
    session = requests.Session()
    session.trust_env = False
    session.proxies.update(get_environ_proxies(endpoint))
    session.auth = _HeaderFiles(settings)
    return OTLPSpanExporter(
        endpoint=endpoint,
        certificate_file=authorities or None,
        timeout=TIMEOUT_SECONDS,
        compression=Compression.Gzip,
        session=session,
    )


def stop_within(processor: SpanProcessor, exporter: SpanExporter, seconds: float) -> None:
    """Export what waits for at most so long, and stop. Blocks."""
    began = time.monotonic()
    stopping = threading.Thread(target=processor.shutdown, name="spans-stop", daemon=True)
    stopping.start()
    stopping.join(seconds)
    if stopping.is_alive():
        exporter.shutdown()
        logger.warning("spans are lost: the collector did not take them in time", seconds=time.monotonic() - began)
