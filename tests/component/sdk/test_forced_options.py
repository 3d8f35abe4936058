"""Options that a namespace forces on its subscribers, seen by stock SDKs that did not ask for them."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from realtime_operator.api.base import JsonObject, JsonValue
from tests.component.sdk.conftest import Sdk
from tests.kit.clients import (
    CallRefusedError,
    Channel,
    ClientOptions,
    Connected,
    Connecting,
    Joined,
    Left,
    Subscribed,
    Subscribing,
    all_subscribed,
)
from tests.kit.redis_process import RedisProcess
from tests.kit.server_process import TOKEN_SECRET, ServerProcess
from tests.kit.tokens import connection_token

KEPT: JsonObject = {"size": 100, "ttl_seconds": 300}
NAMESPACES: list[JsonValue] = [
    {"name": "watched", "join_leave": True, "force_push_join_leave": True, "presence": True, "presence_for": "nobody"},
    {"name": "log", "history": KEPT, "force_positioning": True},
    {"name": "kept", "history": KEPT},
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(redis: RedisProcess) -> AsyncIterator[ServerProcess]:
    """Start a server with these namespaces."""
    async with ServerProcess("forced", redis, namespaces=NAMESPACES) as process:
        yield process


async def test_who_joins_and_leaves_is_told_without_asking(sdk: Sdk, server: ServerProcess) -> None:
    """Clients that may not read presence get joins and leaves too."""
    channel = Channel(f"watched:{uuid.uuid4()}")
    async with sdk(server.url, channels=[channel]) as watcher:
        await all_subscribed(watcher)
        with pytest.raises(CallRefusedError) as refused:
            await watcher.call(0, "presence", channel=channel.name)
        assert refused.value.code == 103
        async with sdk(server.url, channels=[channel]) as other:
            await all_subscribed(other)
            (who,) = {event.id for event in other.record.events if isinstance(event, Connected)}
            await watcher.record.wait(
                lambda r: any(isinstance(e, Joined) and e.who == who for e in r.events), what="told who joined"
            )
        await watcher.record.wait(
            lambda r: any(isinstance(e, Left) and e.who == who for e in r.events), what="told who left"
        )


async def test_positions_come_without_recovery(sdk: Sdk, server: ServerProcess) -> None:
    """Positions are told only where forced; a returning client gets the new one, without the missed publications."""
    log, kept = Channel(f"log:{uuid.uuid4()}"), Channel(f"kept:{uuid.uuid4()}")
    async with sdk(server.url, channels=[log, kept]) as clients, server.api() as api:
        await all_subscribed(clients)
        first = {e.channel: e for e in clients.record.events if isinstance(e, Subscribed)}
        assert (first[log.name].offset, first[kept.name].offset) == (0, None)
        assert first[log.name].epoch
        await clients.call(0, "disconnect")
        await clients.record.wait(lambda r: not r.connected, what="disconnected")
        await api.publish(log.name, "missed")
        await clients.call(0, "connect")
        await clients.record.wait(
            lambda r: sum(isinstance(e, Subscribed) and e.channel == log.name for e in r.events) == 2, what="subscribed"
        )
        *_, again = (e for e in clients.record.events if isinstance(e, Subscribed) and e.channel == log.name)
        assert (again.was_recovering, again.offset, again.epoch) == (False, 1, first[log.name].epoch)
        await api.publish(log.name, "next")
        await clients.record.wait(lambda r: r.publications(log.name) != [], what="the next")
        assert [(p.data, p.offset) for p in clients.record.publications(log.name)] == [("next", 2)]


async def test_a_loss_makes_positioned_subscribers_subscribe_again(
    sdk: Sdk, server: ServerProcess, redis: RedisProcess
) -> None:
    """The code is 2500: the SDK subscribes again and gets a position in the new stream."""
    log = Channel(f"log:{uuid.uuid4()}")
    async with sdk(server.url, channels=[log]) as clients, server.api() as api:
        await all_subscribed(clients)
        await api.publish(log.name, "before")
        await clients.record.wait(lambda r: len(r.publications()) == 1, what="a publication")
        redis.evict(log.name)
        await api.publish(log.name, "after")
        await clients.record.wait(
            lambda r: sum(isinstance(e, Subscribed) for e in r.events) == 2, what="subscribed again"
        )
        codes = [e.code for e in clients.record.events if isinstance(e, Subscribing) and e.code]
        before, again = (e for e in clients.record.events if isinstance(e, Subscribed))
        assert 2500 in codes
        assert (again.was_recovering, again.recovered) == (False, False)
        assert again.epoch != before.epoch


async def test_a_loss_makes_whom_the_server_subscribed_connect_again(
    sdk: Sdk, server: ServerProcess, redis: RedisProcess
) -> None:
    """The code is 3010: the SDK reconnects."""
    channel = f"log:{uuid.uuid4()}"
    token = connection_token(TOKEN_SECRET, "user-0", channels=[channel])
    options = ClientOptions(endpoints=[server.url], tokens=[token], min_reconnect_delay=0.05, max_reconnect_delay=0.5)
    async with sdk.make(options) as clients, server.api() as api:
        await clients.record.wait(lambda r: (0, channel) in r.subscribed, what="subscribed by the server")
        await api.publish(channel, "before")
        await clients.record.wait(lambda r: len(r.publications()) == 1, what="a publication")
        redis.evict(channel)
        await api.publish(channel, "after")
        await clients.record.wait(
            lambda r: sum(isinstance(e, Connected) for e in r.events) == 2, what="connected again"
        )
        assert 3010 in [e.code for e in clients.record.events if isinstance(e, Connecting)]
