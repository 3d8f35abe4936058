"""A collector that is away, slow, protected or private: it harms nothing, and gets what it needs."""

from __future__ import annotations

import asyncio
import re
import time
from pathlib import Path

from realtime_operator.api.base import JsonObject, JsonValue
from tests.component.tracing.test_traces import SAMPLED, call, subscriber, tracing
from tests.kit.certificates import Mount
from tests.kit.collector import Collector
from tests.kit.deadline import eventually
from tests.kit.redis_process import running_redis
from tests.kit.server_process import ServerProcess

PUBLICATIONS = 30


async def outcomes(server: ServerProcess) -> dict[str, float]:
    """Return the metric of spans by outcome."""
    found = re.findall(r'realtime_server_tracing_spans_total{outcome="(\w+)",worker="0"} (\S+)', await server.metrics())
    return {outcome: float(count) for outcome, count in found}


async def publish(server: ServerProcess) -> JsonObject:
    """Publish within a sampled trace."""
    return await call(server, "publish", {"traceparent": SAMPLED}, channel="chat:a", data=1)


def count_in_log(server: ServerProcess, event: str) -> int:
    """Return the number of a server's log lines with this event."""
    return server.log.read_text().count(event)


async def test_a_collector_that_comes_back_gets_spans_again() -> None:
    """Meanwhile publications arrive, what is lost is counted, and the log has one line for each change."""
    collector = Collector()
    async with ServerProcess("one", None, tracing=tracing(collector)) as server, subscriber(server, "chat:a") as client:
        for _ in range(PUBLICATIONS):
            assert "result" in await publish(server)
            await client.publication()

        async def failed() -> float:
            return (await outcomes(server))["failed"]

        await eventually(failed, lambda count: count >= 3 * PUBLICATIONS, what="failed spans", within=40)
        assert count_in_log(server, "spans cannot be exported") == 1
        assert "Connection refused" in server.log.read_text()
        assert "Traceback" not in server.log.read_text()
        async with collector:
            await publish(server)
            await collector.wait_for(1, "deliver chat:{channel}")

            async def said() -> int:
                return count_in_log(server, "spans are exported again")

            await eventually(said, lambda count: count == 1, what="log line", within=10)
        assert (await outcomes(server))["dropped"] == 0
    assert server.process is not None
    assert server.process.returncode == 0


async def test_a_collector_that_does_not_answer_delays_no_end() -> None:
    """A worker that ends waits for it for a bounded time."""
    async with Collector() as collector:
        collector.released.clear()
        async with ServerProcess("one", None, tracing=tracing(collector)) as server:
            for _ in range(PUBLICATIONS):
                assert "result" in await publish(server)
            process, began = server.process, time.monotonic()
            assert process is not None
            process.terminate()
            async with asyncio.timeout(30):
                assert await process.wait() == 0
            assert time.monotonic() - began < 20
            assert "spans are lost: the collector did not take them in time" in server.log.read_text()


async def test_the_last_spans_are_exported_at_the_end() -> None:
    """They do not wait for others then."""
    async with Collector() as collector:
        async with ServerProcess("one", None, tracing=tracing(collector)) as server:
            await publish(server)
        assert len(collector.named("POST /api/publish")) == 1


async def test_a_collector_with_tls_and_a_token(tmp_path: Path) -> None:
    """The certificate is that of a private authority; the token is read again for each request."""
    mount, token = Mount(tmp_path / "tls"), tmp_path / "token"
    mount.issue()
    token.write_text("Bearer first\n")
    headers: list[JsonValue] = [{"name": "Authorization", "file": str(token)}]
    changes: JsonObject = {"headers": headers, "ca_file": str(mount.authority)}
    async with (
        Collector(tls=mount.server()) as collector,
        ServerProcess("one", None, tracing=tracing(collector, **changes)) as server,
    ):
        await publish(server)
        await collector.wait_for(1, "POST /api/publish")
        token.write_text("Bearer second\n")
        await publish(server)
        await collector.wait_for(2, "POST /api/publish")
        assert "Bearer" not in server.log.read_text()
    sent = [request["authorization"] for request in collector.headers]
    assert (sent[0], sent[-1]) == ("Bearer first", "Bearer second")
    assert collector.headers[0]["content-type"] == "application/x-protobuf"


async def test_workers_export_for_themselves_and_logs_name_the_trace() -> None:
    """Each worker has a queue and a thread of its own, made after the fork."""
    with running_redis() as redis:
        async with Collector() as collector:
            async with ServerProcess("one", redis, workers=2, tracing=tracing(collector)) as server:
                for number in range(40):
                    await call(server, "publish", {"traceparent": SAMPLED}, channel=f"chat:{number}", data=1)
                await collector.wait_for(40, "POST /api/publish")
                redis.stop()
                answer = await call(server, "publish", {"traceparent": SAMPLED}, channel="chat:a", data=1)
                assert "error" in answer
                failed = [line for line in server.log.read_text().splitlines() if "api call failed" in line]
                assert SAMPLED.split("-")[1] in failed[0]
            assert {span.resource["realtime.worker"] for span in collector.spans} == {0, 1}
            [send] = [span for span in collector.spans if span.name.startswith("send") and span.error is not None]
            assert send.attributes["error.type"] == "BackplaneError"
