"""Fetching and expiry of published keys, and outages of the provider."""

from __future__ import annotations

import asyncio
import json

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt.algorithms import OKPAlgorithm
from prometheus_client import CollectorRegistry, generate_latest

from realtime_server.keys.json_web_keys import DocumentError
from realtime_server.keys.key_metrics import KeysCollector
from realtime_server.keys.remote_keys import FETCH_AGAIN_SECONDS, MAX_MISSING, RETRY_SECONDS, Freshness, PublishedKeys

JWK = OKPAlgorithm.to_jwk(Ed25519PrivateKey.generate().public_key(), as_dict=True)


class Provider:
    """Document whose reader waits at `gate`, if there is one; and a clock."""

    url = "https://id.example/keys"

    def __init__(self) -> None:
        self.ids = ["a"]
        self.away = False
        self.reads = 0
        self.now = 0.0
        self.gate: asyncio.Event | None = None

    async def read(self) -> bytes:
        """Return the published document."""
        self.reads += 1
        if self.gate is not None:
            await self.gate.wait()
        if self.away:
            raise DocumentError("nobody answers")
        return json.dumps({"keys": [{**JWK, "kid": key_id} for key_id in self.ids]}).encode()

    def keys(self, *, refresh: float = 300, max_age: float = 86_400) -> PublishedKeys:
        """Return the keys of a provider."""
        return PublishedKeys(self, Freshness(refresh, max_age), clock=lambda: self.now)


def ids(keys: PublishedKeys) -> list[str]:
    """Return the ids of the known keys."""
    return [key.key_id for key in keys.known]


async def test_an_unknown_key_is_looked_up() -> None:
    """After the fetch the key is known, or known to be missing."""
    provider = Provider()
    keys = provider.keys()
    await keys.fetch("a")
    provider.ids, provider.now = ["a", "b"], FETCH_AGAIN_SECONDS
    assert keys.may_fetch
    await keys.fetch("b")
    assert ids(keys) == ["a", "b"]
    assert not keys.is_missing("b")
    provider.now += FETCH_AGAIN_SECONDS
    await keys.fetch("c")
    assert keys.is_missing("c")


async def test_it_is_read_at_most_every_few_seconds() -> None:
    """Further tokens cause no fetch, and a key that was not looked up does not count as missing."""
    provider = Provider()
    keys = provider.keys()
    await keys.fetch("")
    provider.now = FETCH_AGAIN_SECONDS - 0.1
    assert not keys.may_fetch
    await keys.fetch("b")
    assert provider.reads == 1
    assert not keys.is_missing("b")


async def test_all_wait_for_one_fetch() -> None:
    """A caller that is cancelled does not cancel the fetch for others."""
    provider = Provider()
    provider.gate = asyncio.Event()
    keys = provider.keys()
    waiting = [asyncio.create_task(keys.fetch(f"unknown-{number}")) for number in range(100)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    await asyncio.sleep(0)
    provider.gate.set()
    await asyncio.gather(*waiting[1:])
    assert (provider.reads, ids(keys)) == (1, ["a"])


async def test_an_outage_says_nothing_about_a_key() -> None:
    """A key that could not be looked up is not missing, so that its clients try again."""
    provider = Provider()
    keys = provider.keys()
    await keys.fetch("")
    provider.away, provider.now = True, 100
    await keys.fetch("b")
    assert not keys.is_missing("b")
    assert ids(keys) == ["a"]
    assert keys.outcomes == {"ok": 1, "failed": 1}


async def test_a_key_that_was_missing_may_come() -> None:
    """The next fetch forgets the missing keys."""
    provider = Provider()
    keys = provider.keys()
    await keys.fetch("b")
    assert keys.is_missing("b")
    provider.ids, provider.now = ["b"], 100
    await keys.fetch("")
    assert (keys.is_missing("b"), ids(keys)) == (False, ["b"])


async def test_keys_end_when_they_are_too_old() -> None:
    """A withdrawn key is not trusted for ever while the provider is unreachable."""
    provider = Provider()
    keys = provider.keys(refresh=60, max_age=600)
    await keys.fetch("")
    provider.away, provider.now = True, 600
    await keys.fetch("")
    assert (ids(keys), keys.loaded) == (["a"], True)
    provider.now = 601
    assert (ids(keys), keys.loaded) == ([], False)
    provider.away = False
    await keys.fetch("")
    provider.now += FETCH_AGAIN_SECONDS
    await keys.fetch("")
    assert ids(keys) == ["a"]


async def test_pauses_grow_while_it_fails() -> None:
    """Pauses grow up to the regular interval, with jitter."""
    provider = Provider()
    keys = provider.keys(refresh=60)
    provider.away = True
    pauses = []
    for _ in range(6):
        provider.now += 100
        await keys.fetch("")
        pauses.append(keys.pause())
    for pause, longest in zip(pauses, (RETRY_SECONDS, 10, 20, 40, 60, 60), strict=True):
        assert 0.9 * longest <= pause <= longest
    provider.away, provider.now = False, provider.now + 100
    await keys.fetch("")
    assert 54 <= keys.pause() <= 60


async def test_what_strangers_name_is_bounded() -> None:
    """The oldest missing key ids are forgotten."""
    provider = Provider()
    keys = provider.keys()
    provider.gate = asyncio.Event()
    waiting = [asyncio.create_task(keys.fetch(f"{number}")) for number in range(MAX_MISSING + 1)]
    await asyncio.sleep(0)
    provider.gate.set()
    await asyncio.gather(*waiting)
    assert sum(keys.is_missing(f"{number}") for number in range(MAX_MISSING + 1)) == MAX_MISSING


@pytest.mark.parametrize("slow", [False, True])
async def test_stopping_leaves_nothing(slow: bool) -> None:
    """The refresh and a fetch under way end, without an error for callers that wait."""
    provider = Provider()
    keys = provider.keys()
    await keys.start()
    provider.now = 100
    waiting = None
    if slow:
        provider.gate = asyncio.Event()
        waiting = asyncio.create_task(keys.fetch("b"))
        await asyncio.sleep(0)
    await keys.stop()
    await keys.stop()
    if waiting is not None:
        await waiting
    assert [task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith("jwks")] == []


async def test_metrics_say_how_it_went() -> None:
    """The metrics have the number and age of the keys, and the outcomes of fetches."""
    provider = Provider()
    keys = provider.keys()
    await keys.fetch("")
    provider.away, provider.now = True, 7
    await keys.fetch("")
    registry = CollectorRegistry()
    registry.register(KeysCollector(keys, 1))
    lines = generate_latest(registry).decode().splitlines()
    assert 'realtime_server_jwks_keys{worker="1"} 1.0' in lines
    assert 'realtime_server_jwks_age_seconds{worker="1"} 7.0' in lines
    assert 'realtime_server_jwks_fetches_total{outcome="ok",worker="1"} 1.0' in lines
    assert 'realtime_server_jwks_fetches_total{outcome="failed",worker="1"} 1.0' in lines
