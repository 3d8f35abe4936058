"""Event queue in a Redis stream with a consumer group."""

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
"""Lifetime of a queue since its last append; a later call creates it again."""
CONSUMER_SECONDS = 3600.0
"""Time after which a silent consumer with nothing pending is removed; each start of a worker creates one."""
POLL_SECONDS = 0.25
"""Interval of reading an empty queue; an append of this worker causes a read at once.

Redis could block instead (BLOCK), but not on a link that other commands share.
"""


class RedisEventQueue:
    """Event queue over Redis: implements EventQueue while the broker is started.

    All servers must use the same `size` for a `name`. The stream is as durable as Redis itself: a failover may lose
    events.
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
        """Take events that no consumer has taken; see EventQueue."""
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
        """Acknowledge handled events; see EventQueue."""
        if idents:
            await self._router.run(self._partition, scripts.DONE, (self._key,), GROUP, *idents)

    async def reclaim(self, consumer: str, idle_seconds: float, count: int = 100) -> Sequence[QueuedEvent]:
        """Take events again that were taken long ago, and remove dead consumers; see EventQueue."""
        found = await self._with_group(lambda: self._claim(consumer, idle_seconds, count))
        await self._router.run(
            self._partition, scripts.RETIRE_CONSUMERS, (self._key,), GROUP, milliseconds(self._consumer_seconds)
        )
        return found

    async def size(self) -> int:
        """Return the number of events that are not done."""
        return as_int(await self._router.call(self._partition, b"XLEN", self._key))

    @property
    def _partition(self) -> Partition:
        return self._router.channel_partition(self._name)

    @property
    def _key(self) -> bytes:
        return self._router.keys.of(self._name, "queue")

    async def _with_group(self, attempt: Callable[[], Awaitable[Sequence[QueuedEvent]]]) -> Sequence[QueuedEvent]:
        """Run `attempt`; first create the consumer group where it is missing.

        It is missing at the start, and after Redis has lost its data.
        """
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
    """Convert stream entries: pairs of an id and a list of one field and its value; trimmed entries have no list."""
    pairs = [as_list(entry) for entry in as_list(entries) if entry is not None]
    return tuple(
        QueuedEvent(as_bytes(ident).decode(), as_bytes(as_list(fields)[1])) for ident, fields in pairs if fields
    )
