"""Queue of dirty clusters with one task each.

Marks during a reconcile are joined into one further reconcile. A failed one is retried after a growing pause. Every
cluster is reconciled again after the resync interval.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import structlog

from realtime_operator.platforms.base import Key

logger = structlog.get_logger()

CONCURRENT_RECONCILES = 8
MINIMUM_PAUSE_SECONDS = 0.1
"""Minimum seconds between two reconciles of one cluster, so that the effects of its own writes are joined."""
RETRY_SECONDS = (0.5, 60.0)
"""First and longest pause in seconds after a failure."""


@dataclass(frozen=True, slots=True)
class ReconcileResult:
    """The outcome of one reconcile; `requeue_after` is the seconds until the next one, None for the resync."""

    requeue_after: float | None = None
    gone: bool = False
    failed: bool = False


@dataclass(slots=True)
class _Worker:
    dirty: asyncio.Event = field(default_factory=asyncio.Event)
    edited: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None
    failures: int = 0


class WorkQueue:
    """Owner of one task per cluster. `work` reconciles one cluster and never raises."""

    def __init__(self, work: Callable[[Key], Awaitable[ReconcileResult]], resync_seconds: float) -> None:
        self._work = work
        self._resync = resync_seconds
        self._workers: dict[Key, _Worker] = {}
        self._slots = asyncio.Semaphore(CONCURRENT_RECONCILES)
        self._closed = False

    def mark(self, key: Key, *, edited: bool = False) -> None:
        """Mark a cluster as dirty; without effect once the queue is closed.

        `edited`: a person has changed it, so a pending retry starts now.
        """
        if self._closed:
            return
        worker = self._workers.get(key)
        if worker is None:
            worker = self._workers[key] = _Worker()
            loop = asyncio.get_running_loop()
            worker.task = loop.create_task(self._run(key, worker), name=f"cluster-{key.namespace}/{key.name}")
        worker.dirty.set()
        if edited:
            worker.edited.set()

    def mark_all(self) -> None:
        """Mark all clusters as dirty."""
        for key in list(self._workers):
            self.mark(key, edited=True)

    async def close(self) -> None:
        """Cancel all tasks; an interrupted reconcile is safe, as the next one starts from the observed state."""
        self._closed = True
        tasks = [worker.task for worker in self._workers.values() if worker.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._workers.clear()

    async def _run(self, key: Key, worker: _Worker) -> None:
        while True:
            worker.dirty.clear()
            worker.edited.clear()
            async with self._slots:
                result = await self._work(key)
            if result.gone and not worker.dirty.is_set():
                del self._workers[key]
                return
            worker.failures = worker.failures + 1 if result.failed else 0
            await asyncio.sleep(MINIMUM_PAUSE_SECONDS)
            # Only an edit shortens the pause of a failing cluster, not changes of its servers.
            news = worker.edited if result.failed else worker.dirty
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._pause(result, worker.failures)):
                    await news.wait()

    def _pause(self, result: ReconcileResult, failures: int) -> float:
        jitter = 0.8 + 0.4 * random.random()  # noqa: S311 - spreads the load
        if failures:
            first, longest = RETRY_SECONDS
            return min(longest, first * float(2 ** min(failures - 1, 16))) * jitter
        if result.requeue_after is not None:
            return result.requeue_after
        return self._resync * jitter
