"""Each request hook on a real server, also while the backend is down."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack

import pytest
from aiohttp import web

from realtime_operator.api.base import JsonObject, JsonValue
from tests.kit.deadline import eventually
from tests.kit.document import dig
from tests.kit.http_backend import Answer, HttpBackend
from tests.kit.raw_client import RawClient, raw_client
from tests.kit.server_process import ServerProcess

ALL = ("connect", "refresh", "subscribe", "sub_refresh", "publish", "rpc")


def hooks_of(backend: HttpBackend, *names: str, **changes: JsonValue) -> JsonObject:
    """Return the settings of these hooks; `changes` apply to each."""
    return {name: {"url": backend.url(name), **changes} for name in names}


def answering(**results: JsonValue) -> HttpBackend:
    """Return a backend with these results by hook."""
    return HttpBackend({name: lambda _, result=result: {"result": result} for name, result in results.items()})  # type: ignore[misc] # a default binds the loop variable


async def connect(client: RawClient) -> JsonObject:
    """Connect without a token."""
    return await client.command(id=1, connect={})


async def test_a_publication_is_what_the_backend_makes_of_it() -> None:
    """Subscribers and history get the backend's data; the history may be skipped."""
    backend = answering(connect={"user": "alice"}, publish={"data": {"clean": True}})
    async with (
        backend,
        ServerProcess("publish", None, hooks=hooks_of(backend, "connect", "publish")) as server,
        raw_client(server.url) as client,
        server.api() as api,
    ):
        await connect(client)
        await client.subscribe("chat:a")
        await client.command(id=3, publish={"channel": "chat:a", "data": {"dirty": True}})
        backend.answers["publish"] = lambda _: {"result": {"skip_history": True}}
        await client.command(id=4, publish={"channel": "chat:a", "data": "once"})
        backend.answers["publish"] = lambda _: {"error": {"code": 1001, "message": "too rude"}}
        refused = await client.command(id=5, publish={"channel": "chat:a", "data": "rude"})
        assert dig(refused, "error") == {"code": 1001, "message": "too rude"}
        history = await api.call("history", channel="chat:a", limit=-1)
    publications = history["publications"]
    assert isinstance(publications, list)
    assert [dig(one, "data") for one in publications] == [{"clean": True}]
    assert [(body["user"], body["channel"], body["data"]) for body in backend.bodies("publish")] == [
        ("alice", "chat:a", {"dirty": True}), ("alice", "chat:a", "once"), ("alice", "chat:a", "rude"),
    ]  # fmt: skip


async def test_connections_and_subscriptions_go_on_as_long_as_the_backend_says() -> None:
    """The backend is asked on expiry, without involving the client."""
    soon = int(time.time()) + 2
    later = soon + 3600
    backend = answering(
        connect={"user": "alice", "expire_at": soon, "meta": {"plan": "pro"}},
        subscribe={"expire_at": soon},
        refresh={"expire_at": later},
        sub_refresh={"expired": True},
    )
    async with (
        backend,
        ServerProcess("refresh", None, hooks=hooks_of(backend, *ALL)) as server,
        raw_client(server.url) as client,
    ):
        reply = await connect(client)
        assert "expires" not in str(reply)
        await client.subscribe("chat:a")
        while not dig(push := await client.document(), "push", "unsubscribe"):
            pass
        assert dig(push, "push", "unsubscribe", "code") == 2501

        async def renewed() -> list[JsonObject]:
            return backend.bodies("refresh")

        [asked] = await eventually(renewed, bool, what="the question", within=10)
        assert (asked["user"], asked["meta"]) == ("alice", {"plan": "pro"})
        assert [body["channel"] for body in backend.bodies("sub_refresh")] == ["chat:a"]
        assert "rpc" in await client.command(id=9, rpc={"method": "still there?"})


async def test_the_backend_says_what_a_client_may_do() -> None:
    """Capabilities from the backend work as those of a token."""
    caps: JsonValue = [{"channels": ["team:*"], "match": "wildcard", "allow": ["sub"]}]
    backend = answering(connect={"user": "alice", "caps": caps})
    namespaces: JsonValue = [{"name": "team", "subscribe": "token"}, {"name": "closed", "subscribe": "token"}]
    server = ServerProcess("caps", None, hooks=hooks_of(backend, "connect"), namespaces=namespaces)
    async with backend, server, raw_client(server.url) as client:
        await connect(client)
        codes = [
            dig(await client.command(id=number, subscribe={"channel": channel}), "error", "code")
            for number, channel in ((2, "team:red"), (3, "closed:red"))
        ]
    assert codes == [None, 103]


@pytest.mark.parametrize(("when_down", "code"), [("deny", 100), ("allow", None)])
async def test_while_the_backend_is_down_its_policy_decides(when_down: str, code: int | None) -> None:
    """After failures for five users the breaker opens, and it closes when the backend is back."""
    answers: dict[str, Answer] = {
        "connect": lambda body: {"result": {"user": body["name"]}},
        "publish": lambda _: web.Response(status=503),
    }
    backend = HttpBackend(answers)
    hooks = {**hooks_of(backend, "connect"), **hooks_of(backend, "publish", when_down=when_down, timeout_seconds=0.5)}
    async with backend, ServerProcess("down", None, hooks=hooks) as server, AsyncExitStack() as opened:
        clients = [await opened.enter_async_context(raw_client(server.url)) for _ in range(8)]
        for number, client in enumerate(clients):
            await client.command(id=1, connect={"name": f"user-{number}"})

        async def publish(client: RawClient, number: int = 2) -> JsonValue:
            return dig(await client.command(id=number, publish={"channel": "open:a", "data": 1}), "error", "code")

        assert [await publish(client) for client in clients] == [code] * 8
        assert len(backend.bodies("publish")) == 5
        metrics = await server.metrics()
        assert 'realtime_server_hook_breaker_open{hook="publish",worker="0"} 1.0' in metrics
        del backend.answers["publish"]
        await asyncio.sleep(1.1)
        assert await publish(clients[0], 3) is None
        assert len(backend.bodies("publish")) == 6


async def test_a_backend_that_hangs_does_not_hold_up_other_clients() -> None:
    """Only clients that the backend is asked about wait for the timeout."""
    backend = HttpBackend(delay=30)
    hooks = hooks_of(backend, "rpc", timeout_seconds=2)
    async with (
        backend,
        ServerProcess("hangs", None, hooks=hooks, auth={"anonymous": True}) as server,
        raw_client(server.url) as waits,
        raw_client(server.url) as other,
    ):
        await connect(waits)
        await connect(other)
        began = time.monotonic()
        call = asyncio.create_task(waits.command(id=2, rpc={"method": "slow"}))
        await other.command(id=2, publish={"channel": "open:a", "data": 1})
        assert not call.done()
        assert dig(await call, "error", "code") == 100
        assert 1.9 < time.monotonic() - began < 10
