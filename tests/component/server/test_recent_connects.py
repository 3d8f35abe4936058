"""Recent events in the admin status of real servers: admitted, refused and moved clients."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping

import aiohttp
import pytest

from realtime_operator.api.base import JsonObject, JsonValue
from tests.kit.deadline import eventually
from tests.kit.document import object_at
from tests.kit.http_backend import HttpBackend
from tests.kit.raw_client import TEXT, UPGRADE, frame, raw_client, raw_stream, request
from tests.kit.redis_process import running_redis
from tests.kit.server_process import TOKEN_SECRET, ServerProcess
from tests.kit.tokens import connection_token

TOKEN = connection_token(TOKEN_SECRET, "alice")
EXPIRED = connection_token(TOKEN_SECRET, "alice", lifetime=-60)


async def recent(server: ServerProcess) -> JsonObject:
    """Return the part of the status about the last seconds."""
    return object_at(await server.admin("GET", "status"), "recent")


def expected(succeeded: int, failures: Mapping[str, int], moved: int = 0) -> JsonObject:
    """Return the expected part of the status."""
    return {
        "seconds": 30,
        "connects_succeeded": succeeded,
        "connects_failed": sum(failures.values()),
        "failures": {**failures},
        "moved": moved,
    }


async def try_to_connect(server: ServerProcess, **connect: JsonValue) -> None:
    """Send a connect command, and close once it is answered in any way."""
    async with raw_client(server.url) as client:
        await client.say(json.dumps({"id": 1, "connect": connect}))
        with contextlib.suppress(AssertionError):  # closed instead of answered
            await client.reply(1)


async def test_a_new_server_has_nothing_to_tell() -> None:
    """All numbers are present and 0."""
    async with ServerProcess("new", None) as server:
        assert await recent(server) == expected(0, {})


async def test_tokens_decide() -> None:
    """An invalid token counts as failed, an expired one does not, since its SDK fetches a new one."""
    async with ServerProcess("tokens", None) as server:
        for token in (TOKEN, "wrong", EXPIRED, TOKEN, "wrong"):
            await try_to_connect(server, token=token)
        await try_to_connect(server)
        async with raw_client(server.url):
            pass  # connects to the port and goes without a word
        assert await recent(server) == expected(2, {"101": 1, "3500": 2})


async def test_workers_are_added_up() -> None:
    """The kernel spreads connections over the workers."""
    with running_redis() as redis:
        async with ServerProcess("two", redis, workers=2) as server:
            for token in (TOKEN, "wrong") * 20:
                await try_to_connect(server, token=token)
            assert await recent(server) == expected(20, {"3500": 20})


async def test_every_transport_counts() -> None:
    """SSE and HTTP streaming count, also for unidirectional clients."""
    async with ServerProcess("transports", None) as server, aiohttp.ClientSession() as session:
        base = f"http://127.0.0.1:{server.client_port}/connection"
        for token in (TOKEN, "wrong", EXPIRED):
            command: JsonObject = {"id": 1, "connect": {"token": token}}
            async with session.post(f"{base}/http_stream", json=command) as response:
                await response.content.readline()
            async with session.get(f"{base}/sse", params={"cf_connect": json.dumps(command)}) as response:
                await response.content.readline()
            async with session.post(f"{base}/uni_http_stream", json={"token": token}) as response:
                await response.content.readline()
            async with session.get(f"{base}/uni_sse", params={"cf_connect": json.dumps({"token": token})}) as response:
                await response.content.readline()
        assert await recent(server) == expected(4, {"3500": 4})


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ({"disconnect": {"code": 4501, "reason": "banned"}}, "other"),
        ({"error": {"code": 403, "message": "not you"}}, "other"),
        ({"error": {"code": "no number"}}, "100"),
    ],
    ids=["disconnect", "error", "nonsense"],
)
async def test_a_backend_that_refuses(answer: JsonObject, code: str) -> None:
    """The backend's own codes share one name; an invalid answer counts as a failure of the hook."""
    async with HttpBackend({"connect": lambda _: answer}) as backend:
        hooks: JsonObject = {"connect": {"url": backend.url("connect")}}
        async with ServerProcess("refuses", None, hooks=hooks) as server:
            await try_to_connect(server)
            assert await recent(server) == expected(0, {code: 1})


