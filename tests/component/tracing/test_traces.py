"""Traces of real servers: from the call of the API over the backplane to the deliveries of every server."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Iterator

import aiohttp
import pytest

from realtime_operator.api.base import JsonObject, JsonValue
from tests.kit.collector import Collector, Span
from tests.kit.http_backend import HttpBackend
from tests.kit.raw_client import RawClient, raw_client
from tests.kit.redis_process import RedisProcess, running_redis
from tests.kit.server_process import API_KEY, TOKEN_SECRET, ServerProcess
from tests.kit.tokens import connection_token

TRACE = "0af7651916cd43dd8448eb211c80319c"
CALLER = "b7ad6b7169203331"
SAMPLED, NOT_SAMPLED = f"00-{TRACE}-{CALLER}-01", f"00-{TRACE}-{CALLER}-00"
STATE = "vendor=1,other=2"


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisProcess]:
    """Start a Redis."""
    with running_redis() as process:
        yield process


def tracing(collector: Collector, **changes: JsonValue) -> JsonObject:
    """Return the setting of servers that export there."""
    return {"endpoint": collector.endpoint, "service_name": "chat", **changes}


async def call(server: ServerProcess, method: str, headers: dict[str, str], **params: JsonValue) -> JsonObject:
    """Call the server API with these headers."""
    url = f"http://127.0.0.1:{server.api_port}/api/{method}"
    async with (
        aiohttp.ClientSession() as session,
        session.post(url, data=json.dumps(params), headers={"X-API-Key": API_KEY, **headers}) as response,
    ):
        answer: JsonObject = await response.json()
        return answer


@contextlib.asynccontextmanager
async def subscriber(server: ServerProcess, *channels: str) -> AsyncIterator[RawClient]:
    """Connect a client and subscribe it."""
    async with raw_client(server.url) as client:
        await client.connect(connection_token(TOKEN_SECRET, "alice"))
        for number, channel in enumerate(channels):
            reply = await client.command(id=2 + number, subscribe={"channel": channel})
            assert "subscribe" in reply
        yield client


def child_of(parent: Span) -> tuple[str, str]:
    """Return trace and parent of its children."""
    return parent.trace, parent.ident


async def test_a_publication_is_one_trace_over_two_servers(redis: RedisProcess) -> None:
    """The caller's trace goes on: call, sending, and one delivery for each server, however many clients it has."""
    async with (
        Collector() as collector,
        ServerProcess("one", redis, tracing=tracing(collector)) as one,
        ServerProcess("two", redis, tracing=tracing(collector), workers=1) as two,
        subscriber(one, "chat:room") as first,
        subscriber(two, "chat:room") as second,
        subscriber(two, "chat:room") as third,
    ):
        headers = {"traceparent": SAMPLED, "tracestate": STATE}
        assert "result" in await call(one, "publish", headers, channel="chat:room", data={"text": "hello"})
        for client in (first, second, third):
            assert await client.publication() == {"text": "hello"}
        [request] = await collector.wait_for(1, "POST /api/publish")
        [send] = await collector.wait_for(1, "send chat:{channel}")
        deliveries = await collector.wait_for(2, "deliver chat:{channel}")
    assert len(collector.spans) == 4
    assert (request.trace, request.parent, request.kind) == (TRACE, CALLER, "SERVER")
    assert ((send.trace, send.parent), send.kind) == (child_of(request), "PRODUCER")
    assert {(delivery.trace, delivery.parent) for delivery in deliveries} == {child_of(send)}
    assert {delivery.server: delivery.attributes["realtime.subscribers"] for delivery in deliveries} == {
        "one": 1,
        "two": 2,
    }
    assert {span.state for span in collector.spans} == {STATE}
    assert all(span.error is None and 0 <= span.seconds < 10 for span in collector.spans)
    delivery = deliveries[0]
    assert delivery.kind == "CONSUMER"
    assert delivery.attributes == {
        "messaging.system": "realtime",
        "messaging.operation.type": "process",
        "messaging.operation.name": "deliver",
        "messaging.destination.name": "chat:room",
        "messaging.destination.template": "chat:{channel}",
        "realtime.offset": 1,
        "realtime.subscribers": delivery.attributes["realtime.subscribers"],
    }
    assert request.attributes["http.response.status_code"] == 200
    assert request.resource["service.name"] == "chat"
    assert "k8s.pod.name" not in request.resource


