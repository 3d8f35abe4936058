"""Connecting with the stock SDKs, and their reaction to refusals."""

from __future__ import annotations

import time
import uuid

from realtime_operator.api.base import JsonObject
from tests.component.sdk.conftest import Sdk
from tests.kit.clients import (
    Channel,
    ClientOptions,
    Connected,
    Connecting,
    Disconnected,
    Unsubscribed,
    all_connected,
    all_subscribed,
)
from tests.kit.deadline import eventually, stays
from tests.kit.redis_process import RedisProcess
from tests.kit.server_process import TOKEN_SECRET, ServerProcess
from tests.kit.tokens import connection_token


async def test_a_client_with_a_valid_token_connects(sdk: Sdk, shared_server: ServerProcess) -> None:
    """Each connection gets an id of its own."""
    async with sdk(shared_server.url, count=2) as clients:
        await all_connected(clients)
        ids = {event.id for event in clients.record.events if isinstance(event, Connected)}
    assert len(ids) == 2


async def test_a_client_without_a_token_is_refused_for_good(sdk: Sdk, shared_server: ServerProcess) -> None:
    """Anonymous connections are off: the SDK stops, with the error of the connect command or its disconnect code."""
    async with sdk.make(ClientOptions(endpoints=[shared_server.url])) as clients:
        await clients.record.wait(lambda r: r.first(Disconnected) is not None, what="refused")
        assert not clients.record.connected
        refusal = clients.record.first(Disconnected)
    assert isinstance(refusal, Disconnected)
    assert refusal.code in {101, 3500}, refusal


async def test_a_client_without_a_token_connects_where_anonymous_is_on(sdk: Sdk) -> None:
    """auth.anonymous admits clients without a token."""
    async with (
        ServerProcess("anonymous", None, auth={"anonymous": True}) as server,
        sdk.make(ClientOptions(endpoints=[server.url], channels=[Channel("chat:1")])) as clients,
    ):
        await all_subscribed(clients)


async def test_a_token_with_a_wrong_signature_is_refused_for_good(sdk: Sdk, shared_server: ServerProcess) -> None:
    """The code is 3500, invalid token, which is final."""
    token = connection_token("another secret that the server does not know", "mallory")
    async with sdk.make(ClientOptions(endpoints=[shared_server.url], tokens=[token])) as clients:
        await clients.record.wait(lambda r: r.first(Disconnected) is not None, what="refused")
        refusal = clients.record.first(Disconnected)
    assert isinstance(refusal, Disconnected)
    assert refusal.code == 3500


async def test_an_expired_token_is_renewed_at_connect(sdk: Sdk, shared_server: ServerProcess) -> None:
    """Error 109 makes the SDK ask its application for a new token and try again."""
    expired = connection_token(TOKEN_SECRET, "user-0", lifetime=-60)
    asked: list[int] = []

    def renew(client: int) -> str:
        asked.append(client)
        return connection_token(TOKEN_SECRET, "user-0")

    options = ClientOptions(
        endpoints=[shared_server.url], tokens=[expired], renew_token=renew, min_reconnect_delay=0.05
    )
    async with sdk.make(options) as clients:
        await all_connected(clients)
    assert asked == [0]


async def test_a_client_whose_token_is_revoked_comes_back_with_a_new_one(
    sdk: Sdk, shared_server: ServerProcess, room: Channel
) -> None:
    """The SDK tries its old token once, asks its application for another, and recovers what it missed."""
    user = f"user-{uuid.uuid4()}"
    given: list[int] = []

    def renew(client: int) -> str:
        given.append(client)
        return connection_token(TOKEN_SECRET, user, iat=int(time.time()) + 2)

    old = connection_token(TOKEN_SECRET, user, iat=int(time.time()))
    options = ClientOptions(
        endpoints=[shared_server.url], channels=[room], tokens=[old], renew_token=renew, min_reconnect_delay=0.05
    )
    async with sdk.make(options) as clients, shared_server.api() as api:
        await all_subscribed(clients)
        await api.call("revoke", user=user)
        await clients.record.wait(lambda r: len(r.subscriptions()) >= 2, what="back")
        assert given == [0]
        assert {event.code for event in clients.record.lost_connections()} == {3005}
        assert [event.recovered for event in clients.record.subscriptions()[1:]] == [True]
        assert clients.record.first(Disconnected) is None


async def test_a_token_is_renewed_while_connected(sdk: Sdk, shared_server: ServerProcess) -> None:
    """The SDK sends a refresh before the token expires; the connection is not interrupted."""
    asked: list[int] = []

    def renew(client: int) -> str:
        asked.append(client)
        return connection_token(TOKEN_SECRET, "user-0", lifetime=600)

    short = connection_token(TOKEN_SECRET, "user-0", lifetime=2)
    options = ClientOptions(endpoints=[shared_server.url], tokens=[short], renew_token=renew)
    async with sdk.make(options) as clients:
        await all_connected(clients)

        async def renewals() -> int:
            return len(asked)

        await eventually(renewals, lambda number: number > 0, what="a renewal", within=10)
        await clients.call(0, "publish", channel="open:still-here", data={})
        assert clients.record.lost_connections() == []
    assert asked == [0]


