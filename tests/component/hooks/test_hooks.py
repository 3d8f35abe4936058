"""Server with a backend that answers hooks and receives events."""

from __future__ import annotations

import hmac
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio
from redis.asyncio import Redis

from realtime_operator.api.base import JsonObject, JsonValue
from realtime_operator.api.document import objects_at
from tests.kit.clients import Channel, ClientOptions, Disconnected, all_subscribed
from tests.kit.deadline import eventually
from tests.kit.document import dig, object_at
from tests.kit.http_backend import HttpBackend
from tests.kit.raw_client import raw_client
from tests.kit.redis_process import RedisProcess, running_redis
from tests.kit.sdk import JavaScriptClients
from tests.kit.server_process import ServerProcess

SECRET = "hook-signing-secret"


@pytest_asyncio.fixture
async def backend() -> AsyncIterator[HttpBackend]:
    """Start a backend that admits alice and answers calls."""
    answers: dict[str, JsonObject] = {
        "connect": {"result": {"user": "alice", "info": {"name": "Alice"}, "data": {"hello": 1}}},
        "rpc": {"result": {"data": {"sum": 3}}},
        "subscribe": {"result": {"info": {"role": "admin"}}},
    }
    made = HttpBackend({path: lambda _, answer=answer: answer for path, answer in answers.items()})  # type: ignore[misc] # a default binds the loop variable
    async with made:
        yield made


def hooks_of(backend: HttpBackend, folder: Path, *names: str, **events: JsonValue) -> JsonObject:
    """Return the settings of these hooks, and of events if wanted."""
    secret = folder / "hook-secret"
    secret.write_text(SECRET)
    found: JsonObject = {name: {"url": backend.url(name)} for name in names}
    if events:
        found["events"] = {"url": backend.url("events"), **events}
    return {**found, "secret_file": str(secret)}


async def test_a_stock_client_without_a_token_is_let_in_by_the_backend(backend: HttpBackend, tmp_path: Path) -> None:
    """The client connects and subscribes, and others see the backend's info."""
    hooks = hooks_of(backend, tmp_path, "connect", "subscribe")
    options = ClientOptions(endpoints=[], tokens=[], channels=[Channel("chat:lobby")])
    async with ServerProcess("asks", None, hooks=hooks) as server:
        options = ClientOptions(endpoints=[server.url], tokens=[""], channels=[Channel("chat:lobby")])
        async with JavaScriptClients(options) as clients:
            await all_subscribed(clients)
            async with server.api() as api:
                presence = await api.call("presence", channel="chat:lobby")
    members = object_at(presence, "presence")
    [member] = [object_at(members, client) for client in members]
    assert (member["user"], member["conn_info"], member["chan_info"]) == ("alice", {"name": "Alice"}, {"role": "admin"})
    [connect] = backend.requests[:1]
    assert (connect.body["transport"], connect.body["protocol"]) == ("websocket", "json")
    sent = dict(part.split("=") for part in connect.headers["x-realtime-signature"].split(","))
    wanted = hmac.digest(SECRET.encode(), f"{sent['t']}.".encode() + connect.raw, "sha256").hex()
    assert sent["v1"] == wanted


async def test_calls_are_answered_by_the_backend(backend: HttpBackend, tmp_path: Path) -> None:
    """Replies come in the order of all commands."""
    async with ServerProcess("calls", None, hooks=hooks_of(backend, tmp_path, "connect", "rpc")) as server:
        async with raw_client(server.url) as client:
            assert dig(await client.command(id=1, connect={}), "connect", "data") == {"hello": 1}
            reply = await client.command(id=2, rpc={"method": "add", "data": [1, 2]})
            assert reply == {"id": 2, "rpc": {"data": {"sum": 3}}}
        assert backend.bodies("rpc")[0]["user"] == "alice"
        metrics = await server.metrics()
    assert 'realtime_server_hook_requests_total{hook="rpc",outcome="ok",worker="0"} 1.0' in metrics


