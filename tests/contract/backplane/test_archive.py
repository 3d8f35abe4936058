"""Contract of the archive: streams come back with their positions, in every Redis and from every other one."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from realtime_server.admin.history_archive import ExportEnd, HistoryArchive, ImportCounts
from realtime_server.core.model.errors import BackplaneError
from realtime_server.core.model.values import HistoryOptions, HistoryPage, HistoryQuery, StreamPosition
from realtime_server.core.ports.archive import PART_PUBLICATIONS, Imported, StoredPublication, StreamEnd, StreamPart
from tests.contract.backplane.conftest import LINKED_DRIVERS, Connect, Server, redis_server, settings_of
from tests.contract.backplane.test_redis_memory import ask, one_key, recovers
from tests.kit.deadline import eventually
from tests.kit.redis_process import RedisProcess

KEPT = HistoryOptions(size=1000, ttl_seconds=60)
EVERYTHING = HistoryQuery(limit=-1)
MANY = 2 * PART_PUBLICATIONS + 7


@contextlib.asynccontextmanager
async def opened(driver: str, request: pytest.FixtureRequest, folder: Path) -> AsyncIterator[Server]:
    """Start a server on a driver's Redis, with names of its own."""
    async with redis_server(settings_of(driver, request, folder), f"[{secrets.token_hex(4)}]*") as server:
        yield server


@pytest.fixture(params=LINKED_DRIVERS)
async def first(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Server]:
    """Start the server to export from."""
    async with opened(request.param, request, tmp_path) as server:
        yield server


@pytest.fixture
async def second(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Server]:
    """Start the server to import into."""
    async with opened("standalone", request, tmp_path) as server:
        yield server


def archive(server: Server) -> HistoryArchive:
    """Return the histories of a server, where every channel keeps some, except for those of `none:`."""
    return HistoryArchive(server.archive, lambda channel: None if channel.startswith("none:") else KEPT)


async def lines(server: Server) -> list[bytes]:
    """Return the lines of an export."""
    return [line async for line in archive(server).export()]


async def copied(source: Server, target: Server, *, replace: bool = False) -> ImportCounts:
    """Export from one server and import into another."""
    *parts, _ = await lines(source)
    return await archive(target).store(b"".join(parts), replace=replace)


async def publish(server: Server, channel: str, *texts: str, options: HistoryOptions = KEPT) -> StreamPosition:
    """Publish, and return the last position."""
    position = None
    for text in texts:
        position = await server.broker.publish(channel, text.encode(), options)
    assert position is not None
    return position


async def history(server: Server, channel: str, options: HistoryOptions = KEPT) -> HistoryPage:
    """Read everything that a channel keeps."""
    return await server.broker.history(channel, EVERYTHING, options)


async def test_streams_come_back_with_their_positions(first: Server, second: Server) -> None:
    """Every channel of every partition, of several parts too; publishing goes on where it was."""
    for number in range(70):
        await publish(first, f"chat:{number}", f"one {number}", f"two {number}")
    await publish(first, "long:ü*[?", *map(str, range(MANY)))
    counts = await copied(first, second)
    assert counts == ImportCounts(restored=71)
    for channel in (*(f"chat:{number}" for number in range(70)), "long:ü*[?"):
        assert await history(second, channel) == await history(first, channel)
    before = (await history(second, "long:ü*[?")).position
    assert await publish(second, "long:ü*[?", "next") == StreamPosition(MANY + 1, before.epoch)
    page = await second.broker.history("long:ü*[?", HistoryQuery(-1, before), KEPT)
    assert [one.encoded for one in page.publications] == [b"next"]


async def test_the_way_back_is_the_same(first: Server, second: Server) -> None:
    """Into every Redis, from Debian's, which has another version or another number of partitions; and once more."""
    for number in range(5):
        await publish(second, f"chat:{number}", "one", "two")
    assert await copied(second, first) == ImportCounts(restored=5)
    for number in range(5):
        assert await history(first, f"chat:{number}") == await history(second, f"chat:{number}")
    assert await copied(second, first) == ImportCounts(present=5)
    assert await copied(first, second) == ImportCounts(present=5)


async def test_a_position_without_publications_comes_back(first: Server, second: Server) -> None:
    """A client that has seen the last publication has missed none."""
    position = await publish(first, "chat:lobby", "one", "two")
    await first.broker.remove_history("chat:lobby")
    await history(first, "chat:quiet")
    assert (await copied(first, second)).restored == 2
    assert await history(second, "chat:lobby") == HistoryPage((), position)
    assert await history(second, "chat:quiet") == await history(first, "chat:quiet")


