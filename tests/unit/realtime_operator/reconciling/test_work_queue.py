"""Tests of the queue: one task per cluster, joined marks, retries, and clusters that are gone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from realtime_operator.platforms.base import Key
from realtime_operator.reconciling.work_queue import ReconcileResult, WorkQueue

KEY = Key("ns", "main")


class Reconciler:
    """A reconciler that records its calls and returns the results of `answer`."""

    def __init__(self, answer: Callable[[int], ReconcileResult]) -> None:
        self.seen: list[Key] = []
        self.changed = asyncio.Event()
        self._answer = answer

    async def reconcile(self, key: Key) -> ReconcileResult:
        """Reconcile once."""
        self.seen.append(key)
        self.changed.set()
        return self._answer(len(self.seen))

    async def reach(self, count: int) -> None:
        """Wait until `count` reconciles are done."""
        async with asyncio.timeout(2):
            while len(self.seen) < count:
                self.changed.clear()
                await self.changed.wait()


async def test_marks_during_a_turn_are_joined() -> None:
    reconciler = Reconciler(lambda _: ReconcileResult())
    queue = WorkQueue(reconciler.reconcile, resync_seconds=100)
    for _ in range(3):
        queue.mark(KEY)
    await reconciler.reach(1)
    assert reconciler.seen == [KEY]
    await queue.close()


async def test_a_turn_asks_for_the_next() -> None:
    reconciler = Reconciler(lambda _: ReconcileResult(requeue_after=0.001))
    queue = WorkQueue(reconciler.reconcile, resync_seconds=100)
    queue.mark(KEY)
    await reconciler.reach(3)
    await queue.close()


async def test_a_failure_is_tried_again() -> None:
    """Further marks do not shorten the pause."""
    reconciler = Reconciler(lambda count: ReconcileResult(failed=count < 2))
    queue = WorkQueue(reconciler.reconcile, resync_seconds=100)
    queue.mark(KEY)
    await reconciler.reach(2)
    await queue.close()


async def test_a_cluster_that_is_gone_is_forgotten() -> None:
    """A new mark starts a new task."""
    reconciler = Reconciler(lambda _: ReconcileResult(gone=True))
    queue = WorkQueue(reconciler.reconcile, resync_seconds=0.001)
    queue.mark(KEY)
    await reconciler.reach(1)
    await asyncio.sleep(0)
    queue.mark(KEY)
    await reconciler.reach(2)
    await queue.close()