async def test_a_client_that_the_backend_does_not_want_stays_away(backend: HttpBackend, tmp_path: Path) -> None:
    """The stock client gets the backend's code and does not reconnect."""
    backend.answers["connect"] = lambda _: {"disconnect": {"code": 4501, "reason": "banned"}}
    async with ServerProcess("refuses", None, hooks=hooks_of(backend, tmp_path, "connect")) as server:
        async with JavaScriptClients(ClientOptions(endpoints=[server.url], tokens=[""])) as clients:
            await clients.record.wait(lambda r: r.first(Disconnected) is not None, what="the refusal")
            ended = clients.record.first(Disconnected)
        assert isinstance(ended, Disconnected)
        assert (ended.code, len(backend.requests)) == (4501, 1)


async def events(backend: HttpBackend, kind: str, count: int) -> list[JsonObject]:
    """Wait for events of a kind."""

    async def read() -> list[JsonObject]:
        everything = [event for body in backend.bodies("events") for event in objects_at(body, "events")]
        return [event for event in everything if event["type"] == kind]

    return await eventually(read, lambda found: len(found) >= count, what=kind, within=40, every=0.1)


async def test_the_backend_is_told_of_channels_and_of_who_has_gone(backend: HttpBackend, tmp_path: Path) -> None:
    """Events are sent once for the cluster, whatever the number of servers with subscribers."""
    with running_redis() as redis:
        hooks = hooks_of(backend, tmp_path, "connect", channels=True)
        async with ServerProcess("a", redis, hooks=hooks) as one, ServerProcess("b", redis, hooks=hooks) as other:
            async with raw_client(one.url) as first, raw_client(other.url) as second:
                for client in (first, second):
                    await client.command(id=1, connect={})
                    await client.subscribe("chat:lobby")
            await events(backend, "disconnect", 2)
            [occupied] = await events(backend, "channel_occupied", 1)
            [vacated] = await events(backend, "channel_vacated", 1)
    assert (occupied["channel"], vacated["channel"]) == ("chat:lobby", "chat:lobby")
    gone = await events(backend, "disconnect", 2)
    assert {(event["user"], event["code"]) for event in gone} == {("alice", 3000)}


async def test_events_of_a_server_that_was_killed_are_delivered_by_another(
    backend: HttpBackend, tmp_path: Path
) -> None:
    """Queued events of a backend that was away are delivered, and the dead server's channels become vacant."""
    with running_redis() as redis:
        hooks = hooks_of(backend, tmp_path, "connect", channels=True, timeout_seconds=1)
        async with ServerProcess("dies", redis, hooks=hooks) as dies, raw_client(dies.url) as client:
            await client.command(id=1, connect={})
            await backend.__aexit__()
            await client.subscribe("chat:room")
            await _queued(redis)
            _kill(dies)
        await backend.__aenter__()
        async with ServerProcess("lives", redis, hooks=hooks):
            assert [event["channel"] for event in await events(backend, "channel_occupied", 1)] == ["chat:room"]
            assert [event["channel"] for event in await events(backend, "channel_vacated", 1)] == ["chat:room"]


def _kill(server: ServerProcess) -> None:
    """Kill all processes at once, so that no worker notices that its clients leave."""
    assert server.process is not None
    supervisor = server.process.pid
    os.kill(supervisor, signal.SIGSTOP)
    for worker in Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split():
        os.kill(int(worker), signal.SIGKILL)
    os.kill(supervisor, signal.SIGKILL)


async def _queued(redis: RedisProcess) -> None:
    """Wait until a Redis stream is not empty."""
    async with Redis.from_url(redis.url) as client:

        async def read() -> list[object]:
            return [key async for key in client.scan_iter(match="*hooks*", _type="stream")]

        await eventually(read, bool, what="the queue", within=5)
