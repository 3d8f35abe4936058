"""A queue of events in a Redis stream with a consumer group."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence

from redis.exceptions import ResponseError

from realtime_server.backplane import redis_scripts as scripts
from realtime_server.backplane.redis_partition import Partition
from realtime_server.backplane.redis_reply import Reply, as_bytes, as_int, as_list, milliseconds
from realtime_server.backplane.redis_router import Router
from realtime_server.core.model.errors import BackplaneError
from realtime_server.core.ports.backplane import QueuedEvent

GROUP = b"workers"
QUEUE_SECONDS = 2_592_000.0
"""A queue to which nothing is added for so long is forgotten, and made again when it is asked for."""
CONSUMER_SECONDS = 3600.0
"""A consumer that was silent for so long and has nothing left to do is forgotten: each start of a worker makes one."""
POLL_SECONDS = 0.25
"""An empty queue is asked again after this time, and at once when this worker appends.

Redis could wait itself (BLOCK), but not on a link that other commands share.
"""


class RedisEventQueue:
    """Implements core.event_queue.EventQueue; it works while the broker is started.

    All servers must give a queue the same `name` and `size`. The stream is as durable as Redis itself: what it loses
    in a failover is lost.
    """

    def __init__(self, router: Router, name: str, size: int, *, consumer_seconds: float = CONSUMER_SECONDS) -> None:
        self._router = router
        self._name = name
        self._size = size
        self._consumer_seconds = consumer_seconds
        self._appended = asyncio.Event()

    async def append(self, event: bytes) -> bool:
        """Add an event; see EventQueue."""
        reply = await self._router.run(
            self._partition, scripts.APPEND, (self._key,), self._size, event, milliseconds(QUEUE_SECONDS)
        )
        self._appended.set()
        return not as_int(reply)

    async def take(self, consumer: str, count: int, wait_seconds: float) -> Sequence[QueuedEvent]:
        """Events that nobody has taken; see EventQueue."""
        clock = asyncio.get_running_loop().time
        deadline = clock() + wait_seconds
        while True:
            self._appended.clear()
            taken = await self._with_group(lambda: self._read(consumer, count))
            left = deadline - clock()
            if taken or left <= 0:
                return taken
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(left, POLL_SECONDS)):
                    await self._appended.wait()

    async def done(self, idents: Sequence[str]) -> None:
        """These events were handled; see EventQueue."""
        if idents:
            await self._router.run(self._partition, scripts.DONE, (self._key,), GROUP, *idents)

    async def reclaim(self, consumer: str, idle_seconds: float, count: int = 100) -> Sequence[QueuedEvent]:
        """Events that were taken long ago; see EventQueue."""
        found = await self._with_group(lambda: self._claim(consumer, idle_seconds, count))
        await self._router.run(
            self._partition, scripts.RETIRE_CONSUMERS, (self._key,), GROUP, milliseconds(self._consumer_seconds)
        )
        return found

    async def size(self) -> int:
        """How many events are not done."""
        return as_int(await self._router.call(self._partition, b"XLEN", self._key))

    @property
    def _partition(self) -> Partition:
        return self._router.channel_partition(self._name)

    @property
    def _key(self) -> bytes:
        return self._router.keys.of(self._name, "queue")

    async def _with_group(self, attempt: Callable[[], Awaitable[Sequence[QueuedEvent]]]) -> Sequence[QueuedEvent]:
        """Make the group of consumers if it is not there: at first, and after Redis has lost its data."""
        try:
            return await attempt()
        except BackplaneError as error:
            cause = error.__cause__
            if not (isinstance(cause, ResponseError) and str(cause).startswith("NOGROUP")):
                raise
        try:
            await self._router.call(self._partition, b"XGROUP", b"CREATE", self._key, GROUP, b"0", b"MKSTREAM")
        except BackplaneError as error:
            if "BUSYGROUP" not in str(error):  # another worker was first
                raise
        await self._router.call(self._partition, b"PEXPIRE", self._key, milliseconds(QUEUE_SECONDS))
        return await attempt()

    async def _read(self, consumer: str, count: int) -> Sequence[QueuedEvent]:
        reply = await self._router.call(
            self._partition, b"XREADGROUP", b"GROUP", GROUP, consumer, b"COUNT", count, b"STREAMS", self._key, b">"
        )
        if reply is None:
            return ()
        (stream,) = as_list(reply)
        _, entries = as_list(stream)
        return _events(entries)

    async def _claim(self, consumer: str, idle_seconds: float, count: int) -> Sequence[QueuedEvent]:
        cursor = b"0-0"
        while True:
            reply = as_list(
                await self._router.call(
                    self._partition, b"XAUTOCLAIM", self._key, GROUP, consumer, milliseconds(idle_seconds), cursor,
                    b"COUNT", count,
                )
            )  # fmt: skip
            cursor, found = as_bytes(reply[0]), _events(reply[1])
            if found or cursor == b"0-0":
                return found


def _events(entries: Reply) -> tuple[QueuedEvent, ...]:
    """Entries are pairs of an ID and a list of one field and its value; those that were trimmed have no list."""
    pairs = [as_list(entry) for entry in as_list(entries) if entry is not None]
    return tuple(
        QueuedEvent(as_bytes(ident).decode(), as_bytes(as_list(fields)[1])) for ident, fields in pairs if fields
    )
