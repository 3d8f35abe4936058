"""Contract of every broker."""

from __future__ import annotations

import asyncio
import secrets

import pytest

from realtime_server.core.model.values import HistoryOptions, HistoryQuery, Publication, StreamPosition
from tests.contract.backplane.conftest import NODE, POSITION_SECONDS, Server
from tests.kit.deadline import eventually

KEPT = HistoryOptions(size=5, ttl_seconds=60)
ALL = HistoryQuery(limit=-1)
POSITION = HistoryQuery(limit=0)


async def fill(server: Server, channel: str, count: int, options: HistoryOptions = KEPT) -> StreamPosition:
    """Publish `1`, `2` and so on; return the last position."""
    position = None
    for number in range(1, count + 1):
        position = await server.broker.publish(channel, b"%d" % number, options)
    assert position is not None
    return position


async def offsets(server: Server, channel: str, query: HistoryQuery, options: HistoryOptions = KEPT) -> list[int]:
    """Return the offsets of a history."""
    page = await server.broker.history(channel, query, options)
    for publication in page.publications:
        assert publication.encoded == b"%d" % publication.offset
    return [publication.offset for publication in page.publications]


# delivery


async def test_a_subscribed_channel_delivers(server: Server) -> None:
    """A publication without history has no position."""
    await server.broker.subscribe("news")
    assert await server.broker.publish("news", b'{"data":1}', None) is None
    (arrival,) = await server.seen.until_arrived(1)
    assert (arrival.channel, arrival.publication, arrival.epoch) == ("news", Publication(b'{"data":1}', 0), "")


async def test_a_publication_arrives_with_its_position(server: Server) -> None:
    """The returned position is the delivered one."""
    await server.broker.subscribe("news")
    position = await server.broker.publish("news", b"1", KEPT)
    (arrival,) = await server.seen.until_arrived(1)
    assert arrival.position == position
    assert position is not None
    assert position.offset == 1
    assert position.epoch


async def test_nothing_arrives_unasked(server: Server) -> None:
    """Other channels, and channels after an unsubscribe, deliver nothing."""
    for channel in ("a", "b", "c"):
        await server.broker.subscribe(channel)
    await server.broker.unsubscribe("b")
    for channel in ("b", "other", "c"):
        await server.broker.publish(channel, b"1", None)
    await server.seen.until_arrived(1)
    assert [arrival.channel for arrival in server.seen.arrivals] == ["c"]


async def test_a_channel_can_be_subscribed_to_again(server: Server) -> None:
    """A repeated subscribe or unsubscribe has no further effect."""
    await server.broker.unsubscribe("news")
    await server.broker.subscribe("news")
    await server.broker.unsubscribe("news")
    await server.broker.subscribe("news")
    await server.broker.subscribe("news")
    await server.broker.publish("news", b"1", None)
    await server.broker.publish("news", b"2", None)
    await server.seen.until_arrived(2)
    assert server.seen.encoded("news") == [b"1", b"2"]


async def test_publications_arrive_in_the_order_of_their_offsets(server: Server) -> None:
    """The order holds for concurrent publications."""
    await server.broker.subscribe("busy")
    options = HistoryOptions(size=1000, ttl_seconds=60)
    positions = await asyncio.gather(*(server.broker.publish("busy", b"%d" % n, options) for n in range(1000)))
    arrivals = await server.seen.until_arrived(1000)
    assert [arrival.publication.offset for arrival in arrivals] == list(range(1, 1001))
    by_offset = {arrival.publication.offset: arrival.publication.encoded for arrival in arrivals}
    for number, position in enumerate(positions):
        assert position is not None
        assert by_offset[position.offset] == b"%d" % number


