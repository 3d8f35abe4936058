"""Session whose client sends commands, which are answered in order.

Commands that need no waiting are answered at once. All others wait in a bounded queue that one task per busy session
processes.
"""

from __future__ import annotations

import asyncio
from collections import deque

from realtime_server import codes
from realtime_server.codes import DisconnectCode
from realtime_server.core.commands.dispatcher import Dispatcher
from realtime_server.core.commands.replying_session import ReplyingSession
from realtime_server.core.limits.limit import Limit
from realtime_server.core.model.commands import PONG, Command, payload_bytes
from realtime_server.core.ports.backend import TransportInfo
from realtime_server.core.ports.client import CommandCodec, Connection
from realtime_server.core.sessions.session import SessionContext
from realtime_server.core.tasks import has_failed, run_now

MAX_COMMAND_ID = 2**32 - 1
PAUSE_AT = 64
"""Number of queued commands at which reading from the client pauses until the queue is empty."""
PACE_SECONDS = 0.05
"""Minimum delay of a client that exceeds its rate, so that several of its commands are processed at once."""


class QueuedCommand:
    """Queued command; `size` in bytes. `revoked`: the subscription that it asks for was revoked meanwhile."""

    __slots__ = ("command", "revoked", "size")

    def __init__(self, command: Command, size: int) -> None:
        self.command = command
        self.size = size
        self.revoked = False


