"""Contract of every revocation store."""

from __future__ import annotations

import asyncio
import time

import pytest

from realtime_server.core.model.revocation import Revocation
from tests.contract.backplane.conftest import MOST_REVOCATIONS, REVOCATION_PAGE, Connect, Server
from tests.contract.backplane.test_redis_memory import ask
from tests.kit.redis_process import RedisProcess

SOON, LATER = time.time() + 3600, time.time() + 7200.25
EVERYBODY = Revocation(SOON, issued_before=1_700_000_000.5)


async def everything(server: Server, since: str = "") -> list[Revocation]:
    """Return all revocations after a position."""
    found: list[Revocation] = []
    while True:
        page = await server.revocations.read(since)
        found += page.revocations
        if page.complete:
            return found
        since = page.position


def tokens(count: int, expires_at: float = SOON) -> list[Revocation]:
    """Return revocations of single tokens."""
    return [Revocation(expires_at, jti=f"t{number}") for number in range(count)]


async def test_nothing_is_revoked_at_first(server: Server) -> None:
    """A page is complete and has the position of the next one."""
    page = await server.revocations.read()
    assert (page.revocations, page.from_start, page.complete) == ((), True, True)
    assert (await server.revocations.read(page.position)).revocations == ()


@pytest.mark.parametrize(
    "one",
    [
        EVERYBODY,
        Revocation(LATER, user="ann", issued_before=1_700_000_000),
        Revocation(SOON, user="a:b jti:ü✓", issued_before=1.25),
        Revocation(SOON, jti="user:x"),
        Revocation(SOON, jti="j" * 10_000),
    ],
)
async def test_a_revocation_comes_back_as_it_was_added(server: Server, one: Revocation) -> None:
    """The revocations are of one token, of a user's tokens, and of all tokens."""
    assert await server.revocations.add([one])
    assert await everything(server) == [one]


async def test_of_the_same_subject_the_latest_times_count(server: Server) -> None:
    """The order does not matter; a revocation without news is no change."""
    await server.revocations.add([Revocation(LATER, user="ann", issued_before=100), EVERYBODY])
    position = (await server.revocations.read()).position
    await server.revocations.add([Revocation(SOON, user="ann", issued_before=99), EVERYBODY])
    assert await everything(server, position) == []
    await server.revocations.add([Revocation(SOON, user="ann", issued_before=200)])
    assert await everything(server, position) == [Revocation(LATER, user="ann", issued_before=200)]
    assert await everything(server) == [EVERYBODY, Revocation(LATER, user="ann", issued_before=200)]


async def test_what_was_added_since_is_read_alone(server: Server) -> None:
    """Reading is in pages."""
    first, second = tokens(2 * REVOCATION_PAGE), tokens(3 * REVOCATION_PAGE)[2 * REVOCATION_PAGE :]
    await server.revocations.add(first)
    page = await server.revocations.read()
    assert (list(page.revocations), page.complete) == (first[:REVOCATION_PAGE], False)
    assert await everything(server) == first
    await server.revocations.add(second[:1])
    await server.revocations.add(second[1:])
    page = await server.revocations.read(page.position)
    assert not page.from_start
    assert await everything(server, page.position) == second


async def test_what_has_expired_is_gone(server: Server) -> None:
    """Unexpired ones stay."""
    soon = time.time() + 1
    await server.revocations.add([Revocation(soon, jti="goes")])
    await asyncio.sleep(1.1)
    assert await everything(server) == []
    soon = time.time() + 1
    await server.revocations.add([Revocation(soon, user="goes", issued_before=1), Revocation(SOON, jti="stays")])
    await asyncio.sleep(1.1)
    assert await everything(server) == [Revocation(SOON, jti="stays")]


async def test_no_more_are_kept_than_may_be(server: Server) -> None:
    """A call is stored completely or not at all; known revocations take no room, and expired ones free theirs."""
    soon = time.time() + 1.5
    assert await server.revocations.add([*tokens(MOST_REVOCATIONS - 1), Revocation(soon, jti="goes")])
    assert not await server.revocations.add([Revocation(SOON, jti="more")])
    assert await server.revocations.add([Revocation(LATER, jti="t0")])
    await asyncio.sleep(1.6)
    assert not await server.revocations.add([Revocation(SOON, jti="more"), Revocation(SOON, jti="another")])
    assert await server.revocations.add([Revocation(SOON, jti="more")])
    assert len(await everything(server)) == MOST_REVOCATIONS


async def test_every_server_reads_what_another_has_added(together: Connect) -> None:
    """A server that starts later reads them too."""
    async with together() as one, together() as other:
        await one.revocations.add([EVERYBODY])
        assert await everything(other) == [EVERYBODY]
    async with together() as late:
        assert await everything(late) == [EVERYBODY]


async def test_a_position_of_lost_data_reads_from_the_start(connect: Connect, redis: RedisProcess) -> None:
    """A server thus notices the loss, and puts back what it knows."""
    async with connect() as server:
        await server.revocations.add(tokens(3))
        position = (await server.revocations.read()).position
        await asyncio.to_thread(redis.ask, "FLUSHALL")
        page = await server.revocations.read(position)
        assert (page.revocations, page.from_start) == ((), True)
        await server.revocations.add([EVERYBODY])
        page = await server.revocations.read(position)
        assert (page.revocations, page.from_start) == ((EVERYBODY,), True)
        assert not (await server.revocations.read(page.position)).from_start


@pytest.mark.parametrize("kind", ["values", "expiry", "order", "meta"])
async def test_of_what_was_evicted_in_part_nothing_is_left(connect: Connect, redis: RedisProcess, kind: str) -> None:
    """A reader with a former position starts again."""
    async with connect() as server:
        await server.revocations.add(tokens(3))
        position = (await server.revocations.read()).position
        (name,) = await ask(redis, "KEYS", f"*revocations:{kind}")
        await asyncio.to_thread(redis.ask, "DEL", name)
        page = await server.revocations.read(position)
        assert (page.revocations, page.from_start) == ((), True)
