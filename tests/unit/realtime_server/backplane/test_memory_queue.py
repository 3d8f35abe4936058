"""Memory queue with a clock that the test sets; tests/contract covers what all queues do."""

from __future__ import annotations

from realtime_server.backplane.memory_queue import MemoryEventQueue


async def test_what_was_taken_can_be_reclaimed_after_its_time() -> None:
    """Reclaiming starts the idle time of an event again."""
    now = 100.0
    queue = MemoryEventQueue(10, clock=lambda: now)
    await queue.append(b"1")
    taken = await queue.take("one", 1, 0)
    now += 59.9
    assert await queue.reclaim("other", 60) == ()
    now += 0.1
    assert await queue.reclaim("other", 60) == taken
    assert await queue.reclaim("third", 60) == ()
