"""Names, attributes and parents of spans."""

from __future__ import annotations

import pytest
import structlog
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased
from opentelemetry.trace import SpanKind, StatusCode, get_current_span

from realtime_server.codes import INTERNAL, NOT_AVAILABLE
from realtime_server.core.model.errors import BackplaneError, CommandError
from realtime_server.tracing.spans import MILLION, MOST_STATE_BYTES, SpanTracing, carrier_of, template_of

TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
PARENT = f"00-{TRACE}-{CALLER}-01"


class Traced:
    """Tracing whose ended spans are kept; `drawn` is the number by which it decides whether a trace begins."""

    def __init__(self, per_million: int = MILLION, *, drawn: float = 0.5) -> None:
        self._exporter = InMemorySpanExporter()
        provider = TracerProvider(sampler=ParentBased(ALWAYS_ON), shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracing = SpanTracing(provider, "1", per_million, draw=lambda: drawn)

    @property
    def spans(self) -> tuple[ReadableSpan, ...]:
        """Ended spans, in the order of their ends."""
        return self._exporter.get_finished_spans()


@pytest.mark.parametrize(
    ("given", "carried"),
    [
        ({}, {}),
        ({"tracestate": ["a=1"]}, {}),
        ({"traceparent": [PARENT]}, {"traceparent": PARENT}),
        ({"traceparent": [PARENT, PARENT]}, {}),
        ({"traceparent": [PARENT], "tracestate": ["a=1", "b=2"]}, {"traceparent": PARENT, "tracestate": "a=1,b=2"}),
        ({"traceparent": [PARENT], "tracestate": ["a=" + "1" * MOST_STATE_BYTES]}, {"traceparent": PARENT}),
    ],
)
def test_headers_of_a_caller_are_bounded(given: dict[str, list[str]], carried: dict[str, str]) -> None:
    assert carrier_of(lambda name: given.get(name, ())) == carried


@pytest.mark.parametrize(
    ("channel", "template"),
    [
        ("chat:room:1", "chat:{channel}"),
        ("$chat:room", "chat:{channel}"),
        ("news", "{channel}"),
        ("$private", "{channel}"),
        ("#alice", "{channel}"),
        ("chat:#alice", "chat:{channel}"),
        ("#user:1", "{channel}"),
    ],
)
def test_a_template_has_no_part_that_makes_it_one_of_many(channel: str, template: str) -> None:
    assert template_of(channel) == template


@pytest.mark.parametrize(
    "bad",
    ["", "00", f"ff-{TRACE}-{CALLER}-01", f"00-{'0' * 32}-{CALLER}-01", f"00-{TRACE}-{'0' * 16}-01", "x" * 10_000],
)
def test_an_invalid_parent_begins_a_trace(bad: str) -> None:
    traced = Traced()
    with traced.tracing.api_call("publish", lambda name: [bad] if name == "traceparent" else ()):
        pass
    [span] = traced.spans
    assert span.parent is None
    assert span.context is not None
    assert f"{span.context.trace_id:032x}" != TRACE


def test_a_call_its_sending_and_the_delivery_are_one_trace() -> None:
    """The context that is sent along has the sending as its parent."""
    traced = Traced(0)
    given = {"traceparent": [PARENT], "tracestate": ["a=1"]}
    with traced.tracing.api_call("publish", lambda name: given.get(name, ())) as exchange:
        with traced.tracing.sending("chat:a", 7) as trace:
            assert trace is not None
            traced.tracing.delivering("chat:a", trace, 0).end(3)
        exchange.answered(200)
    delivery, send, call = traced.spans
    assert [span.kind for span in traced.spans] == [SpanKind.CONSUMER, SpanKind.PRODUCER, SpanKind.SERVER]
    assert [span.name for span in traced.spans] == [
        "deliver chat:{channel}",
        "send chat:{channel}",
        "POST /api/publish",
    ]
    assert delivery.parent is not None
    assert send.parent is not None
    assert call.parent is not None
    assert send.context is not None
    assert delivery.parent.span_id == send.context.span_id
    assert {f"{span.context.trace_id:032x}" for span in traced.spans if span.context} == {TRACE}
    assert trace["tracestate"] == "a=1"
    assert (delivery.attributes or {})["realtime.subscribers"] == 3
    assert "realtime.offset" not in (delivery.attributes or {})
    assert (send.attributes or {})["messaging.message.body.size"] == 7
    assert (call.attributes or {})["http.response.status_code"] == 200


@pytest.mark.parametrize(
    ("per_million", "drawn", "begins"), [(0, 0.0, 0), (MILLION, 0.999, 1), (10_000, 0.0099, 1), (10_000, 0.01, 0)]
)
def test_without_a_decision_the_rate_decides(per_million: int, drawn: float, begins: int) -> None:
    """Of calls, publications of clients and requests to the backend alike."""
    traced = Traced(per_million, drawn=drawn)
    with traced.tracing.api_call("publish", lambda _: ()), traced.tracing.sending("chat:a", 1) as trace:
        assert (trace is not None) is bool(begins)
    with traced.tracing.client_publication("chat:a"):
        pass
    with traced.tracing.backend_request("rpc", "http://backend/rpc"):
        pass
    assert len(traced.spans) == 4 * begins


@pytest.mark.parametrize("flags", ["00", "01"])
@pytest.mark.parametrize("per_million", [0, MILLION])
def test_with_a_caller_s_trace_its_flag_decides(per_million: int, flags: str) -> None:
    traced = Traced(per_million)
    given = {"traceparent": [f"{PARENT[:-2]}{flags}"]}
    with traced.tracing.api_call("publish", lambda name: given.get(name, ())), traced.tracing.sending("a", 1) as trace:
        assert (trace is not None) is (flags == "01")
    assert len(traced.spans) == (2 if flags == "01" else 0)


def test_a_backend_decides_about_a_request_that_is_not_sampled() -> None:
    """It gets no context, neither of the server nor of a client."""
    with Traced(0).tracing.backend_request("rpc", "http://backend/rpc") as exchange:
        assert exchange.headers == {}


def test_a_sending_begins_no_trace() -> None:
    traced = Traced()
    with traced.tracing.sending("chat:a", 1) as trace:
        assert trace is None
    assert traced.spans == ()


def test_a_request_to_the_backend_shows_no_secrets() -> None:
    """Credentials and the query of its URL are left out; a status from 400 on is a failure."""
    traced = Traced()
    with traced.tracing.backend_request("connect", "https://user:secret@backend:8443/hook?key=secret") as exchange:
        exchange.answered(404)
    [span] = traced.spans
    assert span.attributes == {
        "http.request.method": "POST",
        "server.address": "backend",
        "server.port": 8443,
        "url.full": "https://backend:8443/hook",
        "realtime.hook": "connect",
        "http.response.status_code": 404,
        "error.type": "404",
    }
    assert span.status.status_code is StatusCode.ERROR


@pytest.mark.parametrize(
    ("error", "kind", "failed"),
    [
        (BackplaneError("Redis is away"), "BackplaneError", True),
        (CommandError(INTERNAL), "100", True),
        (CommandError(NOT_AVAILABLE), "108", False),
    ],
)
def test_a_sending_that_fails_says_why(error: Exception, kind: str, *, failed: bool) -> None:
    """What a caller did wrong is no failure of the server."""
    traced = Traced()
    with (
        traced.tracing.api_call("publish", lambda _: ()),
        pytest.raises(type(error)),
        traced.tracing.sending("chat:a", 1),
    ):
        raise error
    span, _ = traced.spans
    assert (span.attributes or {})["error.type"] == kind
    assert (span.status.status_code is StatusCode.ERROR) is failed


def test_a_failed_call_has_its_code() -> None:
    """An error of the catalogue is a failure of the server when it is an internal one."""
    traced = Traced()
    for code in (INTERNAL.code, NOT_AVAILABLE.code):
        with traced.tracing.api_call("publish", lambda _: ()):
            traced.tracing.call_failed(code, "why")
    internal, refused = traced.spans
    assert (internal.status.status_code, internal.status.description) == (StatusCode.ERROR, "why")
    assert (refused.status.status_code, (refused.attributes or {})["error.type"]) == (StatusCode.UNSET, "108")


@pytest.mark.parametrize("per_million", [MILLION, 0])
def test_log_lines_of_a_sampled_call_have_its_identity(per_million: int) -> None:
    """They have it within the call only."""
    with Traced(per_million).tracing.api_call("publish", lambda _: ()):
        context = get_current_span().get_span_context()
        bound = structlog.contextvars.get_contextvars()
    wanted = {"trace_id": f"{context.trace_id:032x}", "span_id": f"{context.span_id:016x}"}
    assert bound == (wanted if per_million else {})
    assert structlog.contextvars.get_contextvars() == {}


def test_a_client_s_publication_is_part_of_no_other_trace() -> None:
    """Whatever runs around it."""
    traced = Traced()
    with traced.tracing.api_call("publish", lambda _: ()), traced.tracing.client_publication("chat:a"):
        pass
    publication, _ = traced.spans
    assert (publication.name, publication.parent) == ("publish chat:{channel}", None)
