"""Event queue in memory; its events are lost with the process."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from realtime_server.core.ports.backplane import QueuedEvent


@dataclass(slots=True)
class _Entry:
    event: bytes
    taken_at: float | None = None


class MemoryEventQueue:
    """Queue in memory of at most `size` events: implements EventQueue. `clock` is monotonic seconds."""

    def __init__(self, size: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._size = size
        self._clock = clock
        self._idents = itertools.count(1)
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._appended = asyncio.Event()

    async def append(self, event: bytes) -> bool:
        """Add an event; see EventQueue."""
        self._entries[str(next(self._idents))] = _Entry(event)
        self._appended.set()
        if len(self._entries) <= self._size:
            return True
        self._entries.popitem(last=False)
        return False

    async def take(self, consumer: str, count: int, wait_seconds: float) -> Sequence[QueuedEvent]:  # noqa: ARG002
        """Take events that no consumer has taken; see EventQueue."""
        deadline = self._clock() + wait_seconds
        while True:
            self._appended.clear()
            taken = self._take(count, lambda entry: entry.taken_at is None)
            left = deadline - self._clock()
            if taken or left <= 0:
                return taken
            try:
                async with asyncio.timeout(left):
                    await self._appended.wait()
            except TimeoutError:
                return ()

    async def done(self, idents: Sequence[str]) -> None:
        """Remove handled events; see EventQueue."""
        for ident in idents:
            self._entries.pop(ident, None)

    async def reclaim(self, consumer: str, idle_seconds: float, count: int = 100) -> Sequence[QueuedEvent]:  # noqa: ARG002
        """Take events again that were taken long ago; see EventQueue."""
        before = self._clock() - idle_seconds
        return self._take(count, lambda entry: entry.taken_at is not None and entry.taken_at <= before)

    async def size(self) -> int:
        """Return the number of events that are not done."""
        return len(self._entries)

    def _take(self, count: int, wanted: Callable[[_Entry], bool]) -> tuple[QueuedEvent, ...]:
        found = [(ident, entry) for ident, entry in self._entries.items() if wanted(entry)][:count]
        for _, entry in found:
            entry.taken_at = self._clock()
        return tuple(QueuedEvent(ident, entry.event) for ident, entry in found)
