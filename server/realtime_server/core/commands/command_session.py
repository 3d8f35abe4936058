"""A session whose client sends commands: they are answered in their order.

What waits for nothing is answered at once. Everything else waits in a bounded queue that one task per busy session
works off.
"""

from __future__ import annotations

import asyncio
from collections import deque

from realtime_server import codes
from realtime_server.codes import DisconnectCode
from realtime_server.core.commands.dispatcher import Dispatcher
from realtime_server.core.limits.limit import Limit
from realtime_server.core.model.commands import PONG, Command
from realtime_server.core.ports.backend import TransportInfo
from realtime_server.core.ports.client import Codec, Connection
from realtime_server.core.sessions.session import Session, SessionContext
from realtime_server.core.tasks import has_failed, run_now

MAX_COMMAND_ID = 2**32 - 1
MAX_QUEUED_COMMANDS = 1024
"""Commands of one connection that may wait for the backplane; their bytes are limited too."""


class QueuedCommand:
    """A command that waits; `size` in bytes. `revoked`: the subscription that it asks for was revoked meanwhile."""

    __slots__ = ("command", "revoked", "size")

    def __init__(self, command: Command, size: int) -> None:
        self.command = command
        self.size = size
        self.revoked = False


class CommandSession(Session):
    """A session of Centrifugo's client protocol."""

    __slots__ = ("_dispatcher", "_queue", "_task", "_waiting")

    def __init__(
        self,
        dispatcher: Dispatcher,
        context: SessionContext,
        connection: Connection,
        codec: Codec,
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
        return self.claims is not None or self._queue is not None

    def on_message(self, message: bytes, now: float) -> None:
        """See Session."""
        if self.closed:
            return
        commands = self.codec.decode(message)
        if not commands:
            self.disconnect(codes.BAD_REQUEST_DISCONNECT)
            return
        if not self._within_rate(len(commands), now):
            self._end_flood(Limit.MESSAGES_PER_SECOND)
            return
        first = commands[0]
        if first.connect is not None and self.claims is None and not self._dispatcher.admits(commands):
            self.fail(first.id, codes.TOO_MANY_REQUESTS)
            return
        if len(commands) == 1:
            self._take(first, len(message))
            return
        size = len(message) // len(commands)
        for command in commands:
            self._take(command, size)
            if self.is_closed() or not self.begun:
                # Not let in: what was sent along with the refused connect has nobody to act for.
                return

    def on_closed(self, code: DisconnectCode = codes.CONNECTION_CLOSED) -> None:
        """See Session."""
        if not self.closed:
            super().on_closed(code)
            if self._task is not None:
                self._task.cancel()

    def revoke(self, channel: str) -> None:
        """See Session; also for subscribe commands that wait."""
        for queued in self._queue or ():
            subscribe = queued.command.subscribe
            queued.revoked = queued.revoked or (subscribe is not None and subscribe.channel == channel)
        super().revoke(channel)

    def _take(self, command: Command, size: int) -> None:
        if command == PONG:
            if not self.take_pong():
                self.disconnect(codes.BAD_REQUEST_DISCONNECT)
            return
        if not self._is_legal(command):
            self.disconnect(codes.BAD_REQUEST_DISCONNECT)
            return
        if self._queue is None and self._finish_now(command):
            return
        if self._queue is None:
            self._queue = deque()
        self._waiting += size
        if len(self._queue) >= MAX_QUEUED_COMMANDS or self._waiting > self._context.limits.outbox_bytes:
            self._end_flood(Limit.WAITING_COMMANDS)
            return
        self._queue.append(QueuedCommand(command, size))
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._work(), name=f"session-{self.client}")
            self._task.add_done_callback(self._on_task_done)

    def _is_legal(self, command: Command) -> bool:
        if not 0 <= command.id <= MAX_COMMAND_ID or command.ping is not None:
            return False
        if command.send is not None:
            return self.begun
        if command.id == 0:
            return False
        return (command.connect is not None) != self.begun

    def _finish_now(self, command: Command) -> bool:
        """Answer what waits for nothing; False for everything else."""
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
            while queue and not self.closed:
                queued = queue[0]
                command = queued.command
                if dispatcher.lacks_key(command):
                    await dispatcher.fetch_key(command)
                if queued.revoked:
                    self.fail(command.id, codes.PERMISSION_DENIED)
                elif not dispatcher.answer_now(self, command):
                    await dispatcher.answer(self, command)
                queue.popleft()
                self._waiting -= queued.size
                if self.claims is None:
                    return  # not let in, and neither is what was sent along with the connect
        finally:
            self._task = None
            self._queue = None
            self._waiting = 0

    def _on_task_done(self, task: asyncio.Task[None]) -> None:
        if has_failed(task):
            self.disconnect(codes.SERVER_ERROR)
