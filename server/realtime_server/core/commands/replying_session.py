"""Session whose client's commands get replies; the handlers of commands know no more of it."""

from __future__ import annotations

from realtime_server import codes
from realtime_server.codes import ErrorCode
from realtime_server.core.commands.unidirectional import disconnect_of
from realtime_server.core.limits.limit import Limit
from realtime_server.core.model.commands import Result
from realtime_server.core.ports.client import CommandCodec
from realtime_server.core.sessions.session import Session


class ReplyingSession(Session):
    """Session that replies to commands by their ids."""

    __slots__ = ()

    codec: CommandCodec

    def reply(self, command: int, result: Result) -> None:
        """Reply to a command; a reply above the maximum size becomes error 106."""
        if not self.reply_within(command, result):
            self.fail(command, codes.LIMIT_EXCEEDED)

    def reply_within(self, command: int, result: Result) -> bool:
        """Reply to a command; return False, without sending, when the reply exceeds the maximum size."""
        if self.closed:
            return True
        frames = self.codec.reply(command, result)
        if len(frames) > self._context.limits.reply_bytes:
            self._context.counters.limits[Limit.REPLY_BYTES] += 1
            return False
        self.connection.write(frames)
        return True

    def fail(self, command: int, error: ErrorCode) -> None:
        """Reply with an error; disconnect a unidirectional client instead, since it receives no replies."""
        self._context.counters.command_errors[error.code] += 1
        if self.codec.unidirectional:
            self.disconnect(disconnect_of(error))
        elif not self.closed:
            self.note_unanswered(error.code)
            self.connection.write(self.codec.error(command, error))
