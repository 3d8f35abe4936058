"""Spans of OpenTelemetry: implements core's Tracing. Names and attributes are those of the semantic conventions.

https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/, https://opentelemetry.io/docs/specs/semconv/http/
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from urllib.parse import urlsplit

import structlog
from opentelemetry.context import Context
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import INVALID_SPAN, Span, SpanKind, Status, StatusCode, get_current_span, use_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from realtime_server.codes import INTERNAL
from realtime_server.core.model.errors import CommandError
from realtime_server.core.model.namespaces import namespace_of
from realtime_server.core.ports.tracing import Exchange, Headers, Trace

SCOPE = "realtime_server"
SYSTEM = "realtime"
"""Value of `messaging.system`, for which the conventions have no name of such systems."""
TRACEPARENT, TRACESTATE = "traceparent", "tracestate"
MOST_STATE_BYTES = 512
"""Size of a `tracestate` above which it is dropped; every party must pass on so much (W3C Trace Context, 3.3.1.5)."""
PORTS = {"http": 80, "https": 443}
MILLION = 1_000_000

_context = TraceContextTextMapPropagator()
_NO_PARENT = Context()


class HttpExchange:
    """Span of a request and its answer: implements Exchange."""

    def __init__(self, span: Span, headers: Trace, *, failed_from: int) -> None:
        self.headers: Trace | None = headers
        self._span = span
        self._failed_from = failed_from
        """Lowest status that is a failure: for a server only its own, for a client also its request's."""

    def answered(self, status: int) -> None:
        """Record the status of the answer."""
        self._span.set_attribute("http.response.status_code", status)
        if status >= self._failed_from:
            _fail(self._span, str(status))


_UNTRACED: AbstractContextManager[Exchange] = nullcontext(HttpExchange(INVALID_SPAN, {}, failed_from=1000))
_NOTHING: AbstractContextManager[None] = nullcontext(None)


class PublicationDelivery:
    """Span of a delivery: implements Delivery."""

    def __init__(self, span: Span) -> None:
        self._span = span

    def end(self, subscribers: int) -> None:
        """End the span."""
        self._span.set_attribute("realtime.subscribers", subscribers)
        self._span.end()


class SpanTracing:
    """Maker of a worker's spans: implements Tracing.

    Without a caller's decision, `per_million` traces are begun. Whatever is not sampled makes no span at all, which
    costs a fraction of one that does not record.
    """

    def __init__(
        self, provider: TracerProvider, version: str, per_million: int, *, draw: Callable[[], float] = random.random
    ) -> None:
        self._tracer = provider.get_tracer(SCOPE, version)
        self._rate = per_million / MILLION
        self._draw = draw

    def api_call(self, method: str, headers: Headers) -> AbstractContextManager[Exchange]:
        """See Tracing. While the call is sampled, the worker's log lines have its `trace_id` and `span_id`."""
        carrier = carrier_of(headers)
        parent = _context.extract(carrier, context=_NO_PARENT) if carrier else _NO_PARENT
        caller = get_current_span(parent).get_span_context()
        if not (caller.trace_flags.sampled if caller.is_valid else self._begins()):
            return _UNTRACED
        return self._api_call(method, parent)

    def _begins(self) -> bool:
        return self._draw() < self._rate

    @contextmanager
    def _api_call(self, method: str, parent: Context) -> Iterator[Exchange]:
        route = f"/api/{method}"
        attributes = {"http.request.method": "POST", "http.route": route, "url.path": route}
        span = self._tracer.start_span(f"POST {route}", context=parent, kind=SpanKind.SERVER, attributes=attributes)
        with _used(span), _logged(span):
            yield HttpExchange(span, {}, failed_from=500)

    def call_failed(self, code: int, why: str) -> None:
        """See Tracing."""
        span = get_current_span()
        if code == INTERNAL.code:
            _fail(span, str(code), why)
        else:
            span.set_attribute("error.type", str(code))

    def client_publication(self, channel: str) -> AbstractContextManager[None]:
        """See Tracing."""
        return self._client_publication(channel) if self._begins() else _NOTHING

    @contextmanager
    def _client_publication(self, channel: str) -> Iterator[None]:
        name = f"publish {template_of(channel)}"
        attributes = {"messaging.system": SYSTEM, "messaging.destination.name": channel}
        span = self._tracer.start_span(name, context=_NO_PARENT, kind=SpanKind.SERVER, attributes=attributes)
        with _used(span), _logged(span):
            yield

    def sending(self, channel: str, size: int) -> AbstractContextManager[Trace | None]:
        """See Tracing."""
        return self._sending(channel, size) if get_current_span().is_recording() else _NOTHING

    @contextmanager
    def _sending(self, channel: str, size: int) -> Iterator[Trace | None]:
        attributes = {**_messaging("send", "send", channel), "messaging.message.body.size": size}
        span = self._tracer.start_span(f"send {template_of(channel)}", kind=SpanKind.PRODUCER, attributes=attributes)
        with _used(span):
            yield _injected()

    def delivering(self, channel: str, trace: Trace, offset: int) -> PublicationDelivery:
        """See Tracing."""
        attributes = _messaging("process", "deliver", channel)
        if offset:
            attributes["realtime.offset"] = offset
        span = self._tracer.start_span(
            f"deliver {template_of(channel)}",
            context=_context.extract(trace, context=_NO_PARENT),
            kind=SpanKind.CONSUMER,
            attributes=attributes,
        )
        return PublicationDelivery(span)

    def backend_request(self, hook: str, url: str) -> AbstractContextManager[Exchange]:
        """See Tracing."""
        parent = get_current_span()
        if not (parent.is_recording() if parent.get_span_context().is_valid else self._begins()):
            return _UNTRACED
        return self._backend_request(hook, url)

    @contextmanager
    def _backend_request(self, hook: str, url: str) -> Iterator[Exchange]:
        parts = urlsplit(url)
        attributes: dict[str, str | int] = {
            "http.request.method": "POST",
            "server.address": parts.hostname or "",
            "server.port": parts.port or PORTS[parts.scheme],
            # Without the part for credentials and the query, in which there may be secrets.
            "url.full": f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}",
            "realtime.hook": hook,
        }
        span = self._tracer.start_span(f"POST {parts.path or '/'}", kind=SpanKind.CLIENT, attributes=attributes)
        with _used(span):
            yield HttpExchange(span, _injected() if span.is_recording() else {}, failed_from=400)


