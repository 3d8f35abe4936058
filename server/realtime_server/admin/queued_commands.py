"""Executor of commands from queues: implements CommandExecutor by the server API."""

from __future__ import annotations

import asyncio

import msgspec

from realtime_server import codes
from realtime_server.admin import api_messages as messages
from realtime_server.admin.api_handlers import AWAY, METHODS, PUBLISHED_AT_ONCE, ApiHandlers
from realtime_server.codes import ErrorCode
from realtime_server.core.model.errors import BackplaneError, CommandError
from realtime_server.core.ports.api import RealtimeApi
from realtime_server.core.ports.message_broker import ApiCommand, PublishCommand, QueuedCommand
from realtime_server.socket_io.cluster_sockets import ClusterSockets


class QueuedCommands:
    """Executor of commands. `data_bytes` is the maximum size of a publication, tags included.

    `sockets`: None while Socket.IO is off.
    """

    def __init__(self, api: RealtimeApi, data_bytes: int, sockets: ClusterSockets | None = None) -> None:
        self._api = api
        self._handlers = ApiHandlers(api, data_bytes, sockets)

    async def execute(self, command: QueuedCommand) -> None:
        """See CommandExecutor. A command about several channels has failed when one of them has."""
        match command:
            case PublishCommand():
                await self._publish(command)
            case ApiCommand():
                await self._call(command)

    async def _publish(self, command: PublishCommand) -> None:
        channels = command.channels
        if len(channels) == 1:
            await self._api.publish(channels[0], command.message)
            return
        failed: list[CommandError] = []
        for start in range(0, len(channels), PUBLISHED_AT_ONCE):
            some = channels[start : start + PUBLISHED_AT_ONCE]
            calls = (self._api.publish(channel, command.message) for channel in some)
            for channel, outcome in zip(some, await asyncio.gather(*calls, return_exceptions=True), strict=True):
                if isinstance(outcome, CommandError):
                    failed.append(CommandError(outcome.error, f"{channel}: {outcome.why or outcome.error.message}"))
                elif isinstance(outcome, BaseException):
                    raise outcome
        if failed:
            raise failed[0]

    async def _call(self, command: ApiCommand) -> None:
        method = METHODS.get(command.method)
        if method is None:
            raise CommandError(codes.METHOD_NOT_FOUND, "the server API has no method of this name")
        try:
            result = await method.answer(self._handlers, command.request)
        except msgspec.DecodeError as error:
            raise CommandError(codes.BAD_REQUEST, str(error)) from error
        if isinstance(result, messages.Broadcasted):
            _require_success(result)


def _require_success(result: messages.Broadcasted) -> None:
    """Raise the error of the first channel that has one; that which passes, if there is one."""
    if AWAY in result.responses:
        raise BackplaneError("the backplane did not take all publications of a broadcast")
    for response in result.responses:
        if isinstance(response.error, messages.Error):
            raise CommandError(_code(response.error.code), response.error.message)


def _code(number: int) -> ErrorCode:
    return next((error for error in messages.ERRORS if error.code == number), codes.INTERNAL)