class CommandSession(ReplyingSession):
    """Session of Centrifugo's client protocol."""

    __slots__ = ("_dispatcher", "_queue", "_task", "_waiting")

    def __init__(
        self,
        dispatcher: Dispatcher,
        context: SessionContext,
        connection: Connection,
        codec: CommandCodec,
        client: str,
        transport: TransportInfo,
        *,
        secret: str = "",
    ) -> None:
        super().__init__(context, connection, codec, client, transport, secret=secret)
        self._dispatcher = dispatcher
        self._queue: deque[QueuedCommand] | None = None
        self._task: asyncio.Task[None] | None = None
        self._waiting = 0

    @property
    def begun(self) -> bool:
        """See Session: its connect command may wait for an answer."""
        return self.claims is not None or bool(self._queue)

    @property
    def busy(self) -> bool:
        """See Session."""
        return bool(self._queue) or super().busy

    def on_binary(self, payload: bytes, now: float) -> None:
        """See Session."""
        if self.closed:
            return
        if self._pong is not None:
            self._pong.postpone(now)  # the client is alive, and its pong may be queued behind what it sends
        commands = self.codec.decode(payload)
        if not commands:
            self.disconnect(codes.BAD_REQUEST_DISCONNECT)
            return
        first = commands[0]
        if first.connect is not None and self.claims is None and not self._dispatcher.admits(commands):
            self._slow_down(now)
            self.fail(first.id, codes.TOO_MANY_REQUESTS)
            return
        large = len(payload) > self._context.limits.message_bytes
        if len(commands) == 1:
            self._take(first, len(payload), now, large=large)
            return
        size = len(payload) // len(commands)
        for command in commands:
            self._take(command, size, now, large=large)
            if self.is_closed() or not self.begun:
                # Not let in: what was sent along with the refused connect has nobody to act for.
                return

    on_text = on_binary

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

    def revoke(self, channel: str) -> None:
        """See Session; also revokes queued subscribe commands."""
        for queued in self._queue or ():
            subscribe = queued.command.subscribe
            queued.revoked = queued.revoked or (subscribe is not None and subscribe.channel == channel)
        super().revoke(channel)

    def _slow_down(self, now: float) -> None:
        """Count a message that is not queued, and pause reading while the client exceeds its rate."""
        self._charge(now)
        if self._used_until > now:
            self._pause(now)
            self._start_worker()

    def _take(self, command: Command, size: int, now: float, *, large: bool) -> None:
        if command == PONG:
            if not self.take_pong():
                self.disconnect(codes.BAD_REQUEST_DISCONNECT)
            return
        if not self._is_legal(command):
            self.disconnect(codes.BAD_REQUEST_DISCONNECT)
            return
        if large and self._is_too_large(command):
            self._slow_down(now)
        elif self._queue is None and self._used_until <= now and self._finish_now(command):
            self._charge(now)
        else:
            self._enqueue(command, size, now)

    def _is_too_large(self, command: Command) -> bool:
        """Refuse a command that exceeds the message size, and return True; the connection stays open."""
        if payload_bytes(command) <= self._context.limits.message_bytes:
            return False
        self._context.counters.limits[Limit.MESSAGE_BYTES] += 1
        if command.id:
            self.fail(command.id, codes.LIMIT_EXCEEDED)
        return True

    def _enqueue(self, command: Command, size: int, now: float) -> None:
        """Queue a command; disconnect a client whose queue exceeds its bounds although reading is paused."""
        limits = self._context.limits
        queue = self._start_worker()
        self._waiting += size
        if len(queue) >= limits.waiting_commands or self._waiting > limits.waiting_bytes:
            self._context.counters.limits[Limit.WAITING_COMMANDS] += 1
            self.disconnect(codes.TOO_MANY_REQUESTS_DISCONNECT)
            return
        queue.append(QueuedCommand(command, size))
        if self._used_until > now or len(queue) >= PAUSE_AT or self._waiting > limits.waiting_bytes // 4:
            self._pause(now)

    def _start_worker(self) -> deque[QueuedCommand]:
        """Start the task that processes the queue unless it runs, and return the queue."""
        if self._queue is None:
            self._queue = deque()
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._work(), name=f"session-{self.client}")
            self._task.add_done_callback(self._on_task_done)
        return self._queue

    def _is_legal(self, command: Command) -> bool:
        if not 0 <= command.id <= MAX_COMMAND_ID or command.ping is not None:
            return False
        if command.send is not None:
            return self.begun
        if command.id == 0:
            return False
        return (command.connect is not None) != self.begun

    def _finish_now(self, command: Command) -> bool:
        """Answer a command that needs no waiting; return False for any other."""
        dispatcher = self._dispatcher
        if dispatcher.lacks_key(command):
            return False
        if dispatcher.answer_now(self, command):
            return True
        if not dispatcher.immediate:
            return False
        try:
            run_now(dispatcher.answer(self, command))
        except Exception as error:  # noqa: BLE001 - as in a task of its own: reported, and the client comes back
            context = {"message": f"session-{self.client} failed", "exception": error}
            asyncio.get_running_loop().call_exception_handler(context)
            self.disconnect(codes.SERVER_ERROR)
        return True

    async def _work(self) -> None:
        queue = self._queue
        assert queue is not None
        dispatcher = self._dispatcher
        try:
            while not self.closed:
                await self._wait_for_rate()
                if not queue:
                    return
                queued = queue[0]
                command = queued.command
                if dispatcher.lacks_key(command):
                    await dispatcher.fetch_key(command)
                if queued.revoked:
                    self.fail(command.id, codes.PERMISSION_DENIED)
                elif not dispatcher.answer_now(self, command):
                    await dispatcher.answer(self, command)
                self._charge(self._context.clock())
                queue.popleft()
                self._waiting -= queued.size
                if self.claims is None:
                    return  # not let in, and neither is what was sent along with the connect
        finally:
            self._task = None
            self._queue = None
            self._waiting = 0
            self._resume()

    async def _wait_for_rate(self) -> None:
        """Wait until the client does not exceed its rate."""
        ahead = self._used_until - self._context.clock()
        if ahead > 0:
            await asyncio.sleep(max(ahead, PACE_SECONDS))

    def _on_task_done(self, task: asyncio.Task[None]) -> None:
        if has_failed(task):
            self.disconnect(codes.SERVER_ERROR)


class BinaryCommandSession(CommandSession):
    """Session of Centrifugo's client protocol in an encoding that goes in binary messages alone."""

    __slots__ = ()

    def on_text(self, payload: bytes, now: float) -> None:
        """See Session."""
        del payload, now
        self.disconnect(codes.INAPPROPRIATE_PROTOCOL)
