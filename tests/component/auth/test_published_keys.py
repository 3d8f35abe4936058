"""Keys at a URL: rotated without a restart, kept while the provider is away, fetched at a bounded rate."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator

import jwt
import pytest
import pytest_asyncio
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from jwt.algorithms import ECAlgorithm

from realtime_operator.api.base import JsonObject
from realtime_server.keys.remote_keys import FETCH_AGAIN_SECONDS
from tests.kit.deadline import eventually
from tests.kit.document import dig
from tests.kit.raw_client import ClosedByServerError, raw_client
from tests.kit.redis_process import free_port
from tests.kit.server_process import ServerProcess


class Provider:
    """Provider that publishes keys over HTTP on loopback; `status` other than 200 makes it fail; `delay` in seconds."""

    def __init__(self) -> None:
        self.keys: dict[str, EllipticCurvePrivateKey] = {}
        self.status = 200
        self.location = ""
        self.delay = 0.0
        self.asked = 0
        self.port = free_port()
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """URL of the document."""
        return f"http://127.0.0.1:{self.port}/.well-known/jwks.json"

    def add(self, key_id: str) -> None:
        """Publish another key."""
        self.keys[key_id] = generate_private_key(SECP256R1())

    def token(self, key_id: str, user: str = "alice") -> str:
        """Return a token that is signed with one of the keys."""
        return jwt.encode({"sub": user}, self.keys[key_id], algorithm="ES256", headers={"kid": key_id})

    async def start(self) -> None:
        """Start listening."""
        application = web.Application()
        application.router.add_get("/.well-known/jwks.json", self._answer)
        self._runner = web.AppRunner(application)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()

    async def stop(self) -> None:
        """Stop listening. Idempotent."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _answer(self, _request: web.Request) -> web.Response:
        self.asked += 1
        await asyncio.sleep(self.delay)
        published = [
            {**ECAlgorithm.to_jwk(key.public_key(), as_dict=True), "kid": key_id, "use": "sig", "alg": "ES256"}
            for key_id, key in self.keys.items()
        ]
        headers = {"Location": self.location} if self.location else None
        return web.Response(status=self.status, headers=headers, text=json.dumps({"keys": published}))


@pytest_asyncio.fixture
async def provider() -> AsyncIterator[Provider]:
    """Start a provider with a key."""
    made = Provider()
    made.add("2026-1")
    await made.start()
    yield made
    await made.stop()


def server_of(provider: Provider) -> ServerProcess:
    """Start a server that accepts only this provider's tokens."""
    return ServerProcess("published-keys", None, auth={"jwks": {"url": provider.url}})


async def answer(server: ServerProcess, token: str) -> JsonObject:
    """Return the reply to a connect with this token. Raises ClosedByServerError when it is refused for good."""
    async with raw_client(server.url) as client:
        return await client.command(id=1, connect={"token": token})


async def connects(server: ServerProcess, token: str) -> bool:
    """Return True when a client connects with this token."""
    return "connect" in await answer(server, token)


def is_temporary(reply: JsonObject) -> bool:
    """Return True when an SDK tries again after this reply."""
    return dig(reply, "error", "temporary") is True


async def test_a_new_key_is_known_with_its_tokens(provider: Provider) -> None:
    """The document is fetched once for all clients with the key, without a restart of the server."""
    async with server_of(provider) as server:
        assert await connects(server, provider.token("2026-1"))
        provider.add("2026-2")
        await eventually(
            lambda: connects(server, provider.token("2026-2")), bool, what="the new key is known", within=15
        )
        for number in range(20):
            assert await connects(server, provider.token("2026-2", f"user-{number}"))
        assert provider.asked == 2


async def test_a_provider_that_is_away_changes_nothing_for_known_keys(provider: Provider) -> None:
    """Known keys stay valid; a token whose key cannot be looked up gets a temporary error."""
    async with server_of(provider) as server:
        await provider.stop()
        provider.add("2026-2")
        assert is_temporary(await answer(server, provider.token("2026-2")))
        assert await connects(server, provider.token("2026-1"))
        await provider.start()
        await eventually(
            lambda: connects(server, provider.token("2026-2")), bool, what="the new key is known", within=15
        )


async def test_a_key_that_cannot_be_looked_up_is_not_refused_for_good(provider: Provider) -> None:
    """SDKs try again after any number of failures, and connect once the provider is back."""
    async with server_of(provider) as server:
        provider.add("2026-2")
        provider.status = 503
        looked = provider.asked
        await asyncio.sleep(FETCH_AGAIN_SECONDS)
        assert is_temporary(await answer(server, provider.token("2026-2")))
        assert provider.asked == looked + 1
        assert is_temporary(await answer(server, provider.token("2026-2")))
        provider.status = 200
        await eventually(
            lambda: connects(server, provider.token("2026-2")), bool, what="the new key is known", within=15
        )


async def test_a_slow_provider_delays_only_those_who_need_it(provider: Provider) -> None:
    """Other clients connect at once; clients with the new key connect when the answer arrives."""
    async with server_of(provider) as server:
        provider.add("2026-2")
        provider.delay = 2.0
        await asyncio.sleep(FETCH_AGAIN_SECONDS)
        waiting = [asyncio.create_task(connects(server, provider.token("2026-2", f"user-{n}"))) for n in range(20)]
        assert await connects(server, provider.token("2026-1"))
        assert not any(one.done() for one in waiting)
        assert all(await asyncio.gather(*waiting))
        assert provider.asked == 2


async def test_redirects_are_not_followed(provider: Provider) -> None:
    """Keys come from the configured address only."""
    provider.status, provider.location = 302, provider.url
    async with server_of(provider) as server:
        assert is_temporary(await answer(server, provider.token("2026-1")))
        assert provider.asked == 1


async def test_a_server_that_starts_without_its_provider_catches_up(provider: Provider) -> None:
    """The server is ready, since other clients may have other keys; clients with unknown keys try again."""
    provider.status = 503
    async with server_of(provider) as server:
        assert is_temporary(await answer(server, provider.token("2026-1")))
        provider.status = 200
        await eventually(lambda: connects(server, provider.token("2026-1")), bool, what="the key is known", within=15)


async def test_strangers_do_not_make_it_ask_again_and_again(provider: Provider) -> None:
    """Tokens with unknown keys cause at most one fetch in five seconds."""
    strange = Provider()
    names = [f"strange-{number}" for number in range(40)]
    for name in names:
        strange.add(name)
    async with server_of(provider) as server:
        began = time.monotonic()
        replies = await asyncio.gather(*(answer(server, strange.token(name)) for name in names), return_exceptions=True)
        assert all(isinstance(one, ClosedByServerError) or is_temporary(one) for one in replies)  # type: ignore[arg-type] # checked
        assert provider.asked <= 2 + (time.monotonic() - began) / 5
        assert await connects(server, provider.token("2026-1"))


async def test_a_token_of_a_foreign_key_with_a_known_name_is_refused(provider: Provider) -> None:
    """The signature is wrong, so that another fetch would change nothing."""
    strange = Provider()
    strange.add("2026-1")
    async with server_of(provider) as server:
        with pytest.raises(ClosedByServerError):
            await answer(server, strange.token("2026-1"))