def carrier_of(headers: Headers) -> dict[str, str]:
    """Return a request's trace context; empty without exactly one `traceparent`, and without a long `tracestate`."""
    parents = headers(TRACEPARENT)
    if len(parents) != 1:
        return {}
    state = ",".join(headers(TRACESTATE))
    return {TRACEPARENT: parents[0], **({TRACESTATE: state} if 0 < len(state) <= MOST_STATE_BYTES else {})}


def template_of(channel: str) -> str:
    """Return the channel's name without the part that makes it one of many: `chat:{channel}`."""
    namespace = namespace_of(channel)
    return "{channel}" if namespace is None else f"{namespace}:{{channel}}"


def _messaging(kind: str, operation: str, channel: str) -> dict[str, str | int]:
    return {
        "messaging.system": SYSTEM,
        "messaging.operation.type": kind,
        "messaging.operation.name": operation,
        "messaging.destination.name": channel,
        "messaging.destination.template": template_of(channel),
    }


def _injected() -> dict[str, str]:
    """Return the context of the current span."""
    carrier: dict[str, str] = {}
    _context.inject(carrier)
    return carrier


@contextmanager
def _used(span: Span) -> Iterator[None]:
    """Make a span the current one, and end it; an exception makes it failed."""
    with use_span(span, end_on_exit=True, record_exception=False, set_status_on_exception=False):
        try:
            yield
        except CommandError as error:
            kind = str(error.error.code)
            if error.error.code == INTERNAL.code:
                _fail(span, kind, error.why)
            else:  # the answer to a command that is not right
                span.set_attribute("error.type", kind)
            raise
        except BaseException as error:
            _fail(span, type(error).__qualname__, str(error))
            raise


@contextmanager
def _logged(span: Span) -> Iterator[None]:
    """Add a recorded span's identity to the log lines of this task."""
    if not span.is_recording():
        yield
        return
    context = span.get_span_context()
    with structlog.contextvars.bound_contextvars(
        trace_id=f"{context.trace_id:032x}", span_id=f"{context.span_id:016x}"
    ):
        yield


def _fail(span: Span, kind: str, why: str = "") -> None:
    span.set_attribute("error.type", kind)
    span.set_status(Status(StatusCode.ERROR, why or None))
