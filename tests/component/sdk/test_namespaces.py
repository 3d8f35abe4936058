"""Options of namespaces, as the stock SDKs see them."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator

import pytest_asyncio

from realtime_operator.api.base import JsonObject, JsonValue
from tests.component.sdk.conftest import Sdk
from tests.kit.clients import (
    Channel,
    ClientOptions,
    Connecting,
    Disconnected,
    Joined,
    Left,
    Subscribed,
    Unsubscribed,
    all_connected,
    all_subscribed,
)
from tests.kit.redis_process import RedisProcess
from tests.kit.server_process import TOKEN_SECRET, ServerProcess
from tests.kit.tokens import connection_token

KEPT: JsonObject = {"size": 100, "ttl_seconds": 300}
NAMESPACES: list[JsonValue] = [
    {"name": "people", "join_leave": True, "presence": True, "publish": "subscribers"},
    {"name": "price", "history": KEPT, "recovery": True, "recovery_mode": "cache"},
    {"name": "burst", "history": KEPT, "recovery": True, "write_delay_seconds": 0.05, "publish": "subscribers"},
    {"name": "chat", "history": KEPT, "recovery": True, "presence": True, "publish": "subscribers"},
]


def named(namespace: str, **wanted: bool) -> Channel:
    """Return a channel that no other test uses."""
    return Channel(f"{namespace}:{uuid.uuid4()}", **wanted)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def first(redis: RedisProcess) -> AsyncIterator[ServerProcess]:
    """Start a server with these namespaces."""
    async with ServerProcess("namespaces-a", redis, namespaces=NAMESPACES) as process:
        yield process


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def second(redis: RedisProcess) -> AsyncIterator[ServerProcess]:
    """Start a second server, linked with the first."""
    limits: JsonObject = {"connections_per_user": 2}
    async with ServerProcess("namespaces-b", redis, namespaces=NAMESPACES, limits=limits) as process:
        yield process


async def test_who_joins_and_leaves_is_told_on_every_server(
    sdk: Sdk, first: ServerProcess, second: ServerProcess
) -> None:
    """Joins and leaves by subscribing, unsubscribing and disconnecting reach clients that ask for them."""
    channel = named("people", join_leave=True)
    async with sdk(first.url, channels=[channel]) as watcher:
        await all_subscribed(watcher)
        async with sdk(second.url, count=2, channels=[Channel(channel.name)]) as others:
            await all_subscribed(others)
            await watcher.record.wait(lambda r: sum(isinstance(e, Joined) for e in r.events) >= 3, what="all joined")
            await others.call(1, "unsubscribe", channel=channel.name)
            await watcher.record.wait(lambda r: r.first(Left) is not None, what="one left")
        await watcher.record.wait(lambda r: sum(isinstance(e, Left) for e in r.events) == 2, what="both left")
        left = [(event.user, event.who) for event in watcher.record.events if isinstance(event, Left)]
        joined = {(event.user, event.who) for event in watcher.record.events if isinstance(event, Joined)}
        assert [user for user, _ in left] == ["user-1", "user-0"]
        assert set(left) <= joined
        assert others.record.first(Joined) is None


async def test_the_newest_value_is_there_at_once_and_after_being_away(
    sdk: Sdk, first: ServerProcess, second: ServerProcess
) -> None:
    """Of ten missed publications only the last arrives, and later ones follow as usual."""
    channel = named("price", recoverable=True)
    async with sdk(first.url, channels=[channel]) as clients, second.api() as api:
        await all_subscribed(clients)
        await api.publish(channel.name, 0)
        await clients.record.wait(lambda r: len(r.publications()) == 1, what="the first")
        await clients.call(0, "disconnect")
        await clients.record.wait(lambda r: not r.connected, what="disconnected")
        for number in range(1, 11):
            await api.publish(channel.name, number)
        await clients.call(0, "connect")
        await clients.record.wait(lambda r: len(r.publications()) == 2, what="the newest")
        assert [event.recovered for event in clients.record.recoveries()] == [True]
        await api.publish(channel.name, 11)
        await clients.record.wait(lambda r: len(r.publications()) == 3, what="the next")
        assert [(p.data, p.offset) for p in clients.record.publications()] == [(0, 1), (10, 11), (11, 12)]


async def test_publications_that_are_written_together_keep_their_order(sdk: Sdk, first: ServerProcess) -> None:
    """Offsets are in order, and a client that unsubscribes meanwhile gets earlier publications."""
    channel = named("burst", recoverable=True)
    async with sdk(first.url, count=2, channels=[channel]) as clients, first.api() as api:
        await all_subscribed(clients)
        await asyncio.gather(*(clients.call(0, "publish", channel=channel.name, data=n) for n in range(50)))
        await clients.record.wait(lambda r: len(r.publications()) == 100, what="50 publications for each of 2")
        for client in (0, 1):
            got = clients.record.publications(client=client)
            assert [p.offset for p in got] == list(range(1, 51))
            assert sorted(p.data for p in got if isinstance(p.data, int)) == list(range(50))
        await api.publish(channel.name, "last")
        await api.call("unsubscribe", user="user-1", channel=channel.name)
        await clients.record.wait(lambda r: r.first(Unsubscribed, 1) is not None, what="unsubscribed")
        assert clients.record.publications(client=1)[-1].data == "last"


async def test_the_server_subscribes_by_the_token(sdk: Sdk, first: ServerProcess, second: ServerProcess) -> None:
    """Publications of the token's channels arrive without a subscribe, and are recovered after a reconnect."""
    channel = f"chat:{uuid.uuid4()}"
    token = connection_token(TOKEN_SECRET, "user-0", channels=[channel])
    options = ClientOptions(endpoints=[first.url], tokens=[token], min_reconnect_delay=0.5, max_reconnect_delay=0.6)
    async with sdk.make(options) as clients, second.api() as api:
        await clients.record.wait(lambda r: (0, channel) in r.subscribed, what="subscribed by the server")
        await api.publish(channel, "one")
        await clients.record.wait(lambda r: len(r.publications()) == 1, what="a publication")
        await api.call("disconnect", user="user-0", disconnect={"code": 3000, "reason": "come back"})
        await clients.record.wait(lambda r: not r.connected, what="the connection lost")
        await api.publish(channel, "two")
        await clients.record.wait(lambda r: len(r.publications()) == 2, what="what was missed")
        await api.publish(channel, "three")
        await clients.record.wait(lambda r: len(r.publications()) == 3, what="what came after")
        assert [(p.channel, p.data) for p in clients.record.publications()] == [
            (channel, data) for data in ("one", "two", "three")
        ]
        again = [event for event in clients.record.events if isinstance(event, Subscribed)][-1]
        assert (again.was_recovering, again.recovered) == (True, True)
        await api.call("unsubscribe", user="user-0", channel=channel)
        await clients.record.wait(lambda r: (0, channel) not in r.subscribed, what="unsubscribed by the server")
        assert clients.record.connected == {0}


async def test_one_connection_too_many_of_a_user_is_turned_away(sdk: Sdk, second: ServerProcess) -> None:
    """The code 3504 is final; existing connections stay, and other users may connect."""
    tokens = [connection_token(TOKEN_SECRET, "busy")] * 2
    async with sdk.make(ClientOptions(endpoints=[second.url], count=2, tokens=tokens)) as clients:
        await all_connected(clients)
        async with sdk.make(ClientOptions(endpoints=[second.url], tokens=tokens[:1])) as third:
            await third.record.wait(lambda r: r.first(Disconnected) is not None, what="turned away")
            event = third.record.first(Disconnected)
            assert isinstance(event, Disconnected)
            assert (event.code, event.reason) == (3504, "connection limit")
        async with sdk(second.url) as other:
            await all_connected(other)
        assert [event for event in clients.record.events if isinstance(event, Connecting) and event.code] == []
        assert clients.record.connected == {0, 1}
