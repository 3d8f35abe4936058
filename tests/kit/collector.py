"""A collector of OpenTelemetry on loopback: takes spans as OTLP over HTTP, and decodes them by the official schema."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Self

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span as SpanMessage
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from tests.kit.deadline import eventually
from tests.kit.redis_process import free_port

Value = str | int | float | bool


@dataclass(frozen=True, slots=True)
class Span:
    """A span as it was exported; `resource` are the attributes of the process that did."""

    name: str
    kind: str
    trace: str
    ident: str
    parent: str
    seconds: float
    began: int
    attributes: dict[str, Value]
    resource: dict[str, Value]
    error: str | None
    state: str

    @property
    def server(self) -> Value:
        """Name of the server that made it."""
        return str(self.resource["service.instance.id"]).partition("/")[0]


@dataclass
class Collector:
    """An OTLP receiver while its context is entered."""

    spans: list[Span] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    """Headers of each request, names in lower case."""
    answer: Callable[[], int] = lambda: 200
    """Status of the next answer."""
    released: asyncio.Event = field(default_factory=asyncio.Event)
    """Set by default; while a test has cleared it, requests get no answer."""
    port: int = field(default_factory=free_port)
    tls: ssl.SSLContext | None = None
    _runner: web.AppRunner | None = None

    @property
    def endpoint(self) -> str:
        """Address for exporters."""
        return f"{'http' if self.tls is None else 'https'}://127.0.0.1:{self.port}"

    def named(self, name: str) -> list[Span]:
        """Return the spans of a name."""
        return [span for span in self.spans if span.name == name]

    async def wait_for(self, count: int, name: str) -> list[Span]:
        """Wait for so many spans of a name."""

        async def found() -> list[Span]:
            return self.named(name)

        return await eventually(found, lambda spans: len(spans) >= count, what=f"{count} spans {name}", within=20)

    async def __aenter__(self) -> Self:
        """Listen."""
        self.released.set()
        application = web.Application(client_max_size=64 << 20)
        application.router.add_post("/v1/traces", self._take)
        self._runner = web.AppRunner(application, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port, ssl_context=self.tls).start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop listening; the context may be entered again."""
        self.released.set()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _take(self, request: web.Request) -> web.Response:
        body = await request.read()
        await self.released.wait()
        status = self.answer()
        if status == 200:
            self.headers.append({name.lower(): value for name, value in request.headers.items()})
            self.spans += spans_in(body)
        return web.Response(status=status, content_type="application/x-protobuf")


def spans_in(body: bytes) -> list[Span]:
    """Decode a request of an exporter."""
    message = ExportTraceServiceRequest()
    message.ParseFromString(body)
    return [
        _span(span, _attributes(group.resource.attributes))
        for group in message.resource_spans
        for scope in group.scope_spans
        for span in scope.spans
    ]


def _span(span: SpanMessage, resource: dict[str, Value]) -> Span:
    failed = span.status.code == Status.STATUS_CODE_ERROR
    return Span(
        name=span.name,
        kind=SpanMessage.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
        trace=span.trace_id.hex(),
        ident=span.span_id.hex(),
        parent=span.parent_span_id.hex(),
        seconds=(span.end_time_unix_nano - span.start_time_unix_nano) / 1e9,
        began=span.start_time_unix_nano,
        attributes=_attributes(span.attributes),
        resource=resource,
        error=span.status.message if failed else None,
        state=span.trace_state,
    )


def _attributes(pairs: Iterable[KeyValue]) -> dict[str, Value]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: AnyValue) -> Value:
    kind = value.WhichOneof("value")
    assert kind in {"string_value", "int_value", "double_value", "bool_value"}, kind
    found: Value = getattr(value, kind)
    return found
