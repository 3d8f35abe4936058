"""Details of the protocol that SDKs hide: absent fields, and expiry."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from websockets.asyncio.client import connect

from realtime_operator.api.base import JsonObject
from realtime_server.protocols.centrifuge import client_pb2 as pb
from realtime_server.protocols.centrifuge.varint import delimited, split_delimited
from tests.kit.document import dig, object_at
from tests.kit.http_backend import HttpBackend
from tests.kit.raw_client import RawClient, raw_client
from tests.kit.redis_process import RedisProcess, running_redis
from tests.kit.server_process import TOKEN_SECRET, ServerProcess
from tests.kit.tokens import connection_token, subscription_token

pytestmark = pytest.mark.asyncio(loop_scope="module")

TOKEN = connection_token(TOKEN_SECRET, "alice")
ALL_FLAGS = 0b1111_1101
"""All flags except the one that prefers an error to a subscription without recovery."""


class PunctualServer(ServerProcess):
    """Server without leeway for late renewals."""

    def __init__(self, name: str) -> None:
        super().__init__(name, None)
        secret = Path(self._folder.name) / "token-secret"
        self._changes["auth"] = {
            "leeway_seconds": 0,
            "token_keys": [{"algorithm": "HS256", "file": str(secret)}],
        }


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisProcess]:
    """Start a Redis for the histories of `linked`."""
    with running_redis() as process:
        yield process


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def linked(redis: RedisProcess) -> AsyncIterator[ServerProcess]:
    """Start a server with Redis."""
    async with ServerProcess("linked", redis) as process:
        yield process


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server() -> AsyncIterator[ServerProcess]:
    """Start a server for all of these tests."""
    async with PunctualServer("punctual") as process:
        yield process


async def pushed(client: RawClient, kind: str) -> JsonObject:
    """Return the next push of a kind, skipping others."""
    while True:
        push = object_at((await client.document()).get("push", {}))
        if kind in push:
            return push


def now() -> int:
    """Return the Unix time."""
    return int(time.time())


# flags


async def test_flags_that_are_not_supported_are_not_echoed(server: ServerProcess) -> None:
    """The connect reply has no `flag`, and channels have no numeric id: pushes name the channel."""
    async with raw_client(server.url) as client, server.api() as api:
        reply = await client.command(id=1, connect={"token": TOKEN, "flag": ALL_FLAGS, "dict": "a", "profile": "b"})
        result = object_at(reply, "connect")
        assert set(result) == {"client", "version", "ping", "pong", "expires", "ttl"}
        reply = await client.command(id=2, subscribe={"channel": "feed:flags", "flag": ALL_FLAGS})
        assert set(object_at(reply, "subscribe")) == {"recoverable", "positioned", "epoch"}
        await api.publish("feed:flags", 1)
        assert await pushed(client, "pub") == {"channel": "feed:flags", "pub": {"data": 1, "offset": 1}}


async def test_flags_that_are_not_supported_are_not_echoed_in_protobuf(server: ServerProcess) -> None:
    """Unknown fields in Protobuf would be detected."""
    commands = [
        pb.Command(id=1, connect=pb.ConnectRequest(token=TOKEN, flag=ALL_FLAGS)),
        pb.Command(id=2, subscribe=pb.SubscribeRequest(channel="feed:bytes", flag=ALL_FLAGS)),
    ]
    async with connect(f"{server.url}?format=protobuf", ping_interval=None, proxy=None) as client, server.api() as api:
        await client.send(b"".join(delimited(command.SerializeToString()) for command in commands))
        got: list[pb.Reply] = []
        while len(got) < 3:
            if len(got) == 2:
                await api.publish("feed:bytes", 1)
            message = await client.recv()
            assert isinstance(message, bytes)
            got += [pb.Reply.FromString(one) for one in split_delimited(message)]
    connected, subscribed, published = got
    names = {field.name for field, _ in connected.connect.ListFields()}
    assert names == {"client", "version", "ping", "pong", "expires", "ttl"}
    assert {field.name for field, _ in subscribed.subscribe.ListFields()} == {"recoverable", "positioned", "epoch"}
    assert published.push == pb.Push(channel="feed:bytes", pub=pb.Publication(data=b"1", offset=1))


# positions


async def test_who_has_lost_something_is_told_to_subscribe_again(linked: ServerProcess, redis: RedisProcess) -> None:
    """The code 2500 precedes any later publication, because the followed stream is gone."""
    async with raw_client(linked.url) as client, linked.api() as api:
        await client.connect(TOKEN)
        await client.subscribe("feed:lost")
        await api.publish("feed:lost", "before")
        await pushed(client, "pub")
        redis.evict("feed:lost")
        await api.publish("feed:lost", "after")
        push = object_at((await client.document()).get("push", {}))
        assert push == {"channel": "feed:lost", "unsubscribe": {"code": 2500, "reason": "insufficient state"}}


async def test_whom_the_server_subscribed_is_told_to_connect_again(linked: ServerProcess, redis: RedisProcess) -> None:
    """The code is 3010, since such a client cannot subscribe by itself."""
    async with raw_client(linked.url) as client, linked.api() as api:
        await client.connect(connection_token(TOKEN_SECRET, "alice", channels=["feed:gone"]))
        await api.publish("feed:gone", "before")
        await pushed(client, "pub")
        redis.evict("feed:gone")
        await api.publish("feed:gone", "after")
        assert await client.closed() == (3010, "insufficient state")


# time


async def test_a_connection_goes_on_with_a_new_token(server: ServerProcess) -> None:
    """The reply has the ttl; at its end the code is 3005."""
    token = connection_token(TOKEN_SECRET, "alice", lifetime=None, exp=now() + 60)
    async with raw_client(server.url) as client:
        reply = await client.command(id=1, connect={"token": token})
        assert dig(reply, "connect", "expires") is True
        assert dig(reply, "connect", "ttl") in range(55, 61)
        short = connection_token(TOKEN_SECRET, "alice", lifetime=None, exp=now() + 2)
        refreshed = object_at(await client.command(id=2, refresh={"token": short}), "refresh")
        assert set(refreshed) == {"client", "version", "expires", "ttl"}
        assert (refreshed["expires"], refreshed["ttl"]) in {(True, 1), (True, 2)}
        assert await client.closed() == (3005, "connection expired")


async def test_a_subscription_goes_on_with_a_new_token(server: ServerProcess) -> None:
    """The reply has the ttl; at its end the code is 2501, and the connection stays."""

    def token(seconds: int) -> str:
        return subscription_token(TOKEN_SECRET, "alice", "$open:a", exp=now() + seconds)

    async with raw_client(server.url) as client:
        await client.connect(TOKEN)
        reply = await client.command(id=2, subscribe={"channel": "$open:a", "token": token(60)})
        assert dig(reply, "subscribe", "expires") is True
        assert dig(reply, "subscribe", "ttl") in range(55, 61)
        reply = await client.command(id=3, sub_refresh={"channel": "$open:a", "token": token(2)})
        assert dig(reply, "sub_refresh", "expires") is True
        assert dig(reply, "sub_refresh", "ttl") in {1, 2}
        expected = {"channel": "$open:a", "unsubscribe": {"code": 2501, "reason": "expired"}}
        assert await pushed(client, "unsubscribe") == expected
        await client.subscribe("open:still-here")


@pytest.mark.parametrize(
    ("refresh", "code"),
    [
        ("no token", 101),
        (connection_token(TOKEN_SECRET, "bob"), 107),
    ],
    ids=["invalid", "of another"],
)
async def test_a_bad_token_does_not_renew_and_does_not_end(server: ServerProcess, refresh: str, code: int) -> None:
    """The client gets an error, and the connection stays until its expiry."""
    async with raw_client(server.url) as client:
        await client.connect(TOKEN)
        assert dig(await client.command(id=2, refresh={"token": refresh}), "error", "code") == code
        await client.subscribe("open:still-here")


async def test_what_the_backend_subscribed_for_a_time_ends_with_the_connection() -> None:
    """The code is 3006, since reconnecting asks the backend again."""
    granted: JsonObject = {"open:for-a-while": {"expire_at": now() + 2}}
    backend = HttpBackend({"connect": lambda _: {"result": {"user": "alice", "subs": granted}}})
    async with (
        backend,
        ServerProcess("for-a-while", None, hooks={"connect": {"url": backend.url("connect")}}) as server,
        raw_client(server.url) as client,
    ):
        await client.say(json.dumps({"id": 1, "connect": {}}))
        assert await client.closed(within=12) == (3006, "subscription expired")
