"""Personal channels, to which the server subscribes a user's connections, as the stock SDKs see them."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator

import pytest_asyncio

from realtime_operator.api.base import JsonObject, JsonValue
from tests.component.sdk.conftest import Sdk
from tests.kit.clients import Channel, ClientOptions, Connected, Disconnected, Subscribed, Unsubscribed, all_connected
from tests.kit.redis_process import RedisProcess
from tests.kit.server_process import TOKEN_SECRET, ServerProcess
from tests.kit.tokens import connection_token

KEPT: JsonObject = {"size": 100, "ttl_seconds": 300}
INBOX: JsonObject = {
    "name": "inbox", "history": KEPT, "recovery": True, "presence": True, "personal_channel": True,
}  # fmt: skip
NAMESPACES: list[JsonValue] = [INBOX]
SINGLE: list[JsonValue] = [{**INBOX, "single_connection": True}]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def first(redis: RedisProcess) -> AsyncIterator[ServerProcess]:
    """Start a server with personal channels."""
    async with ServerProcess("personal-a", redis, namespaces=NAMESPACES) as process:
        yield process


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def second(redis: RedisProcess) -> AsyncIterator[ServerProcess]:
    """Start a second server, linked with the first."""
    async with ServerProcess("personal-b", redis, namespaces=NAMESPACES) as process:
        yield process


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def single(redis: RedisProcess) -> AsyncIterator[ServerProcess]:
    """Start a server that allows one connection per user."""
    async with ServerProcess("single", redis, namespaces=SINGLE) as process:
        yield process


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def other_single(redis: RedisProcess) -> AsyncIterator[ServerProcess]:
    """Start a second such server, linked with the first."""
    async with ServerProcess("single-b", redis, namespaces=SINGLE) as process:
        yield process


def options(user: str, *servers: ServerProcess, channels: tuple[Channel, ...] = (), count: int = 1) -> ClientOptions:
    """Return clients of one user that reconnect fast."""
    return ClientOptions(
        endpoints=[server.url for server in servers],
        count=count,
        channels=channels,
        tokens=[connection_token(TOKEN_SECRET, user)] * count,
        min_reconnect_delay=0.05,
        max_reconnect_delay=0.5,
    )


async def test_a_message_to_a_user_reaches_each_of_its_connections(
    sdk: Sdk, first: ServerProcess, second: ServerProcess
) -> None:
    """Connections on every server get it without subscribing, and recover it; other users do not get it."""
    user = f"user-{uuid.uuid4()}"
    channel = f"inbox:#{user}"
    async with (
        sdk.make(options(user, first, second, count=2)) as clients,
        sdk.make(options("somebody-else", first)) as others,
        second.api() as api,
    ):
        await clients.record.wait(lambda r: r.subscribed >= {(0, channel), (1, channel)}, what="subscribed")
        await others.record.wait(lambda r: (0, "inbox:#somebody-else") in r.subscribed, what="others subscribed")
        await api.publish(channel, "one")
        await clients.record.wait(lambda r: len(r.publications()) == 2, what="one for each")
        await api.call("disconnect", user=user, disconnect={"code": 3000, "reason": "come back"})
        await clients.record.wait(
            lambda r: sum(isinstance(e, Connected) for e in r.events) == 4, what="connected again"
        )
        await api.publish(channel, "two")
        await clients.record.wait(lambda r: len(r.publications()) == 4, what="two for each")
        for client in (0, 1):
            got = clients.record.publications(client=client)
            assert [(p.channel, p.data, p.offset) for p in got] == [(channel, "one", 1), (channel, "two", 2)]
        again = [e for e in clients.record.events if isinstance(e, Subscribed)][2:]
        assert [(e.was_recovering, e.recovered) for e in again] == [(True, True)] * 2
        assert others.record.publications() == []


async def test_others_are_refused(sdk: Sdk, first: ServerProcess) -> None:
    """The error 103 ends the subscription, and the connection stays."""
    user = f"user-{uuid.uuid4()}"
    asked = Channel(f"inbox:#{user}")
    async with sdk.make(options("mallory", first, channels=(asked,))) as clients:
        await clients.record.wait(lambda r: r.first(Unsubscribed) is not None, what="refused")
        refused = clients.record.first(Unsubscribed)
        assert isinstance(refused, Unsubscribed)
        assert (refused.channel, refused.code) == (asked.name, 103)
        assert clients.record.connected == {0}


async def test_a_new_connection_ends_the_earlier_one(
    sdk: Sdk, single: ServerProcess, other_single: ServerProcess
) -> None:
    """The code 3504 is final, also across servers, so that two pages do not replace each other for ever."""
    user = f"user-{uuid.uuid4()}"
    async with sdk.make(options(user, single)) as old:
        await all_connected(old)
        async with sdk.make(options(user, other_single)) as new, single.api() as api:
            await old.record.wait(lambda r: r.first(Disconnected) is not None, what="ended")
            event = old.record.first(Disconnected)
            assert isinstance(event, Disconnected)
            assert (event.code, event.reason) == (3504, "connection limit")
            await new.record.wait(lambda r: (0, f"inbox:#{user}") in r.subscribed, what="subscribed")
            await api.publish(f"inbox:#{user}", "hello")
            await new.record.wait(lambda r: len(r.publications()) == 1, what="a publication")
            assert new.record.connected == {0}
