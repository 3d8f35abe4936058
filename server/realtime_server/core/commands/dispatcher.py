"""Dispatch of commands to their handlers, and conversion of errors to replies."""

from __future__ import annotations

from collections.abc import Sequence

from realtime_server import codes
from realtime_server.core.commands import history, publish, subscribe
from realtime_server.core.commands.connect import ConnectHandler
from realtime_server.core.commands.replying_session import ReplyingSession
from realtime_server.core.model.commands import Command, MalformedCommand, token_of
from realtime_server.core.model.errors import BackplaneError, CommandError, DisconnectRequestedError
from realtime_server.core.operations.entry import Entry
from realtime_server.core.operations.publishing import Publishing
from realtime_server.core.operations.reading import Reading
from realtime_server.core.operations.subscriptions import Subscriptions


class Dispatcher:
    """Dispatcher of commands for all sessions of a worker.

    `immediate`: commands complete without suspending, because neither the backplane nor the backend ever waits.
    """

    def __init__(
        self,
        entry: Entry,
        connect: ConnectHandler,
        subscriptions: Subscriptions,
        publishing: Publishing,
        reading: Reading,
        *,
        immediate: bool,
    ) -> None:
        self._entry = entry
        self._has_remote_keys = entry.has_remote_keys
        self._connect = connect
        self._subscriptions = subscriptions
        self._publishing = publishing
        self._reading = reading
        self.immediate = immediate

    def admits(self, commands: Sequence[Command]) -> bool:
        """Return True when a client that begins with these commands may be admitted now."""
        return not self._entry.limits_connects or self._entry.has_capacity(resumes=resumes(commands))

    def lacks_key(self, command: Command) -> bool:
        """Return True when a command's token names a key that is not known yet: `fetch_key` may help."""
        return self._has_remote_keys and self._entry.lacks_key(token_of(command))

    async def fetch_key(self, command: Command) -> None:
        """Fetch the keys that a command's token needs. Never raises."""
        await self._entry.fetch_key(token_of(command))

    def answer_now(self, session: ReplyingSession, command: Command) -> bool:
        """Answer a command that needs neither backplane nor backend; return False for any other."""
        try:
            if isinstance(command, MalformedCommand):
                return _refuse(command)
            if command.connect is not None:
                return self._connect.connect_now(session, command.id, command.connect)
            if command.refresh is not None:
                self._connect.refresh(session, command.id, command.refresh)
                return True
            if command.sub_refresh is not None:
                subscribe.refresh(self._subscriptions, session, command.id, command.sub_refresh)
                return True
            if command.rpc is not None and not self._publishing.calls_backend:
                session.fail(command.id, codes.NOT_AVAILABLE)
                return True
        except CommandError as error:
            session.fail(command.id, error.error)
            return True
        except DisconnectRequestedError as wanted:
            session.disconnect(wanted.code)
            return True
        return command.send is not None

    async def answer(self, session: ReplyingSession, command: Command) -> None:
        """Answer a command that may have to wait."""
        number = command.id
        try:
            if command.publish is not None:
                session.reply(number, await publish.publish(self._publishing, session, command.publish))
            elif command.subscribe is not None:
                await subscribe.subscribe(self._subscriptions, session, number, command.subscribe)
            elif command.connect is not None:
                await self._connect.connect(session, number, command.connect)
            elif command.unsubscribe is not None:
                session.reply(number, subscribe.unsubscribe(session, command.unsubscribe))
            elif command.history is not None:
                session.reply(number, await history.history(self._reading, session, command.history))
            elif command.presence is not None:
                session.reply(number, await history.presence(self._reading, session, command.presence))
            elif command.presence_stats is not None:
                session.reply(number, await history.presence_stats(self._reading, session, command.presence_stats))
            elif command.rpc is not None:
                session.reply(number, await publish.rpc(self._publishing, session, command.rpc))
            else:
                session.fail(number, codes.METHOD_NOT_FOUND)
        except CommandError as error:
            session.fail(number, error.error)
        except DisconnectRequestedError as wanted:
            session.disconnect(wanted.code)
        except BackplaneError:
            session.fail(number, codes.INTERNAL)


def _refuse(command: MalformedCommand) -> bool:
    """Raise CommandError for a malformed command; return True for `send`, which has no reply."""
    if command.send is None:
        raise CommandError(codes.BAD_REQUEST)
    return True


def resumes(commands: Sequence[Command]) -> bool:
    """Return True when a client's first commands show that it resumes a session: they ask for a recovery."""
    return any(
        (command.subscribe is not None and command.subscribe.recover)
        or (command.connect is not None and any(sub.recover for sub in command.connect.subs.values()))
        for command in commands
    )