async def test_another_history_stays_unless_it_is_to_be_replaced(first: Server, second: Server) -> None:
    """A channel that was only subscribed to has none that could be lost."""
    await publish(first, "chat:lobby", "one")
    await publish(first, "chat:seen", "one")
    await publish(second, "chat:lobby", "theirs")
    theirs = await history(second, "chat:lobby")
    await history(second, "chat:seen")
    assert await copied(first, second) == ImportCounts(restored=1, occupied=["chat:lobby"])
    assert await history(second, "chat:lobby") == theirs
    assert await history(second, "chat:seen") == await history(first, "chat:seen")
    assert await copied(first, second, replace=True) == ImportCounts(restored=1, present=1)
    assert await history(second, "chat:lobby") == await history(first, "chat:lobby")


async def test_what_has_expired_does_not_come_back(first: Server, second: Server) -> None:
    """The time between export and import counts; so does the size that the other namespace keeps."""
    await publish(first, "chat:lobby", "one", "two", "three")
    *parts, _ = await lines(first)
    short, small = HistoryOptions(size=10, ttl_seconds=0.001), HistoryOptions(size=2, ttl_seconds=60)
    await HistoryArchive(second.archive, lambda _: small).store(b"".join(parts), replace=False)
    assert [one.offset for one in (await history(second, "chat:lobby")).publications] == [2, 3]
    await second.broker.publish("chat:lobby", b"four", KEPT)
    await asyncio.sleep(10 * short.ttl_seconds)  # all are older then, however fast this ran
    await HistoryArchive(second.archive, lambda _: short).store(
        b"".join(parts).replace(b'"epoch":"', b'"epoch":"0'), replace=True
    )
    page = await history(second, "chat:lobby")
    assert (page.publications, page.position.offset) == ((), 3)


async def test_versions_go_on_being_compared(first: Server, second: Server) -> None:
    """A publication of an older version is skipped after the import as before."""
    await first.broker.publish("chat:lobby", b"new", KEPT, version=7, version_epoch="é")
    assert (await copied(first, second)).restored == 1
    await second.broker.publish("chat:lobby", b"old", KEPT, version=6, version_epoch="é")
    assert [one.encoded for one in (await history(second, "chat:lobby")).publications] == [b"new"]


async def test_an_unfinished_stream_is_none(first: Server) -> None:
    """Parts are collected until the last one comes; a gap between them makes all of them worthless."""
    assert first.archive is not None
    some = StreamPart("chat:lobby", first=True, publications=(StoredPublication(5, 1, b"five"),))
    last = StreamPart("chat:lobby", first=False, publications=(), end=StreamEnd(7, "abc"))
    assert await first.archive.write(some, KEPT, replace=False) is None
    assert await first.archive.read("chat:lobby") is None
    assert await first.archive.write(last, KEPT, replace=False) is Imported.INCOMPLETE
    assert await first.archive.read("chat:lobby") is None


async def test_a_loss_invalidates_imported_positions_too(redis: RedisProcess, connect: Connect) -> None:
    """The epoch of an imported stream changes with the generation of its partition, as every other one does."""
    part = StreamPart("chat:lobby", first=True, publications=(), end=StreamEnd(3, "abc"))
    async with connect() as server:
        assert server.archive is not None
        assert await server.archive.write(part, KEPT, replace=False) is Imported.RESTORED
        imported = StreamPosition(3, "abc")
        assert await recovers(server, "chat:lobby", imported)
        await asyncio.to_thread(redis.ask, "DEL", await one_key(redis, "generation"))
        await eventually(
            lambda: recovers(server, "chat:lobby", imported), lambda is_so: not is_so, what="a loss", within=20
        )
        assert (await history(server, "chat:lobby")).position.epoch.startswith("abc")


async def test_an_import_is_forgotten_when_it_ends_early(
    redis: RedisProcess, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was collected does not stay in Redis."""
    some = StreamPart("chat:lobby", first=True, publications=(StoredPublication(1, 1, b"one"),))
    async with connect() as server:
        assert server.archive is not None
        await server.archive.write(some, KEPT, replace=False)
        assert await one_key(redis, "import")
        monkeypatch.setattr("realtime_server.backplane.redis_archive.IMPORT_MILLISECONDS", 50)
        await server.archive.write(some, KEPT, replace=False)
        await eventually(
            lambda: ask(redis, "KEYS", "*:import*"), lambda keys: keys == [], what="the part is forgotten", within=20
        )


async def test_an_export_says_how_much_it_has(first: Server) -> None:
    """Its last line has the count; a cursor of nobody is refused."""
    await publish(first, "chat:lobby", "one")
    assert (await lines(first))[-1] == b'{"channels":1,"unreadable":[],"error":""}\n'
    assert ExportEnd(1).error == ""
    assert first.archive is not None
    with pytest.raises(BackplaneError, match="no such cursor"):
        await first.archive.channels("9999:0")
