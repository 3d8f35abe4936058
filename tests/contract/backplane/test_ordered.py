"""Contract of every broker for ordered namespaces: one position for the publications of all channels."""

from __future__ import annotations

import asyncio

import pytest

from realtime_server.core.model.values import (
    HistoryOptions,
    HistoryQuery,
    Publication,
    SequencePosition,
    StreamPosition,
)
from tests.contract.backplane.conftest import Connect, Server
from tests.kit.redis_process import RedisProcess

KEPT = HistoryOptions(size=5, ttl_seconds=60)
MANY = HistoryOptions(size=100_000, ttl_seconds=60)
ALL = HistoryQuery(limit=-1)
POSITION = HistoryQuery(limit=0)
CHANNELS = [f"rooms:{number}" for number in range(20)]


async def begin(server: Server, channel: str, options: HistoryOptions = KEPT) -> StreamPosition:
    """Return the position of a channel, at which a client joins it."""
    return (await server.broker.history(channel, POSITION, options)).position


async def newest(server: Server, channel: str = "rooms:0") -> SequencePosition:
    """Return the newest position of the sequence."""
    sequence = (await server.broker.history(channel, POSITION, KEPT)).sequence
    assert sequence is not None
    return sequence


async def missed(
    server: Server, channel: str, known: StreamPosition, since: SequencePosition, options: HistoryOptions = KEPT
) -> list[bytes] | None:
    """Return what was missed in a channel, None when that is unknown."""
    page = await server.broker.missed(channel, known, since, options)
    return None if page is None else [publication.encoded for publication in page.publications]


async def test_publications_arrive_in_the_order_of_their_numbers(server: Server) -> None:
    """One counter numbers all channels, whoever publishes at the same time; histories have the same numbers."""
    for channel in CHANNELS:
        await server.broker.subscribe(channel)
    await asyncio.gather(*(server.broker.publish(channel, b"x", MANY) for _ in range(20) for channel in CHANNELS))
    arrivals = await server.seen.until_arrived(400)
    positions = [arrival.publication.sequence for arrival in arrivals]
    numbers = [position.number for position in positions if position is not None]
    assert len(numbers) == 400
    assert numbers == sorted({*numbers})
    for channel in CHANNELS:
        page = await server.broker.history(channel, ALL, MANY)
        assert page.publications == tuple(a.publication for a in arrivals if a.channel == channel)
        assert page.sequence == positions[-1]


async def test_other_namespaces_have_no_sequence(server: Server) -> None:
    """Nor have publications without history in an ordered one."""
    for channel in ("news", "rooms:1"):
        await server.broker.subscribe(channel)
    await server.broker.publish("news", b"1", KEPT)
    await server.broker.publish("rooms:1", b"2", None)
    arrivals = await server.seen.until_arrived(2)
    assert [arrival.publication.sequence for arrival in arrivals] == [None, None]
    page = await server.broker.history("news", ALL, KEPT)
    assert (page.sequence, page.publications[0].sequence) == (None, None)


async def test_what_was_missed_is_read_from_every_channel(server: Server) -> None:
    """Everything after the position, and nothing that came before the client was there."""
    await server.broker.publish("rooms:1", b"before", KEPT)
    known = {channel: await begin(server, channel) for channel in ("rooms:1", "rooms:2", "rooms:quiet")}
    await server.broker.publish("rooms:1", b"seen", KEPT)
    since = await newest(server)
    await server.broker.publish("rooms:2", b"a", KEPT)
    await server.broker.publish("rooms:1", b"b", KEPT)
    await server.broker.publish("rooms:2", b"c", KEPT)
    found = {channel: await missed(server, channel, position, since) for channel, position in known.items()}
    assert found == {"rooms:1": [b"b"], "rooms:2": [b"a", b"c"], "rooms:quiet": []}
    page = await server.broker.missed("rooms:2", known["rooms:2"], since, KEPT)
    assert page is not None
    assert (page.position.offset, page.sequence) == (2, await newest(server))
    assert page.publications == (await server.broker.history("rooms:2", ALL, KEPT)).publications


@pytest.mark.parametrize("count", [1, 15, 16, 17, 32, 300])
async def test_any_number_can_be_missed(server: Server, count: int) -> None:
    """The read is not limited by the size of its steps."""
    known = await begin(server, "rooms:1", MANY)
    await server.broker.publish("rooms:1", b"seen", MANY)
    since = await newest(server)
    await asyncio.gather(*(server.broker.publish("rooms:1", b"x", MANY) for _ in range(count)))
    assert await missed(server, "rooms:1", known, since, MANY) == [b"x"] * count
    assert await missed(server, "rooms:1", known, SequencePosition(0, since.epoch), MANY) == [b"seen"] + [b"x"] * count


async def test_what_was_dropped_matters_only_to_whom_it_is_new(server: Server) -> None:
    """The history keeps five: whoever has all that was dropped misses nothing."""
    known = await begin(server, "rooms:1")
    since = []
    for number in range(8):
        since.append(await newest(server))
        await server.broker.publish("rooms:1", b"%d" % number, KEPT)
    assert await missed(server, "rooms:1", known, since[2]) is None
    assert await missed(server, "rooms:1", known, since[3]) == [b"3", b"4", b"5", b"6", b"7"]
    assert await missed(server, "rooms:1", known, since[7]) == [b"7"]
    assert await missed(server, "rooms:1", known, await newest(server)) == []
    here = await begin(server, "rooms:1")
    assert await missed(server, "rooms:1", here, since[0]) == []


