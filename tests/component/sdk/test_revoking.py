"""Revocation while a slow hook is called: on any server, with a definite answer for a stock client."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from realtime_operator.api.base import JsonObject, JsonValue
from tests.component.sdk.conftest import SDKS, Sdk
from tests.kit.api import ServerApi
from tests.kit.clients import Channel, ClientOptions, Disconnected, StockClients, Subscribed, Unsubscribed
from tests.kit.deadline import eventually, stays
from tests.kit.document import dig
from tests.kit.http_backend import Answer, HttpBackend
from tests.kit.raw_client import raw_client
from tests.kit.redis_process import RedisProcess, free_port
from tests.kit.server_process import TOKEN_SECRET, ServerProcess
from tests.kit.tokens import connection_token

ROOM = "chat:private"
HOOK_SECONDS = 60
"""Time longer than anything waits here."""


@pytest.fixture(scope="module")
def port() -> int:
    """Return the port of each test's backend."""
    return free_port()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(redis: RedisProcess, port: int) -> AsyncIterator[ServerProcess]:
    """Start a server that waits for its backend however long it takes."""
    hooks: JsonObject = {
        hook: {"url": f"http://127.0.0.1:{port}/{hook}", "timeout_seconds": HOOK_SECONDS}
        for hook in ("connect", "subscribe")
    }
    async with ServerProcess("asks", redis, hooks=hooks) as process:
        yield process


@pytest_asyncio.fixture
async def backend(port: int) -> AsyncIterator[HttpBackend]:
    """Start a backend that admits everybody as user-0 and into a room, once released."""
    granted: JsonObject = {"result": {"user": "user-0", "channels": [ROOM]}}
    answers: dict[str, Answer] = {"connect": lambda _: granted, "subscribe": lambda _: {"result": {}}}
    async with HttpBackend(answers, port=port) as made:
        made.released.clear()
        yield made
        made.released.set()


@pytest_asyncio.fixture
async def api(other_shared_server: ServerProcess) -> AsyncIterator[ServerApi]:
    """Return the API of another server."""
    async with other_shared_server.api() as made:
        yield made


async def asked(backend: HttpBackend, hook: str, count: int = 1) -> None:
    """Wait until the backend was asked."""

    async def bodies() -> list[JsonObject]:
        return backend.bodies(hook)

    await eventually(bodies, lambda found: len(found) >= count, what=f"the {hook} hook", within=20)


async def nobody_is_there(api: ServerApi) -> None:
    """Wait until the room is empty."""

    async def members() -> JsonValue:
        return dig(await api.call("presence", channel=ROOM), "presence")

    await eventually(members, lambda found: found == {}, what="an empty room", within=20)


@pytest.mark.parametrize("sdk", SDKS[:2], ids=lambda sdk: sdk.name)
async def test_a_stock_client_learns_that_its_subscription_was_revoked(
    sdk: Sdk, server: ServerProcess, api: ServerApi, backend: HttpBackend
) -> None:
    """The command fails and the client stays unsubscribed; the call is made on another server."""
    async with sdk(server.url, channels=[Channel(ROOM)]) as clients:
        await asked(backend, "subscribe")
        assert await api.call("unsubscribe", user="user-0", channel=ROOM) == {}
        await clients.record.wait(lambda r: r.first(Unsubscribed) is not None, what="the answer")
        ended = clients.record.first(Unsubscribed)
        assert isinstance(ended, Unsubscribed)
        assert (ended.code, ended.reason) == (103, "permission denied")
        backend.released.set()
        await api.publish(ROOM, "secret")
        await stays(lambda: came(clients), lambda found: not found, what="unsubscribed", during=1)
        await nobody_is_there(api)


async def came(clients: StockClients) -> bool:
    """Return True when a client was subscribed, or has got something."""
    return clients.record.first(Subscribed) is not None or bool(clients.record.publications())


@pytest.mark.parametrize("sdk", SDKS[:2], ids=lambda sdk: sdk.name)
async def test_a_user_that_is_being_let_in_is_disconnected_by_another_server(
    sdk: Sdk, server: ServerProcess, api: ServerApi, backend: HttpBackend
) -> None:
    """The client gets the call's code and does not reconnect, whatever the backend answers."""

    async def revoke() -> JsonObject:
        await asked(backend, "connect")
        answer = await api.call("disconnect", user="user-0", disconnect={"code": 4500, "reason": "banned"})
        backend.released.set()
        return answer

    revoking = asyncio.create_task(revoke())  # one SDK returns from its start when it is connected
    async with sdk.make(ClientOptions(endpoints=[server.url], tokens=[""])) as clients:
        assert await revoking == {}
        await clients.record.wait(lambda r: r.first(Disconnected) is not None, what="its end", within=20)
        ended = clients.record.first(Disconnected)
    assert isinstance(ended, Disconnected)
    assert (ended.code, ended.reason) == (4500, "banned")
    assert not clients.record.connected


async def test_a_channel_is_revoked_while_the_backend_is_asked_who_a_client_is(
    server: ServerProcess, api: ServerApi, backend: HttpBackend
) -> None:
    """The client is admitted without that channel."""
    async with raw_client(server.url) as client:
        connect = asyncio.create_task(client.command(id=1, connect={}))
        await asked(backend, "connect")
        await api.call("unsubscribe", user="user-0", channel=ROOM)
        backend.released.set()
        reply = await connect
        assert dig(reply, "connect", "client"), reply
        assert dig(reply, "connect", "subs") is None
        await nobody_is_there(api)


async def test_a_command_that_waits_for_another_is_revoked(
    server: ServerProcess, api: ServerApi, backend: HttpBackend
) -> None:
    """The backend is not asked about the waiting command; replies come in the order of the commands."""
    async with raw_client(server.url) as client:
        await client.connect(connection_token(TOKEN_SECRET, "user-0"))
        first, second = (json.dumps({"id": n, "subscribe": {"channel": c}}) for n, c in ((2, "chat:first"), (3, ROOM)))
        await client.say(f"{first}\n{second}")
        await asked(backend, "subscribe")
        await api.call("unsubscribe", user="user-0", channel=ROOM)
        await api.call("unsubscribe", user="user-0", channel="chat:first")
        codes = [dig(await client.document(), "error", "code") for _ in range(2)]
        assert (codes, len(backend.bodies("subscribe"))) == ([103, 103], 1)
        await nobody_is_there(api)
