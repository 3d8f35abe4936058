"""Revocation of tokens on all servers of a cluster."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from realtime_operator.api.base import JsonObject, JsonValue
from tests.kit.api import ApiError
from tests.kit.deadline import eventually
from tests.kit.document import dig
from tests.kit.raw_client import raw_client
from tests.kit.redis_process import RedisProcess, running_redis
from tests.kit.server_process import TOKEN_SECRET, ServerProcess
from tests.kit.tokens import connection_token, subscription_token

BACK_SECONDS = 20.0
"""Time within which servers read again what they missed while Redis was away, with a margin."""


@pytest.fixture
def redis() -> Iterator[RedisProcess]:
    """Start a Redis for one test."""
    with running_redis() as process:
        yield process


@pytest_asyncio.fixture
async def one(redis: RedisProcess) -> AsyncIterator[ServerProcess]:
    """Start a server with two workers."""
    async with ServerProcess("one", redis, workers=2) as server:
        yield server


@pytest_asyncio.fixture
async def other(redis: RedisProcess) -> AsyncIterator[ServerProcess]:
    """Start another server."""
    async with ServerProcess("other", redis) as server:
        yield server


def token(user: str = "alice", **claims: str | int) -> str:
    """Return a connection token."""
    return connection_token(TOKEN_SECRET, user, lifetime=3600, **claims)


async def code_of(server: ServerProcess, secret: str) -> object:
    """Return the error code of a connect with this token, None when it is admitted."""
    async with raw_client(server.url) as client:
        reply = await client.command(id=1, connect={"token": secret})
        return dig(reply, "error", "code") if "error" in reply else None


async def revoke(server: ServerProcess, **what: JsonValue) -> JsonObject:
    """Call the revoke method."""
    async with server.api() as api:
        return await api.call("revoke", **what)


async def refused_everywhere(secret: str, *servers: ServerProcess) -> None:
    """Wait until all workers of all servers refuse a token."""

    async def codes() -> set[object]:
        return {await code_of(server, secret) for server in servers for _ in range(8)}

    await eventually(codes, lambda found: found == {109}, what="refused", within=BACK_SECONDS, every=0.2)


async def test_connections_end_on_every_server_and_the_tokens_are_refused(
    redis: RedisProcess, one: ServerProcess, other: ServerProcess
) -> None:
    """Tokens issued later are accepted, and servers that start later refuse the old ones."""
    old, bobs = token(iat=int(time.time()) - 60), token("bob", iat=int(time.time()) - 60)
    async with raw_client(one.url) as here, raw_client(other.url) as there, raw_client(other.url) as bob:
        await here.connect(old)
        await there.connect(old)
        await bob.connect(bobs)
        until = int(time.time()) + 3600
        assert await revoke(one, user="alice", expire_at=until) == {"expire_at": until}
        for client in (here, there):
            assert await client.closed() == (3005, "token revoked")
        await bob.subscribe("chat:a")
    await refused_everywhere(old, one, other)
    for server in (one, other):
        assert await code_of(server, token(iat=int(time.time()) + 2)) is None
        assert await code_of(server, bobs) is None
    async with ServerProcess("late", redis) as late:
        assert await code_of(late, old) == 109
        assert 'realtime_server_revocations{worker="0"} 1.0' in await late.metrics()
        assert 'realtime_server_revoked_tokens_refused_total{worker="0"} 1.0' in await late.metrics()


async def test_a_subscription_of_a_revoked_token_ends_on_the_other_server(
    one: ServerProcess, other: ServerProcess
) -> None:
    """The subscription ends by the id of its token, and the connection stays."""
    secret = subscription_token(TOKEN_SECRET, "alice", "$chat:a", jti="s1")
    async with raw_client(other.url) as client:
        await client.connect(token(jti="c1"))
        reply = await client.command(id=2, subscribe={"channel": "$chat:a", "token": secret})
        assert "subscribe" in reply
        await revoke(one, jti="s1")
        while True:
            push = (await client.document()).get("push")
            if isinstance(push, dict) and "unsubscribe" in push:
                break
        assert (push["channel"], dig(push, "unsubscribe", "code")) == ("$chat:a", 2501)
        reply = await client.command(id=3, subscribe={"channel": "$chat:a", "token": secret})
        assert dig(reply, "error", "code") == 109
        assert "subscribe" in await client.command(id=4, subscribe={"channel": "chat:b"})


async def test_tokens_of_before_a_time_are_refused(one: ServerProcess, other: ServerProcess) -> None:
    """Tokens of all users, and those without a time of issue, are refused."""
    now = int(time.time())
    await revoke(other, issued_before=now - 100)
    await refused_everywhere(token("carol", iat=now - 101), one, other)
    await refused_everywhere(token("carol"), one, other)
    assert await code_of(one, token("carol", iat=now - 100)) is None


async def test_what_a_server_missed_and_what_redis_has_lost_is_made_up_for(
    redis: RedisProcess, one: ServerProcess, other: ServerProcess
) -> None:
    """After an outage of Redis every server knows what any of them knew."""
    await revoke(one, jti="t1")
    await refused_everywhere(token(jti="t1"), one, other)
    await asyncio.to_thread(redis.stop)
    with pytest.raises(ApiError):
        await revoke(one, jti="t2")
    redis.lose_data()
    await asyncio.to_thread(redis.start)
    await eventually(other.ready, bool, what="ready", within=BACK_SECONDS, every=0.1)

    async def kept() -> list[bytes]:
        found = await asyncio.to_thread(redis.ask, "HKEYS", "{component:0}:revocations:values")
        assert isinstance(found, list)
        return [name for name in found if isinstance(name, bytes)]

    await eventually(kept, lambda names: names == [b"jti:t1"], what="put back", within=BACK_SECONDS, every=0.1)
    await revoke(one, jti="t2")
    await refused_everywhere(token(jti="t2"), one, other)
    assert await code_of(other, token(jti="t3")) is None


@pytest.mark.parametrize(
    ("what", "why"),
    [
        ({}, "jti, user or issued_before is needed"),
        ({"jti": "a", "user": "b"}, "no effect"),
        ({"user": "b", "expire_at": 1}, "in the past"),
        ({"issued_before": 4_000_000_000}, "in the future"),
    ],
)
async def test_a_call_that_makes_no_sense_is_refused(one: ServerProcess, what: JsonObject, why: str) -> None:
    """Invalid calls revoke nothing and say what is wrong."""
    with pytest.raises(ApiError, match=why) as refused:
        await revoke(one, **what)
    assert refused.value.code == 107