async def test_what_is_not_sampled_is_not_exported(redis: RedisProcess) -> None:
    """The caller's flag decides; without a caller's trace the rate does, which is 0."""
    async with (
        Collector() as collector,
        ServerProcess("one", redis, tracing=tracing(collector)) as one,
        subscriber(one, "chat:quiet", "open:a") as client,
    ):
        for headers in ({"traceparent": NOT_SAMPLED}, {}, {"traceparent": "00-none"}):
            await call(one, "publish", headers, channel="chat:quiet", data=1)
            await client.publication()
        await client.command(id=9, publish={"channel": "open:a", "data": 1})
        await call(one, "publish", {"traceparent": SAMPLED}, channel="chat:quiet", data=2)
        await collector.wait_for(1, "deliver chat:{channel}")
    assert {span.trace for span in collector.spans} == {TRACE}
    assert len(collector.spans) == 3


async def test_nobody_without_a_key_begins_a_trace(redis: RedisProcess) -> None:
    """A call with a wrong key makes no span, whatever its headers say."""
    async with (
        Collector() as collector,
        ServerProcess("one", redis, tracing=tracing(collector, sampling_rate_per_million=1_000_000)) as one,
    ):
        headers = {"traceparent": SAMPLED, "X-API-Key": "wrong"}
        assert "error" in await call(one, "publish", headers, channel="chat:a", data=1)
        await call(one, "info", {})
        await collector.wait_for(1, "POST /api/info")
    assert len(collector.spans) == 1


async def test_a_broadcast_is_one_call_with_a_sending_for_each_channel(redis: RedisProcess) -> None:
    """Errors in it are seen on the span of the call."""
    async with (
        Collector() as collector,
        ServerProcess("one", redis, tracing=tracing(collector)) as one,
    ):
        headers = {"traceparent": SAMPLED}
        await call(one, "broadcast", headers, channels=["chat:a", "open:b", "nowhere:c"], data=1)
        commands: JsonValue = [{"publish": {"channel": "chat:a", "data": 1}}, {"presence": {"channel": "nowhere:c"}}]
        await call(one, "batch", headers, commands=commands)
        [broadcast] = await collector.wait_for(1, "POST /api/broadcast")
        [batch] = await collector.wait_for(1, "POST /api/batch")
        await collector.wait_for(2, "send chat:{channel}")
        [opened] = await collector.wait_for(1, "send open:{channel}")
    assert {(span.trace, span.parent) for span in collector.named("send chat:{channel}")} == {
        child_of(broadcast),
        child_of(batch),
    }
    assert (opened.trace, opened.parent) == child_of(broadcast)
    assert batch.attributes["error.type"] == "102"
    assert (batch.error, broadcast.error) == (None, None)


async def test_a_client_s_publication_has_a_trace_of_its_own(redis: RedisProcess) -> None:
    """The backend is asked within it; what the client sends as its trace is not believed, and not passed on."""
    answers: dict[str, JsonObject] = {
        "connect": {"result": {"user": "alice"}},
        "publish": {"result": {"data": {"better": True}}},
    }
    async with (
        Collector() as collector,
        HttpBackend({path: lambda _, answer=answer: answer for path, answer in answers.items()}) as backend,  # type: ignore[misc] # a default binds the loop variable
        ServerProcess(
            "one",
            redis,
            tracing=tracing(collector, sampling_rate_per_million=1_000_000),
            hooks={
                "connect": {"url": backend.url("connect?token=secret")},
                "publish": {"url": backend.url("publish")},
                "forward_headers": ["traceparent", "tracestate", "x-own"],
            },
        ) as one,
        raw_client(one.url) as client,
    ):
        own: JsonObject = {"traceparent": SAMPLED, "tracestate": STATE, "x-own": "1"}
        await client.command(id=1, connect={"headers": own})
        await client.subscribe("open:a")
        await client.command(id=3, publish={"channel": "open:a", "data": {"good": True}})
        [command] = await collector.wait_for(1, "publish open:{channel}")
        [asked] = await collector.wait_for(1, "POST /publish")
        [connect] = await collector.wait_for(1, "POST /connect")
        [send] = await collector.wait_for(1, "send open:{channel}")
        [delivery] = await collector.wait_for(1, "deliver open:{channel}")
    assert command.parent == ""
    assert command.trace not in {TRACE, connect.trace}
    assert (asked.trace, asked.parent, asked.kind) == (*child_of(command), "CLIENT")
    assert (send.trace, send.parent) == child_of(command)
    assert (delivery.trace, delivery.parent) == child_of(send)
    got = {request.path: request.headers for request in backend.requests}
    assert got["publish"]["traceparent"].startswith(f"00-{asked.trace}-{asked.ident}-")
    assert got["connect"]["traceparent"].startswith(f"00-{connect.trace}-{connect.ident}-")
    assert got["connect"]["x-own"] == "1"
    assert "tracestate" not in got["connect"]
    assert connect.attributes["url.full"] == backend.url("connect")
    assert connect.attributes["realtime.hook"] == "connect"
    assert "secret" not in json.dumps([span.attributes for span in collector.spans])
