"""Repeated publications, by idempotency key or version."""

from __future__ import annotations

import asyncio

import pytest

from realtime_server.core.model.values import HistoryOptions, HistoryQuery, StreamPosition
from tests.contract.backplane.conftest import Connect, Server

KEPT = HistoryOptions(size=100, ttl_seconds=60)
ALL = HistoryQuery(limit=-1)


async def kept(server: Server, channel: str) -> list[bytes]:
    """Return the history's publications."""
    return [publication.encoded for publication in (await server.broker.history(channel, ALL, KEPT)).publications]


# idempotency keys


@pytest.mark.parametrize("key", ["k", "a:b c", "ü✓{x}", "x" * 1000])
async def test_the_same_key_publishes_once(server: Server, key: str) -> None:
    """The second call returns the first position, whatever was published in between."""
    await server.broker.subscribe("news")
    first = await server.broker.publish("news", b"1", KEPT, idempotency_key=key)
    await server.broker.publish("news", b"2", KEPT)
    again = await server.broker.publish("news", b"1", KEPT, idempotency_key=key)
    await server.broker.publish("news", b"3", KEPT)
    await server.seen.until(lambda seen: b"3" in seen.encoded("news"))
    assert again == first
    assert server.seen.encoded("news") == await kept(server, "news") == [b"1", b"2", b"3"]


async def test_a_key_works_without_history(server: Server) -> None:
    """Without history no position is returned."""
    await server.broker.subscribe("news")
    for text in (b"1", b"again"):
        assert await server.broker.publish("news", text, None, idempotency_key="k") is None
    await server.broker.publish("news", b"2", None)
    await server.seen.until(lambda seen: b"2" in seen.encoded("news"))
    assert server.seen.encoded("news") == [b"1", b"2"]


async def test_a_key_is_of_one_channel(server: Server) -> None:
    """No combination of key and channel collides with another."""
    pairs = [("a", "k"), ("b", "k"), ("b:c", "a"), ("c", "a:b"), ("c", "b")]
    positions = [await server.broker.publish(channel, b"1", KEPT, idempotency_key=key) for channel, key in pairs]
    assert [position.offset for position in positions if position is not None] == [1, 1, 1, 1, 2]


async def test_a_key_is_forgotten_after_its_time(server: Server) -> None:
    """The key may publish again afterwards."""
    first = await server.broker.publish("news", b"1", KEPT, idempotency_key="k", idempotency_seconds=0.2)
    assert await server.broker.publish("news", b"1", KEPT, idempotency_key="k", idempotency_seconds=0.2) == first
    await asyncio.sleep(0.25)
    again = await server.broker.publish("news", b"1", KEPT, idempotency_key="k", idempotency_seconds=0.2)
    assert again is not None
    assert again.offset == 2


async def test_of_many_at_once_with_one_key_one_is_published(together: Connect) -> None:
    """Calls on all servers count."""
    async with together() as one, together() as other:
        calls = [
            s.broker.publish("news", b"%d" % n, KEPT, idempotency_key="k") for n in range(20) for s in (one, other)
        ]
        positions = await asyncio.gather(*calls)
        assert {position.offset for position in positions if position is not None} == {1}
        assert len(await kept(one, "news")) == 1


# versions


async def test_what_is_not_newer_is_skipped(server: Server) -> None:
    """The current position is returned; versions may have gaps."""
    await server.broker.subscribe("price")
    positions = [
        await server.broker.publish("price", b"%d" % version, KEPT, version=version) for version in (5, 3, 5, 9, 6, 10)
    ]
    await server.broker.publish("price", b"end", None)
    await server.seen.until(lambda seen: b"end" in seen.encoded("price"))
    assert [position.offset for position in positions if position is not None] == [1, 1, 1, 2, 2, 3]
    assert server.seen.encoded("price") == [b"5", b"9", b"10", b"end"]
    assert await kept(server, "price") == [b"5", b"9", b"10"]


async def test_great_versions_are_told_apart(server: Server) -> None:
    """Versions may be Unix times in nanoseconds, which a double cannot represent."""
    first = 2**63 + 1
    for version in (first, first, first + 1, first - 1):
        position = await server.broker.publish("price", b"%d" % version, KEPT, version=version)
    assert position is not None
    assert position.offset == 2


async def test_a_version_of_another_epoch_is_newer(server: Server) -> None:
    """The source of the versions may have been recreated."""
    for epoch, version in (("one", 5), ("two", 1), ("two", 1), ("one", 3)):
        position = await server.broker.publish("price", b"1", KEPT, version=version, version_epoch=epoch)
    assert position is not None
    assert position.offset == 3


async def test_publications_without_version_do_not_count(server: Server) -> None:
    """They are not skipped, and do not change the newest version."""
    for version in (5, 0, 5, 0, 6):
        position = await server.broker.publish("price", b"1", KEPT, version=version)
    assert position is not None
    assert position.offset == 4


async def test_without_history_versions_are_ignored(server: Server) -> None:
    """Without history no version is stored."""
    await server.broker.subscribe("price")
    for version in (5, 4):
        assert await server.broker.publish("price", b"%d" % version, None, version=version) is None
    await server.seen.until_arrived(2)


async def test_a_skipped_publication_keeps_its_key(server: Server) -> None:
    """A repetition of the key returns the same position."""
    await server.broker.publish("price", b"5", KEPT, version=5)
    skipped = await server.broker.publish("price", b"4", KEPT, version=4, idempotency_key="k")
    await server.broker.publish("price", b"6", KEPT, version=6)
    again = await server.broker.publish("price", b"7", KEPT, version=7, idempotency_key="k")
    assert again == skipped
    assert isinstance(again, StreamPosition)
    assert again.offset == 1
