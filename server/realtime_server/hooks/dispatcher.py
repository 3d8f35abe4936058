"""At-least-once delivery of events to the backend: from a buffer to a durable queue, and from there over HTTP.

There is no order across the cluster; events carry the time when they happened.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
import uuid
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Sequence

import msgspec
import structlog

from realtime_server.core.model.errors import BackplaneError
from realtime_server.core.ports.backend import ChannelOccupied, Disconnected, HookEvent
from realtime_server.core.ports.backplane import EventQueue, QueuedEvent
from realtime_server.core.tasks import has_failed
from realtime_server.hooks.endpoint import BackendError, Endpoint

logger = structlog.get_logger()

BUFFERED = 10_000
"""Capacity of the buffer in front of the queue; beyond it the oldest events are dropped and counted."""
BATCH = 100
"""Maximum number of events per request."""
WAIT_SECONDS = 1.0
"""Timeout of one read from the queue."""
RETRY_SECONDS = (0.5, 30.0)
"""First and longest pause after a failed request."""
LEAST_IDLE_SECONDS = 15.0
IDLE_TIMEOUTS = 4
"""An event may be reclaimed by another worker after this many request timeouts, at least LEAST_IDLE_SECONDS."""


class QueuedDelivery:
    """Queue events and deliver them to the backend between `start` and `stop`.

    `send` sends at most `batch` of them and raises BackendError, after which all of them are sent again; `timeout` is
    that of one call in seconds. `put` may be called at any time. `outcomes` counts events, `delivered` or `dropped`.
    """

    def __init__(
        self,
        queue: EventQueue,
        send: Callable[[Sequence[bytes]], Awaitable[None]],
        consumer: str,
        *,
        timeout: float,
        batch: int = BATCH,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._batch = batch
        self.outcomes: Counter[str] = Counter()
        self._queue = queue
        self._send = send
        self._consumer = consumer
        self._clock = clock
        self._buffer: deque[bytes] = deque()
        self._emitted = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._pause = RETRY_SECONDS[0]
        self._idle = max(LEAST_IDLE_SECONDS, IDLE_TIMEOUTS * timeout)
        self._reclaimed_at = clock()

    def put(self, event: bytes) -> None:
        """Buffer an event for delivery. Never blocks; a full buffer drops its oldest event."""
        if len(self._buffer) >= BUFFERED:
            self._buffer.popleft()
            self._lose(1)
        self._buffer.append(event)
        self._emitted.set()

    async def start(self) -> None:
        """Start the tasks that fill the queue and deliver from it."""
        for work, name in ((self._fill, "hook-events-queue"), (self._deliver, "hook-events-deliver")):
            task = asyncio.create_task(work(), name=name)
            task.add_done_callback(has_failed)
            self._tasks.append(task)

    async def stop(self) -> None:
        """Stop delivering and move the buffered events to the queue, for another worker to deliver. Idempotent."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        with contextlib.suppress(BackplaneError):
            await self._empty_buffer()

    async def _fill(self) -> None:
        while True:
            await self._emitted.wait()
            self._emitted.clear()
            try:
                await self._empty_buffer()
            except BackplaneError as error:
                logger.warning(
                    "events cannot be queued, the backplane is unavailable", waiting=len(self._buffer), error=str(error)
                )
                await asyncio.sleep(RETRY_SECONDS[0])
                self._emitted.set()

    async def _empty_buffer(self) -> None:
        while self._buffer:
            event = self._buffer[0]
            if not await self._queue.append(event):
                self._lose(1)
            if self._buffer and self._buffer[0] is event:
                self._buffer.popleft()

    async def _deliver(self) -> None:
        while True:
            try:
                taken = await self._take()
                if taken:
                    await self._post(taken)
            except BackplaneError as error:
                logger.warning("events cannot be read", error=str(error))
                await asyncio.sleep(RETRY_SECONDS[0])

    async def _take(self) -> Sequence[QueuedEvent]:
        now = self._clock()
        if now - self._reclaimed_at >= self._idle / 3:
            self._reclaimed_at = now
            found = await self._queue.reclaim(self._consumer, self._idle, self._batch)
            if found:
                return found
        return await self._queue.take(self._consumer, self._batch, WAIT_SECONDS)

    async def _post(self, taken: Sequence[QueuedEvent]) -> None:
        """Deliver a batch, with retries until the backend accepts it or another worker may soon reclaim it."""
        deadline = self._clock() + self._idle / 2
        while True:
            try:
                await self._send([one.event for one in taken])
            except BackendError as error:
                logger.warning("events not delivered", events=len(taken), error=str(error))
                await asyncio.sleep(self._pause * random.uniform(0.5, 1))  # noqa: S311 - spreads the workers
                self._pause = min(2 * self._pause, RETRY_SECONDS[1])
                if self._clock() > deadline:
                    return  # whoever reclaims them next tries on
                continue
            self._pause = RETRY_SECONDS[0]
            self.outcomes["delivered"] += len(taken)
            await self._queue.done([one.ident for one in taken])
            return

    def _lose(self, count: int) -> None:
        self.outcomes["dropped"] += count
        if self.outcomes["dropped"] == count:
            logger.error("events are dropped: the queue is full because the backend does not accept them")


class EventDispatcher(QueuedDelivery):
    """Delivery of the hook `events`. `disconnects` and `channels` select the kinds of events."""

    def __init__(
        self,
        queue: EventQueue,
        endpoint: Endpoint,
        consumer: str,
        *,
        disconnects: bool,
        channels: bool,
        wall_clock: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(queue, self._call, consumer, timeout=endpoint.timeout, clock=clock)
        self.endpoint = endpoint
        self.channels = channels
        self._disconnects = disconnects
        self._wall_clock = wall_clock

    def emit(self, event: HookEvent) -> None:
        """Buffer an event for delivery, unless its kind is not selected. See `put`."""
        if self._disconnects if isinstance(event, Disconnected) else self.channels:
            self.put(encode(event, self._wall_clock()))

    async def _call(self, events: Sequence[bytes]) -> None:
        await self.endpoint.call(msgspec.json.encode({"events": [*map(msgspec.Raw, events)]}), {})


def encode(event: HookEvent, unix_seconds: float) -> bytes:
    """Encode an event as JSON for the backend, with a unique id by which a repeated delivery can be recognised."""
    document: dict[str, object] = {"id": str(uuid.uuid4()), "time": round(unix_seconds, 3)}
    if isinstance(event, Disconnected):
        document |= {
            "type": "disconnect",
            "client": event.client,
            "user": event.user,
            "code": event.code,
            "reason": event.reason,
            "connected_seconds": round(event.connected_seconds, 3),
        }
    else:
        occupied = isinstance(event, ChannelOccupied)
        document |= {"type": "channel_occupied" if occupied else "channel_vacated", "channel": event.channel}
    return msgspec.json.encode(document)
