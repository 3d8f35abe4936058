"""Calls of the server API about connections on any server."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass

import pytest
import pytest_asyncio

from realtime_operator.api.base import JsonObject
from tests.kit.api import ApiError, ServerApi
from tests.kit.document import dig, object_at, text_at
from tests.kit.raw_client import ClosedByServerError, RawClient, raw_client
from tests.kit.redis_process import running_redis
from tests.kit.server_process import TOKEN_SECRET, ServerProcess
from tests.kit.tokens import connection_token


@dataclass
class Cluster:
    """Two servers, a client of alice at each, and one of bob; `ids` of the connections in this order."""

    api: ServerApi
    clients: list[RawClient]
    ids: list[str]

    async def pushed(self, index: int, kind: str) -> JsonObject:
        """Wait for a push of a kind."""
        while True:
            push = (await self.clients[index].document()).get("push")
            if isinstance(push, dict) and kind in push:
                return push


@pytest_asyncio.fixture
async def cluster() -> AsyncIterator[Cluster]:
    """Start a cluster with connected clients."""
    async with AsyncExitStack() as stack:
        redis = stack.enter_context(running_redis())
        one = await stack.enter_async_context(ServerProcess("one", redis))
        other = await stack.enter_async_context(ServerProcess("other", redis))
        clients, ids = [], []
        for server, user in ((one, "alice"), (other, "alice"), (other, "bob")):
            client = await stack.enter_async_context(raw_client(server.url))
            reply = await client.command(id=1, connect={"token": connection_token(TOKEN_SECRET, user)})
            clients.append(client)
            ids.append(text_at(reply, "connect", "client"))
        yield Cluster(await stack.enter_async_context(one.api()), clients, ids)


async def test_a_user_is_subscribed_everywhere(cluster: Cluster) -> None:
    """Each connection gets a push with data and then the publications; others see the info."""
    await cluster.api.call("subscribe", user="alice", channel="chat:team", info={"role": "x"}, data={"hello": 1})
    for index in (0, 1):
        push = await cluster.pushed(index, "subscribe")
        assert (push["channel"], dig(push, "subscribe", "data")) == ("chat:team", {"hello": 1})
    await cluster.api.publish("chat:team", "hi")
    for index in (0, 1):
        assert await cluster.clients[index].publication() == "hi"
    members = object_at(await cluster.api.call("presence", channel="chat:team"), "presence")
    assert {text_at(object_at(members, client), "user") for client in members} == {"alice"}
    assert [object_at(members, client)["chan_info"] for client in members] == [{"role": "x"}] * 2


async def test_a_connection_is_subscribed_unseen(cluster: Cluster) -> None:
    """An override takes effect on any server; one that the namespace does not support is refused."""
    hidden: JsonObject = {"presence": {"value": False}}
    await cluster.api.call("subscribe", user="alice", channel="chat:team", override=hidden)
    await cluster.api.call("subscribe", user="bob", channel="chat:team")
    for index in (0, 1, 2):
        await cluster.pushed(index, "subscribe")
    members = object_at(await cluster.api.call("presence", channel="chat:team"), "presence")
    assert list(members) == [cluster.ids[2]]
    with pytest.raises(ApiError) as caught:
        await cluster.api.call("subscribe", user="bob", channel="open:a", override={"presence": {"value": True}})
    assert (caught.value.code, caught.value.message) == (
        108, "not available: override.presence: the namespace has no presence"
    )  # fmt: skip


async def test_one_connection_is_subscribed_and_gets_what_it_missed(cluster: Cluster) -> None:
    """Missed publications since the position arrive in order, before newer ones."""
    for number in range(3):
        _, epoch = await cluster.api.publish("chat:late", number)
    since: JsonObject = {"offset": 1, "epoch": epoch}
    await cluster.api.call("subscribe", user="alice", client=cluster.ids[1], channel="chat:late", recover_since=since)
    push = await cluster.pushed(1, "subscribe")
    assert dig(push, "subscribe", "offset") == 1
    await cluster.api.publish("chat:late", 3)
    assert [await cluster.clients[1].publication() for _ in range(3)] == [1, 2, 3]
    assert await cluster.api.call("channels", pattern="chat:l*") == {"channels": {"chat:late": {"num_clients": 1}}}


async def test_channels_are_counted_on_all_servers(cluster: Cluster) -> None:
    """Channels are selected by a pattern."""
    for client in cluster.clients:
        await client.subscribe("chat:all")
    await cluster.clients[2].command(id=3, subscribe={"channel": "open:one"})
    found = object_at(await cluster.api.call("channels"), "channels")
    assert found == {"chat:all": {"num_clients": 3}, "open:one": {"num_clients": 1}}
    assert await cluster.api.call("channels", pattern="open:*") == {"channels": {"open:one": {"num_clients": 1}}}
    assert await cluster.api.call("channels", pattern="news:*") == {"channels": {}}


async def test_who_is_spared_stays_connected(cluster: Cluster) -> None:
    """The other connections of the user close with a final code, unless the call has another one."""
    await cluster.api.call("disconnect", user="alice", whitelist=[cluster.ids[0]])
    with pytest.raises(ClosedByServerError):
        await cluster.clients[1].document()
    assert "publish" in await cluster.clients[0].command(id=9, publish={"channel": "open:a", "data": 1})


async def test_a_connection_goes_on_or_ends_as_the_backend_says(cluster: Cluster) -> None:
    """The client is told the new expiry."""
    until = int(time.time()) + 100
    await cluster.api.call("refresh", user="alice", client=cluster.ids[0], expire_at=until)
    push = await cluster.pushed(0, "refresh")
    assert dig(push, "refresh", "expires") is True
    assert 95 <= int(str(dig(push, "refresh", "ttl"))) <= 100
    await cluster.api.call("refresh", user="alice", expired=True)
    for index in (0, 1):
        assert await cluster.clients[index].closed() == (3005, "connection expired")
    assert "publish" in await cluster.clients[2].command(id=9, publish={"channel": "open:a", "data": 1})


async def test_an_unknown_channel_is_refused(cluster: Cluster) -> None:
    """The call fails before any server is told."""
    with pytest.raises(ApiError) as caught:
        await cluster.api.call("subscribe", user="alice", channel="nowhere:a")
    assert caught.value.code == 102