@pytest.mark.parametrize(
    "encoded", [b"", b"\n", b"1:x\n2", b"\x00\xff\r\n$-1\r\n", "ü✓".encode(), secrets.token_bytes(300_000)]
)
async def test_every_content_survives(server: Server, encoded: bytes) -> None:
    """Publications may contain any bytes."""
    await server.broker.subscribe("raw")
    await server.broker.publish("raw", encoded, None)
    await server.broker.publish("raw", encoded, KEPT)
    await server.seen.until_arrived(2)
    page = await server.broker.history("raw", ALL, KEPT)
    assert server.seen.encoded("raw") == [encoded, encoded]
    assert [publication.encoded for publication in page.publications] == [encoded]


@pytest.mark.parametrize("channel", ["a b", "a*", "ns:x:y", "ü✓", "{a}", "a\nb", "x" * 255])
async def test_every_channel_name_is_a_channel(server: Server, channel: str) -> None:
    """Names are not patterns, and different names are different channels."""
    await server.broker.subscribe(channel)
    await server.broker.publish("a", b"other", KEPT)
    await server.broker.publish("ab", b"other", KEPT)
    await server.broker.publish(channel, b"1", KEPT)
    await server.seen.until_arrived(1)
    assert [(arrival.channel, arrival.position.offset) for arrival in server.seen.arrivals] == [(channel, 1)]
    assert await offsets(server, channel, ALL) == [1]


async def test_control_messages_come_back_in_order(server: Server) -> None:
    """The sender receives them too."""
    for number in range(10):
        await server.broker.publish_control(b"%d" % number)
    await server.seen.until(lambda seen: len(seen.controls) >= 10)
    assert server.seen.controls == [b"%d" % number for number in range(10)]


async def test_a_control_message_for_one_worker_is_for_it_alone(server: Server) -> None:
    """A message to an unknown worker is lost."""
    for node, message in (("nobody", b"lost"), (NODE, b"mine"), ("", b"all")):
        await server.broker.publish_control(message, node)
    await server.seen.until(lambda seen: len(seen.controls) >= 2)
    assert server.seen.controls == [b"mine", b"all"]


# history


async def test_the_history_keeps_the_newest(server: Server) -> None:
    """At most `size` publications are kept; the position counts all."""
    position = await fill(server, "news", 8)
    page = await server.broker.history("news", ALL, KEPT)
    assert [publication.offset for publication in page.publications] == [4, 5, 6, 7, 8]
    assert page.position == position == StreamPosition(8, position.epoch)


async def test_a_channel_without_publications_has_a_position(server: Server) -> None:
    """A repeated read returns the same position, from which the first publication counts."""
    first = await server.broker.history("quiet", POSITION, KEPT)
    again = await server.broker.history("quiet", ALL, KEPT)
    published = await server.broker.publish("quiet", b"1", KEPT)
    assert first == again
    assert first.publications == ()
    assert first.position.offset == 0
    assert published == StreamPosition(1, first.position.epoch)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (HistoryQuery(0), []),
        (HistoryQuery(-1), [4, 5, 6, 7, 8]),
        (HistoryQuery(2), [4, 5]),
        (HistoryQuery(100), [4, 5, 6, 7, 8]),
        (HistoryQuery(10**30), [4, 5, 6, 7, 8]),
        (HistoryQuery(-1, StreamPosition(6, "")), [7, 8]),
        (HistoryQuery(1, StreamPosition(6, "")), [7]),
        (HistoryQuery(-1, StreamPosition(0, "")), [4, 5, 6, 7, 8]),
        (HistoryQuery(-1, StreamPosition(8, "")), []),
        (HistoryQuery(-1, StreamPosition(100, "")), []),
        (HistoryQuery(-1, StreamPosition(2**64, "")), []),
        (HistoryQuery(-1, StreamPosition(-5, "")), [4, 5, 6, 7, 8]),
        (HistoryQuery(-1, reverse=True), [8, 7, 6, 5, 4]),
        (HistoryQuery(2, reverse=True), [8, 7]),
        (HistoryQuery(-1, StreamPosition(6, ""), reverse=True), [5, 4]),
        (HistoryQuery(1, StreamPosition(6, ""), reverse=True), [5]),
        (HistoryQuery(-1, StreamPosition(0, ""), reverse=True), []),
        (HistoryQuery(-1, StreamPosition(2**64, ""), reverse=True), [8, 7, 6, 5, 4]),
    ],
)
async def test_a_query_gets_its_part_of_the_stream(server: Server, query: HistoryQuery, expected: list[int]) -> None:
    """The last five of eight publications are kept."""
    position = await fill(server, "news", 8)
    assert await offsets(server, "news", query) == expected
    assert (await server.broker.history("news", query, KEPT)).position == position