async def test_a_refresh_with_an_expired_token_is_followed_by_another_one(
    sdk: Sdk, shared_server: ServerProcess
) -> None:
    """The code is 3005 on every transport; the SDK reconnects and fetches another token."""
    lifetimes = [-60.0, 600.0]

    def renew(_: int) -> str:
        return connection_token(TOKEN_SECRET, "user-0", lifetime=lifetimes.pop(0))

    short = connection_token(TOKEN_SECRET, "user-0", lifetime=2)
    options = ClientOptions(endpoints=[shared_server.url], tokens=[short], renew_token=renew, min_reconnect_delay=0.05)
    async with sdk.make(options) as clients:
        await clients.record.wait(lambda r: len(r.reconnects()) == 1, what="connected again", within=20)
        assert [event.code for event in clients.record.lost_connections()] == [3005]
        assert lifetimes == []


async def test_a_token_that_is_not_renewed_ends_the_connection(sdk: Sdk, shared_server: ServerProcess) -> None:
    """The server closes with 3005 after the leeway for a late refresh, unless the SDK gave up before."""
    short = connection_token(TOKEN_SECRET, "user-0", lifetime=1)
    async with sdk.make(ClientOptions(endpoints=[shared_server.url], tokens=[short])) as clients:
        await all_connected(clients)

        def closed(_: object) -> bool:
            codes = [e.code for e in clients.record.events if isinstance(e, Connecting | Disconnected)]
            return 3005 in codes or any(isinstance(e, Disconnected) for e in clients.record.events)

        await clients.record.wait(closed, what="the connection closed", within=40)


async def test_the_connection_limit_turns_further_clients_away(sdk: Sdk, redis: RedisProcess) -> None:
    """Above limits.connections a handshake gets 503; the SDK keeps trying, and other clients are unaffected."""
    limits: JsonObject = {"connections": 1}
    async with ServerProcess("small", redis, limits=limits) as server, sdk(server.url) as first:
        await all_connected(first)
        async with sdk(server.url) as second:
            await second.record.wait(lambda r: len(r.events) >= 2, what="an error")
            assert not second.record.connected
            assert first.record.connected == {0}
            await first.call(0, "disconnect")
            await all_connected(second)


async def test_the_server_can_disconnect_a_user_for_good(sdk: Sdk, shared_server: ServerProcess) -> None:
    """The API's disconnect closes with 3503, after which an SDK does not come back."""
    async with sdk(shared_server.url, count=2) as clients, shared_server.api() as api:
        await all_connected(clients)
        await api.call("disconnect", user="user-1")
        await clients.record.wait(lambda r: r.first(Disconnected, 1) is not None, what="user-1 disconnected")
        event = clients.record.first(Disconnected, 1)
        assert isinstance(event, Disconnected)
        assert event.code == 3503
        assert clients.record.connected == {0}


async def test_the_server_can_disconnect_with_a_code_that_reconnects(sdk: Sdk, shared_server: ServerProcess) -> None:
    """The SDK reconnects after a code that is not final."""
    async with sdk(shared_server.url) as clients, shared_server.api() as api:
        await all_connected(clients)
        await api.call("disconnect", user="user-0", disconnect={"code": 3000, "reason": "come back"})
        await clients.record.wait(lambda r: len(r.reconnects()) == 1, what="reconnected")
        assert [(event.code, event.reason) for event in clients.record.lost_connections()] == [(3000, "come back")]


async def test_the_server_can_unsubscribe_a_user(sdk: Sdk, shared_server: ServerProcess) -> None:
    """The API's unsubscribe ends the subscription with 2000 and leaves the connection."""
    async with sdk(shared_server.url, channels=[Channel("chat:1")]) as clients, shared_server.api() as api:
        await all_subscribed(clients)
        await api.call("unsubscribe", user="user-0", channel="chat:1")
        await clients.record.wait(lambda r: r.first(Unsubscribed) is not None, what="unsubscribed")
        event = clients.record.first(Unsubscribed)
        assert isinstance(event, Unsubscribed)
        assert event.code == 2000
        assert clients.record.connected == {0}


async def test_pings_keep_a_quiet_connection(sdk: Sdk) -> None:
    """With a ping and a pong every second, a client stays connected through three silent seconds."""
    heartbeat: JsonObject = {"interval_seconds": 1, "timeout_seconds": 0.5}
    async with ServerProcess("pinging", None, heartbeat=heartbeat) as server, sdk(server.url) as clients:
        await all_connected(clients)

        async def connected() -> set[int]:
            return clients.record.connected

        await stays(connected, lambda now: now == {0}, what="the client connected", during=3.5)
        assert clients.record.lost_connections() == []
