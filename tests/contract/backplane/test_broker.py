"""What every broker does."""

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
    """Publish `1`, `2` and so on; returns the last position."""
    position = None
    for number in range(1, count + 1):
        position = await server.broker.publish(channel, b"%d" % number, options)
    assert position is not None
    return position


async def offsets(server: Server, channel: str, query: HistoryQuery, options: HistoryOptions = KEPT) -> list[int]:
    """Offsets of what the history returns."""
    page = await server.broker.history(channel, query, options)
    for publication in page.publications:
        assert publication.encoded == b"%d" % publication.offset
    return [publication.offset for publication in page.publications]


# delivery


async def test_a_subscribed_channel_delivers(server: Server) -> None:
    """Without history a publication has no position."""
    await server.broker.subscribe("news")
    assert await server.broker.publish("news", b'{"data":1}', None) is None
    (arrival,) = await server.seen.until_arrived(1)
    assert (arrival.channel, arrival.publication, arrival.epoch) == ("news", Publication(b'{"data":1}', 0), "")


async def test_a_publication_arrives_with_its_position(server: Server) -> None:
    """The position that was returned is the one that is delivered."""
    await server.broker.subscribe("news")
    position = await server.broker.publish("news", b"1", KEPT)
    (arrival,) = await server.seen.until_arrived(1)
    assert arrival.position == position
    assert position is not None
    assert position.offset == 1
    assert position.epoch


async def test_nothing_arrives_unasked(server: Server) -> None:
    """Neither other channels nor one that was unsubscribed from."""
    for channel in ("a", "b", "c"):
        await server.broker.subscribe(channel)
    await server.broker.unsubscribe("b")
    for channel in ("b", "other", "c"):
        await server.broker.publish(channel, b"1", None)
    await server.seen.until_arrived(1)
    assert [arrival.channel for arrival in server.seen.arrivals] == ["c"]


async def test_a_channel_can_be_subscribed_to_again(server: Server) -> None:
    """Twice subscribed is subscribed once; unsubscribing from nothing is nothing."""
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
    """However many are published at the same time."""
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
    """A broker does not look into publications."""
    await server.broker.subscribe("raw")
    await server.broker.publish("raw", encoded, None)
    await server.broker.publish("raw", encoded, KEPT)
    await server.seen.until_arrived(2)
    page = await server.broker.history("raw", ALL, KEPT)
    assert server.seen.encoded("raw") == [encoded, encoded]
    assert [publication.encoded for publication in page.publications] == [encoded]


@pytest.mark.parametrize("channel", ["a b", "a*", "ns:x:y", "ü✓", "{a}", "a\nb", "x" * 255])
async def test_every_channel_name_is_a_channel(server: Server, channel: str) -> None:
    """None is a pattern, and none meets another."""
    await server.broker.subscribe(channel)
    await server.broker.publish("a", b"other", KEPT)
    await server.broker.publish("ab", b"other", KEPT)
    await server.broker.publish(channel, b"1", KEPT)
    await server.seen.until_arrived(1)
    assert [(arrival.channel, arrival.position.offset) for arrival in server.seen.arrivals] == [(channel, 1)]
    assert await offsets(server, channel, ALL) == [1]


async def test_control_messages_come_back_in_order(server: Server) -> None:
    """The sender gets them too."""
    for number in range(10):
        await server.broker.publish_control(b"%d" % number)
    await server.seen.until(lambda seen: len(seen.controls) >= 10)
    assert server.seen.controls == [b"%d" % number for number in range(10)]


async def test_a_control_message_for_one_worker_is_for_it_alone(server: Server) -> None:
    """One that nobody is called by is lost."""
    for node, message in (("nobody", b"lost"), (NODE, b"mine"), ("", b"all")):
        await server.broker.publish_control(message, node)
    await server.seen.until(lambda seen: len(seen.controls) >= 2)
    assert server.seen.controls == [b"mine", b"all"]


# history


async def test_the_history_keeps_the_newest(server: Server) -> None:
    """At most `size`; the position counts all."""
    position = await fill(server, "news", 8)
    page = await server.broker.history("news", ALL, KEPT)
    assert [publication.offset for publication in page.publications] == [4, 5, 6, 7, 8]
    assert page.position == position == StreamPosition(8, position.epoch)


async def test_a_channel_without_publications_has_a_position(server: Server) -> None:
    """It is the same when asked again, and the first publication counts from there."""
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
    """Of eight publications the last five are kept."""
    position = await fill(server, "news", 8)
    assert await offsets(server, "news", query) == expected
    assert (await server.broker.history("news", query, KEPT)).position == position


async def test_publications_without_history_do_not_count(server: Server) -> None:
    """They are delivered, and the stream does not know of them."""
    await fill(server, "news", 2)
    await server.broker.publish("news", b"passing", None)
    assert await offsets(server, "news", ALL) == [1, 2]


async def test_removing_the_history_keeps_the_position(server: Server) -> None:
    """So that nobody takes the next publication for an old one."""
    before = await fill(server, "news", 3)
    await server.broker.remove_history("news")
    await server.broker.remove_history("never used")
    page = await server.broker.history("news", ALL, KEPT)
    assert (page.publications, page.position) == ((), before)
    assert await server.broker.publish("news", b"4", KEPT) == StreamPosition(4, before.epoch)
    assert await offsets(server, "news", ALL) == [4]


async def test_each_publication_expires_for_itself(server: Server) -> None:
    """A new one does not keep an old one alive, and the position stays."""
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
    """The options of the latest publication hold."""
    await fill(server, "news", 5)
    await server.broker.publish("news", b"6", HistoryOptions(size=2, ttl_seconds=60))
    assert await offsets(server, "news", ALL) == [5, 6]


async def test_a_position_that_nobody_uses_is_forgotten(server: Server) -> None:
    """The stream then begins anew under another epoch."""
    short = HistoryOptions(size=5, ttl_seconds=0.05)
    old = await fill(server, "news", 3, short)
    await asyncio.sleep(POSITION_SECONDS + 0.2)
    new = await server.broker.publish("news", b"1", short)
    assert new is not None
    assert new.offset == 1
    assert new.epoch != old.epoch
    assert await offsets(server, "news", ALL) == [1]


async def test_using_a_position_keeps_it(server: Server) -> None:
    """A subscriber that only asks is not told that it lost something."""
    short = HistoryOptions(size=5, ttl_seconds=0.05)
    position = await fill(server, "news", 3, short)
    for _ in range(4):
        await asyncio.sleep(POSITION_SECONDS / 2)
        assert (await server.broker.history("news", POSITION, short)).position == position


async def test_channels_have_epochs_of_their_own(server: Server) -> None:
    """So that the loss of one does not look like another's."""
    one, other = await fill(server, "one", 1), await fill(server, "other", 1)
    assert one.epoch != other.epoch


# life


async def test_a_broker_is_healthy_while_it_runs(server: Server) -> None:
    """As soon as its first message to itself has come back; and not after it was stopped, which can be done twice."""

    async def healthy() -> bool:
        return server.broker.healthy

    await eventually(healthy, bool, what="health", within=5, every=0.02)
    await server.broker.stop()
    await server.broker.stop()
    assert not server.broker.healthy


async def test_a_stopped_broker_can_start_again(server: Server) -> None:
    """Streams are not lost by that."""
    position = await fill(server, "news", 3)
    await server.broker.stop()
    await server.broker.start(server.seen)
    assert (await server.broker.history("news", POSITION, KEPT)).position == position
