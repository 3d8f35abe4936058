"""Contract of every event queue."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from realtime_server.core.ports.backplane import QueuedEvent
from tests.contract.backplane.conftest import QUEUE_SIZE, Connect, Server


def texts(events: Sequence[QueuedEvent]) -> list[bytes]:
    """Return the events alone."""
    return [event.event for event in events]


def idents(events: Sequence[QueuedEvent]) -> list[str]:
    """Return the ids for `done`."""
    return [event.ident for event in events]


async def test_events_are_taken_in_order_and_once(server: Server) -> None:
    """Events may contain any bytes."""
    events = [b"1", b"", b"\x00\r\n", "ü✓".encode()]
    for event in events:
        assert await server.queue.append(event)
    first = await server.queue.take("one", 3, 1)
    second = await server.queue.take("other", 3, 1)
    assert texts(first) + texts(second) == events
    assert await server.queue.take("one", 3, 0) == ()


async def test_an_empty_queue_is_waited_for(server: Server) -> None:
    """An event that is appended meanwhile ends the wait."""
    clock = asyncio.get_running_loop().time
    began = clock()
    assert await server.queue.take("one", 1, 0.1) == ()
    assert clock() - began >= 0.1
    taking = asyncio.create_task(server.queue.take("one", 1, 10))
    await asyncio.sleep(0)
    await server.queue.append(b"1")
    async with asyncio.timeout(2):
        assert texts(await taking) == [b"1"]


async def test_what_is_done_is_gone(server: Server) -> None:
    """Only handled events are removed; a repeated `done` has no effect."""
    for number in range(3):
        await server.queue.append(b"%d" % number)
    taken = await server.queue.take("one", 2, 1)
    assert await server.queue.size() == 3
    await server.queue.done(idents(taken)[:1])
    await server.queue.done(idents(taken)[:1])
    await server.queue.done([])
    assert await server.queue.size() == 2
    assert texts(await server.queue.reclaim("other", 0.001)) in ([], [b"1"])
    assert texts(await server.queue.take("other", 5, 1)) == [b"2"]


async def test_what_a_dead_consumer_took_is_reclaimed(server: Server) -> None:
    """Reclaiming is possible after the idle time, in order, and starts the idle time again."""
    for number in range(3):
        await server.queue.append(b"%d" % number)
    taken = await server.queue.take("dies", 2, 1)
    assert await server.queue.reclaim("other", 60) == ()
    await asyncio.sleep(0.06)
    reclaimed = await server.queue.reclaim("other", 0.05)
    assert reclaimed == taken
    assert await server.queue.reclaim("third", 0.5) == ()
    await server.queue.done(idents(reclaimed))
    assert texts(await server.queue.take("other", 5, 1)) == [b"2"]
    await asyncio.sleep(0.06)
    assert texts(await server.queue.reclaim("third", 0.05)) == [b"2"]


async def test_reclaiming_takes_no_more_than_asked(server: Server) -> None:
    """Other events are left for the next call."""
    for number in range(4):
        await server.queue.append(b"%d" % number)
    await server.queue.take("dies", 4, 1)
    await asyncio.sleep(0.06)
    assert texts(await server.queue.reclaim("one", 0.05, 3)) == [b"0", b"1", b"2"]
    assert texts(await server.queue.reclaim("other", 0.05, 3)) == [b"3"]


async def test_nothing_can_be_reclaimed_at_first(server: Server) -> None:
    """An unused queue is empty."""
    assert await server.queue.reclaim("one", 0.001) == ()
    assert await server.queue.size() == 0


async def test_a_full_queue_drops_the_oldest_and_says_so(server: Server) -> None:
    """Events that were taken are dropped too."""
    added = [await server.queue.append(b"%d" % number) for number in range(QUEUE_SIZE)]
    assert all(added)
    await server.queue.take("one", 1, 1)
    assert not await server.queue.append(b"x")
    assert not await server.queue.append(b"y")
    assert await server.queue.size() == QUEUE_SIZE
    assert texts(await server.queue.take("one", 10, 1)) == [b"2", b"3", b"4", b"x", b"y"]
    await asyncio.sleep(0.01)
    assert texts(await server.queue.reclaim("other", 0.001))[:1] == [b"2"]


async def test_what_is_done_makes_room(server: Server) -> None:
    """Handled events do not count towards the size."""
    for number in range(3 * QUEUE_SIZE):
        assert await server.queue.append(b"%d" % number)
        await server.queue.done(idents(await server.queue.take("one", 1, 1)))
    assert await server.queue.size() == 0


async def test_servers_share_the_events(together: Connect) -> None:
    """Each event is taken by one server."""
    async with together() as one, together() as other:
        for number in range(QUEUE_SIZE):
            await one.queue.append(b"%d" % number)
        takers = [(one, "one"), (other, "other")] * QUEUE_SIZE
        taken = await asyncio.gather(*(server.queue.take(name, 1, 0) for server, name in takers))
        assert sorted(text for events in taken for text in texts(events)) == [b"%d" % n for n in range(QUEUE_SIZE)]