async def test_publications_without_history_do_not_count(server: Server) -> None:
    """They are delivered without an offset, and the stream does not change."""
    await fill(server, "news", 2)
    await server.broker.publish("news", b"passing", None)
    assert await offsets(server, "news", ALL) == [1, 2]


async def test_removing_the_history_keeps_the_position(server: Server) -> None:
    """No client then takes the next publication for an older one."""
    before = await fill(server, "news", 3)
    await server.broker.remove_history("news")
    await server.broker.remove_history("never used")
    page = await server.broker.history("news", ALL, KEPT)
    assert (page.publications, page.position) == ((), before)
    assert await server.broker.publish("news", b"4", KEPT) == StreamPosition(4, before.epoch)
    assert await offsets(server, "news", ALL) == [4]


async def test_each_publication_expires_for_itself(server: Server) -> None:
    """A newer publication does not extend the life of an older one, and the position stays."""
    short = HistoryOptions(size=5, ttl_seconds=0.4)
    await fill(server, "news", 2, short)
    await asyncio.sleep(0.25)
    last = await server.broker.publish("news", b"3", short)
    assert await offsets(server, "news", ALL, short) == [1, 2, 3]
    await asyncio.sleep(0.25)
    assert await offsets(server, "news", ALL, short) == [3]
    await asyncio.sleep(0.25)
    page = await server.broker.history("news", ALL, short)
    assert (page.publications, page.position) == ((), last)


async def test_a_smaller_history_keeps_less(server: Server) -> None:
    """The options of the latest publication apply."""
    await fill(server, "news", 5)
    await server.broker.publish("news", b"6", HistoryOptions(size=2, ttl_seconds=60))
    assert await offsets(server, "news", ALL) == [5, 6]


async def test_a_position_that_nobody_uses_is_forgotten(server: Server) -> None:
    """The stream then starts again with another epoch."""
    short = HistoryOptions(size=5, ttl_seconds=0.05)
    old = await fill(server, "news", 3, short)
    await asyncio.sleep(POSITION_SECONDS + 0.2)
    new = await server.broker.publish("news", b"1", short)
    assert new is not None
    assert new.offset == 1
    assert new.epoch != old.epoch
    assert await offsets(server, "news", ALL) == [1]


async def test_using_a_position_keeps_it(server: Server) -> None:
    """A subscriber that only reads the position is not told of a loss."""
    short = HistoryOptions(size=5, ttl_seconds=0.05)
    position = await fill(server, "news", 3, short)
    for _ in range(4):
        await asyncio.sleep(POSITION_SECONDS / 2)
        assert (await server.broker.history("news", POSITION, short)).position == position


async def test_channels_have_epochs_of_their_own(server: Server) -> None:
    """A loss in one channel does not look like one in another."""
    one, other = await fill(server, "one", 1), await fill(server, "other", 1)
    assert one.epoch != other.epoch


# life


async def test_a_broker_is_healthy_while_it_runs(server: Server) -> None:
    """The broker is healthy after its first message to itself, and not after a stop, which may be repeated."""

    async def healthy() -> bool:
        return server.broker.healthy

    await eventually(healthy, bool, what="health", within=5, every=0.02)
    await server.broker.stop()
    await server.broker.stop()
    assert not server.broker.healthy


async def test_a_stopped_broker_can_start_again(server: Server) -> None:
    """Streams survive that."""
    position = await fill(server, "news", 3)
    await server.broker.stop()
    await server.broker.start(server.seen)
    assert (await server.broker.history("news", POSITION, KEPT)).position == position