@pytest.mark.parametrize("way", ["expired", "removed"])
async def test_an_empty_history_is_complete_for_whom_it_is_not_new(server: Server, way: str) -> None:
    """The newest number of a channel outlives its publications."""
    kept = HistoryOptions(size=5, ttl_seconds=0.05 if way == "expired" else 60)
    known = await begin(server, "rooms:1", kept)
    before = await newest(server)
    await server.broker.publish("rooms:1", b"1", kept)
    if way == "removed":
        await server.broker.remove_history("rooms:1")
    else:
        await asyncio.sleep(0.1)
    assert await missed(server, "rooms:1", known, before, kept) is None
    assert await missed(server, "rooms:1", known, await newest(server), kept) == []
    await server.broker.publish("rooms:1", b"2", MANY)
    assert await missed(server, "rooms:1", known, before, MANY) is None


async def test_other_epochs_are_never_complete(server: Server) -> None:
    """Nor are positions that nobody was given."""
    await server.broker.publish("rooms:1", b"1", KEPT)
    known, since = await begin(server, "rooms:1"), await newest(server)
    assert await missed(server, "rooms:1", known, since) == []
    for wrong in (StreamPosition(known.offset, "other"), StreamPosition(known.offset + 1, known.epoch)):
        assert await missed(server, "rooms:1", wrong, since) is None
    for epoch in ("other", ""):
        assert await missed(server, "rooms:1", known, SequencePosition(since.number, epoch)) is None
    for number in (since.number + 1, 2**53, 2**70):
        assert await missed(server, "rooms:1", known, SequencePosition(number, since.epoch)) is None
    assert await missed(server, "rooms:unknown", StreamPosition(0, "other"), since) is None


async def test_a_position_is_valid_on_every_server(together: Connect) -> None:
    """Servers share the sequence, and each delivers it in order."""
    async with together() as one, together() as other:
        known = {channel: await begin(one, channel) for channel in CHANNELS}
        since = await newest(one)
        for number in range(40):
            await (one, other)[number % 2].broker.publish(CHANNELS[number % 20], b"%d" % number, MANY)
        found: list[Publication] = []
        for channel in CHANNELS:
            page = await other.broker.missed(channel, known[channel], since, MANY)
            assert page is not None
            found += page.publications
        found.sort(key=lambda publication: publication.sequence.number if publication.sequence else 0)
        assert [publication.encoded for publication in found] == [b"%d" % number for number in range(40)]


async def test_an_interruption_is_reported_before_anything_follows_it(redis: RedisProcess, connect: Connect) -> None:
    """After a loss of the link no publication arrives before it is said that some may be missing."""
    async with connect() as server, connect() as publisher:
        await server.broker.subscribe("rooms:1")
        await publisher.broker.publish("rooms:1", b"1", KEPT)
        await server.seen.until_arrived(1)
        before, gaps = len(server.seen.interruptions), server.seen.gaps
        redis.ask("CLIENT", "KILL", "TYPE", "pubsub")
        while server.seen.gaps == gaps:
            await publisher.broker.publish("rooms:1", b"x", MANY)
            await asyncio.sleep(0)
        assert len(server.seen.interruptions) > before
        page = await server.broker.history("rooms:1", ALL, MANY)
        assert page.publications[0].sequence is not None
        first = server.seen.interruptions[before]
        offsets = [arrival.publication.offset for arrival in server.seen.arrivals]
        assert offsets[:first] == list(range(1, first + 1))


async def test_data_that_is_gone_is_no_sequence(redis: RedisProcess, connect: Connect) -> None:
    """After a restart of Redis without its data no position from before is complete, however many follow."""
    async with connect() as server:
        known = {channel: await begin(server, channel) for channel in ("rooms:1", "rooms:2")}
        for number in range(6):
            await server.broker.publish("rooms:1", b"%d" % number, MANY)
        since = await newest(server)
        gaps = server.seen.gaps
        await asyncio.to_thread(redis.stop)
        redis.lose_data()
        await asyncio.to_thread(redis.start)
        await server.seen.until(lambda seen: seen.gaps > gaps)
        for number in range(8):
            await server.broker.publish("rooms:1", b"%d" % number, MANY)
        for channel, position in known.items():
            assert await missed(server, channel, position, since, MANY) is None
            again = await begin(server, channel, MANY)
            assert await missed(server, channel, again, since, MANY) is None
            assert await missed(server, channel, again, await newest(server), MANY) == []


@pytest.mark.parametrize("pattern", ["rooms:1", "generation"])
async def test_keys_that_redis_has_evicted_make_no_history_complete(
    redis: RedisProcess, connect: Connect, pattern: str
) -> None:
    """Neither the position of a channel nor the counter of the sequence can be lost unnoticed."""
    async with connect() as server:
        known = await begin(server, "rooms:1")
        for number in range(6):
            await server.broker.publish("rooms:1", b"%d" % number, MANY)
        since = await newest(server)
        redis.evict(pattern)
        for number in range(8):
            await server.broker.publish("rooms:1", b"%d" % number, MANY)
        assert await missed(server, "rooms:1", known, since, MANY) is None
        assert await missed(server, "rooms:1", known, SequencePosition(0, ""), MANY) is None