async def test_a_backend_that_is_down() -> None:
    """Every connect fails, with the code of the hook or of its breaker."""
    hooks: JsonObject = {"connect": {"url": HttpBackend().url("connect")}}
    async with ServerProcess("down", None, hooks=hooks) as server:
        for _ in range(8):
            await try_to_connect(server)
        assert await recent(server) == expected(0, {"100": 8})


async def test_a_page_of_another_origin() -> None:
    """A wrong list of origins refuses every browser: 403, with WebSocket and SSE."""
    async with ServerProcess("origins", None, origins=["https://app.example"]) as server:
        async with raw_stream(server.client_port) as stream:
            await stream.send(request(headers={**UPGRADE, "Origin": "https://evil.example"}))
            status, _ = await stream.response()
            assert status == 403
        url = f"http://127.0.0.1:{server.client_port}/connection/uni_sse"
        async with (
            aiohttp.ClientSession(headers={"Origin": "https://evil.example"}) as session,
            session.get(url) as response,
        ):
            assert response.status == 403
        assert await recent(server) == expected(0, {"403": 2})


async def test_a_frame_that_is_too_large() -> None:
    """It counts as a bad request, whichever code closes it."""
    async with ServerProcess("large", None) as server, raw_stream(server.client_port) as stream:
        await stream.handshake()
        await stream.send(frame(TEXT, b" " * 400_000))
        assert await stream.closed() == (1009, "message too big")
        assert await recent(server) == expected(0, {"3501": 1})


async def test_limits_refuse_with_503() -> None:
    """A full server and one without free sockets count."""
    async with ServerProcess("full", None, limits={"connections": 1, "handshakes": 1}) as server:
        async with raw_client(server.url) as client, raw_stream(server.client_port) as refused:
            await client.connect(TOKEN)
            await refused.send(request())
            status, _ = await refused.response()
            assert status == 503
            async with raw_stream(server.client_port) as third:
                await third.ended()
        assert await recent(server) == expected(1, {"503": 2})


async def test_a_drain_moves_and_fails_nobody() -> None:
    """Clients that leave by themselves do not count as moved; those that still arrive are moved too."""
    async with ServerProcess("drains", None) as server, contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(raw_client(server.url)) for _ in range(6)]
        for client in clients[:5]:
            await client.connect(TOKEN)
        async with raw_client(server.url) as gone:
            await gone.connect(TOKEN)
        assert await recent(server) == expected(6, {})
        await server.admin("POST", "shed", {"connections": 2, "connections_per_second": 100})
        assert [await client.closed() for client in clients[:2]] == [(3011, "force reconnect")] * 2
        await server.admin("POST", "drain", {"connections_per_second": 100})
        assert [await client.closed() for client in clients[2:]] == [(3011, "force reconnect")] * 4
        await eventually(server.state, lambda state: state == "drained", what="drained", within=5)
        assert await recent(server) == expected(6, {}, moved=6)


async def test_a_server_that_ends_moves_its_clients_too() -> None:
    """The drain after SIGTERM counts as any other, and is reported while it runs."""
    drain: JsonObject = {"connections_per_second": 1, "timeout_seconds": 30, "settle_seconds": 0}
    async with ServerProcess("ends", None, drain=drain) as server, contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(raw_client(server.url)) for _ in range(3)]
        for client in clients:
            await client.connect(TOKEN)
        assert server.process is not None
        server.process.terminate()
        assert await clients[0].closed() == (3011, "force reconnect")
        assert await recent(server) == expected(3, {}, moved=1)


async def test_the_metrics_count_for_ever() -> None:
    """The metrics have the same counts since the start."""
    async with ServerProcess("metrics", None) as server:
        for token in (TOKEN, "wrong", "wrong"):
            await try_to_connect(server, token=token)
        metrics = await server.metrics()
    assert 'realtime_server_connects_total{worker="0"} 1.0' in metrics
    assert 'realtime_server_connects_failed_total{code="3500",worker="0"} 2.0' in metrics
