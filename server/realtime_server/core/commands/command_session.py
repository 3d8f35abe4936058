"""Session whose client sends commands, which are answered in order."""

from __future__ import annotations

from collections import deque

from realtime_server import codes
from realtime_server.core.commands.dispatcher import Dispatcher
from realtime_server.core.commands.replying_session import ReplyingSession
from realtime_server.core.limits.limit import Limit
from realtime_server.core.model.commands import PONG, Command, payload_bytes
from realtime_server.core.ports.backend import TransportInfo
from realtime_server.core.ports.client import CommandCodec, Connection
from realtime_server.core.sessions.queueing_session import QueueingSession
from realtime_server.core.sessions.session import SessionContext

MAX_COMMAND_ID = 2**32 - 1


class QueuedCommand:
    """Queued command; `size` in bytes. `revoked`: the subscription that it asks for was revoked meanwhile."""

    __slots__ = ("command", "revoked", "size")

    def __init__(self, command: Command, size: int) -> None:
        self.command = command
        self.size = size
        self.revoked = False


class CommandSession(ReplyingSession, QueueingSession[QueuedCommand]):
    """Session of Centrifugo's client protocol."""

    __slots__ = ("_dispatcher",)

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

    @property
    def begun(self) -> bool:
        """See Session: its connect command may wait for an answer."""
        return self.claims is not None or bool(self._queue)

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

    def revoke(self, channel: str) -> None:
        """See Session; also revokes queued subscribe commands."""
        for queued in self._queue or ():
            subscribe = queued.command.subscribe
            queued.revoked = queued.revoked or (subscribe is not None and subscribe.channel == channel)
        super().revoke(channel)

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
            self._enqueue(QueuedCommand(command, size), now)

    def _is_too_large(self, command: Command) -> bool:
        """Refuse a command that exceeds the message size, and return True; the connection stays open."""
        if payload_bytes(command) <= self._context.limits.message_bytes:
            return False
        self._context.counters.limits[Limit.MESSAGE_BYTES] += 1
        if command.id:
            self.fail(command.id, codes.LIMIT_EXCEEDED)
        return True

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
        self._run_now(dispatcher.answer(self, command))
        return True

    async def _process(self, queue: deque[QueuedCommand]) -> None:
        """See QueueingSession."""
        dispatcher = self._dispatcher
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
            self._remove_first(queue)
            if self.claims is None:
                return  # not let in, and neither is what was sent along with the connect


class BinaryCommandSession(CommandSession):
    """Session of Centrifugo's client protocol in an encoding that goes in binary messages alone."""

    __slots__ = ()

    def on_text(self, payload: bytes, now: float) -> None:
        """See Session."""
        del payload, now
        self.disconnect(codes.INAPPROPRIATE_PROTOCOL)
