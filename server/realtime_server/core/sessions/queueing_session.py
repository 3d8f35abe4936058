"""Session whose client's messages are handled one after the other.

What needs no waiting is done at once. All else waits in a bounded queue that one task per busy session processes, while
reading from the client pauses.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections import deque
from collections.abc import Coroutine
from typing import ClassVar, Generic, Protocol, TypeVar

from realtime_server import codes
from realtime_server.codes import DisconnectCode
from realtime_server.core.limits.limit import Limit
from realtime_server.core.limits.rates import PACE_SECONDS
from realtime_server.core.ports.backend import TransportInfo
from realtime_server.core.ports.client import Codec, Connection
from realtime_server.core.sessions.session import Session, SessionContext
from realtime_server.core.tasks import has_failed, run_now


class Queued(Protocol):
    """Message that waits."""

    @property
    def size(self) -> int:
        """Size in bytes."""


Item = TypeVar("Item", bound=Queued)


class QueueingSession(Session, Generic[Item]):
    """Session with a queue of messages; `_queue` is None while the session is not busy.

    `pause_at`: number of queued messages at which reading from the client pauses until the queue is empty.
    """

    __slots__ = ("_queue", "_task", "_waiting")

    pause_at: ClassVar[int] = 64

    def __init__(
        self,
        context: SessionContext,
        connection: Connection,
        codec: Codec,
        client: str,
        transport: TransportInfo,
        *,
        secret: str = "",
    ) -> None:
        super().__init__(context, connection, codec, client, transport, secret=secret)
        self._queue: deque[Item] | None = None
        self._task: asyncio.Task[None] | None = None
        self._waiting = 0
        """Bytes in the queue."""

    @property
    def busy(self) -> bool:
        """See Session."""
        return bool(self._queue) or super().busy

    def on_control(self, now: float) -> None:
        """See Session."""
        if not self.closed:
            self._slow_down(now)

    def on_closed(self, code: DisconnectCode = codes.CONNECTION_CLOSED) -> None:
        """See Session."""
        if not self.closed:
            super().on_closed(code)
            if self._task is not None:
                self._task.cancel()

    @abstractmethod
    async def _process(self, queue: deque[Item]) -> None:
        """Handle the queued messages until there are none or the session ends.

        Call `_wait_for_rate` before each, unless something else slows the client down, and `_remove_first` after it.
        A failure ends the connection.
        """

    def _slow_down(self, now: float) -> None:
        """Count a message that is not queued, and pause reading while the client exceeds its rate."""
        self._charge(now)
        if self._used_until > now:
            self._pause(now)
            self._start_worker()

    def _enqueue(self, item: Item, now: float) -> None:
        """Queue a message; disconnect a client whose queue exceeds its bounds although reading is paused."""
        limits = self._context.limits
        queue = self._start_worker()
        self._waiting += item.size
        if len(queue) >= limits.waiting_commands or self._waiting > limits.waiting_bytes:
            self._context.counters.limits[Limit.WAITING_COMMANDS] += 1
            self.disconnect(codes.TOO_MANY_REQUESTS_DISCONNECT)
            return
        queue.append(item)
        if self._used_until > now or len(queue) >= self.pause_at or self._waiting > limits.waiting_bytes // 4:
            self._pause(now)

    def _start_worker(self) -> deque[Item]:
        """Start the task that processes the queue unless it runs, and return the queue."""
        if self._queue is None:
            self._queue = deque()
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._work(self._queue), name=self._task_name)
            self._task.add_done_callback(self._on_task_done)
        return self._queue

    def _run_now(self, work: Coroutine[object, None, None]) -> None:
        """Run work that never waits without a task; a failure ends the connection all the same."""
        try:
            run_now(work)
        except Exception as error:  # noqa: BLE001 - as in a task: whatever it is, it is reported
            context = {"message": f"{self._task_name} failed", "exception": error}
            asyncio.get_running_loop().call_exception_handler(context)
            self.disconnect(codes.SERVER_ERROR)

    def _remove_first(self, queue: deque[Item]) -> None:
        """Remove the message that was handled, and count it towards the rate."""
        self._charge(self._context.clock())
        self._waiting -= queue.popleft().size

    async def _wait_for_rate(self) -> None:
        """Wait until the client does not exceed its rate."""
        ahead = self._used_until - self._context.clock()
        if ahead > 0:
            await asyncio.sleep(max(ahead, PACE_SECONDS))

    @property
    def _task_name(self) -> str:
        return f"session-{self.client}"

    async def _work(self, queue: deque[Item]) -> None:
        try:
            await self._process(queue)
        finally:
            self._task = None
            self._queue = None
            self._waiting = 0
            self._resume()

    def _on_task_done(self, task: asyncio.Task[None]) -> None:
        if has_failed(task):
            self.disconnect(codes.SERVER_ERROR)
