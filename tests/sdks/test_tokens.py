"""Tokens that have expired, or are not valid yet, from a real server: every SDK version gets a new one and goes on."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import pytest_asyncio

from tests.kit.clients import Channel, ClientOptions, Connected, Subscribed, all_subscribed
from tests.kit.sdk_programs import SdkVersion
from tests.kit.server_process import TOKEN_SECRET, ServerProcess
from tests.kit.tokens import connection_token, subscription_token

CHANNEL = "chat:room"
USER = "user-0"
EXPIRED = -3600.0
SOON = 2.0
"""Seconds: SDKs ask for a new token when this time is over."""
WITHIN = 30.0


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server() -> AsyncIterator[ServerProcess]:
    """A server that all tests use."""
    async with ServerProcess("tokens", None) as process:
        yield process


class Issuer:
    """Gives tokens of these lifetimes in seconds, one after the other, and then good ones; counts them."""

    def __init__(self, *lifetimes: float) -> None:
        self._lifetimes = list(lifetimes)
        self.given = 0

    def _lifetime(self) -> float:
        self.given += 1
        return self._lifetimes.pop(0) if self._lifetimes else 3600

    def connection(self, _: int) -> str:
        """Return a connection token."""
        return connection_token(TOKEN_SECRET, USER, lifetime=self._lifetime())

    def subscription(self, _: int, channel: str) -> str:
        """Return a subscription token."""
        return subscription_token(TOKEN_SECRET, USER, channel, exp=int(time.time() + self._lifetime()))


def options(server: ServerProcess, token: str, issuer: Issuer, *channels: Channel) -> ClientOptions:
    """One client, whose application asks the issuer for tokens."""
    return ClientOptions(
        endpoints=[server.url],
        channels=channels,
        tokens=[token],
        renew_token=issuer.connection,
        renew_subscription_token=issuer.subscription,
        min_reconnect_delay=0.05,
        max_reconnect_delay=0.5,
    )


async def test_an_expired_token_at_connect(sdk: SdkVersion, server: ServerProcess) -> None:
    """109: the application is asked, and a channel that was asked for in the same message is subscribed."""
    issuer = Issuer()
    token = connection_token(TOKEN_SECRET, USER, lifetime=EXPIRED)
    async with sdk.make(options(server, token, issuer, Channel(CHANNEL))) as clients:
        await all_subscribed(clients, within=WITHIN)
    assert issuer.given == 1


async def test_a_token_that_is_not_valid_yet(sdk: SdkVersion, server: ServerProcess) -> None:
    """As one that has expired: the clock of the application or of the server is wrong, and a new one may be valid."""
    issuer = Issuer()
    token = connection_token(TOKEN_SECRET, USER, nbf=int(time.time()) + 600, iat=int(time.time()) + 600)
    async with sdk.make(options(server, token, issuer, Channel(CHANNEL))) as clients:
        await all_subscribed(clients, within=WITHIN)
    assert issuer.given == 1


async def test_a_refresh_with_an_expired_token(sdk: SdkVersion, server: ServerProcess) -> None:
    """3005: the client comes back, and the application is asked again."""
    issuer = Issuer(EXPIRED)
    token = connection_token(TOKEN_SECRET, USER, lifetime=SOON)
    async with sdk.make(options(server, token, issuer, Channel(CHANNEL))) as clients:
        await clients.record.wait(
            lambda r: sum(isinstance(e, Connected) for e in r.events) == 2, what="connected again", within=WITHIN
        )
        await all_subscribed(clients)
    assert issuer.given == 2


async def test_a_sub_refresh_with_an_expired_token(sdk: SdkVersion, server: ServerProcess) -> None:
    """2501: the client subscribes again, and the application is asked again; the connection stays."""
    issuer = Issuer(EXPIRED)
    async with sdk.make(options(server, connection_token(TOKEN_SECRET, USER), issuer)) as clients:
        token = subscription_token(TOKEN_SECRET, USER, CHANNEL, exp=int(time.time() + SOON))
        await clients.record.wait(lambda r: r.connected == {0}, what="connected", within=WITHIN)
        await clients.call(0, "subscribe", channel=CHANNEL, name=CHANNEL, token=token, askToken=True)
        await clients.record.wait(
            lambda r: sum(isinstance(e, Subscribed) for e in r.events) == 2, what="subscribed again", within=WITHIN
        )
        assert clients.record.subscribed == {(0, CHANNEL)}
        assert sum(isinstance(e, Connected) for e in clients.record.events) == 1
    assert issuer.given >= 1  # centrifuge-go subscribes with its first token again, which has not been over for long
