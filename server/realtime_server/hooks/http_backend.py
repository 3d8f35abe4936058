"""The user's backend, asked over HTTP: implements core's Backend."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import msgspec
import structlog

from realtime_server.codes import INTERNAL
from realtime_server.core.model.errors import CommandError, DisconnectRequestedError
from realtime_server.core.model.grant import Grant
from realtime_server.core.model.nesting import check_nesting
from realtime_server.core.ports.backend import Caller, Connected, Connecting, Hook, HookEvent, Published, Refreshed
from realtime_server.hooks import messages
from realtime_server.hooks.dispatcher import EventDispatcher
from realtime_server.hooks.endpoint import BackendDownError, Endpoint, Outcome
from realtime_server.hooks.messages import InvalidAnswerError, Reply

logger = structlog.get_logger()

Answer = TypeVar("Answer")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class HttpHook:
    """One configured hook. `allow`: while the backend is down it is as if there were none. No namespaces: all."""

    endpoint: Endpoint
    allow: bool
    namespaces: frozenset[str] = frozenset()


class HttpBackend:
    """Asks the hooks that are there; tells events to the dispatcher, if there is one."""

    def __init__(self, hooks: Mapping[Hook, HttpHook], events: EventDispatcher | None) -> None:
        self.hooks = hooks
        self.events = events

    def asks(self, hook: Hook, channel: str = "") -> bool:
        """See Backend."""
        found = self.hooks.get(hook)
        if found is None:
            return False
        return not found.namespaces or not channel or _namespace_of(channel) in found.namespaces

    @property
    def watches_channels(self) -> bool:
        """See Backend."""
        return self.events is not None and self.events.channels

    async def connect(self, request: Connecting) -> Connected | None:
        """See Backend."""
        renewed = Hook.REFRESH in self.hooks
        body = messages.connect_request(request)
        headers = {**request.headers, **request.caller.transport.headers}
        return await self._ask(
            Hook.CONNECT, body, headers, messages.ConnectAnswer, lambda answer: answer.to_connected(renewed=renewed)
        )

    async def refresh(self, caller: Caller) -> Refreshed | None:
        """See Backend."""
        body = messages.request_of(caller)
        return await self._asked_by(caller, Hook.REFRESH, body, messages.RefreshAnswer, _to_refreshed)

    async def subscribe(self, caller: Caller, channel: str, data: bytes, token: str) -> Grant | None:
        """See Backend."""
        renewed = self.asks(Hook.SUB_REFRESH, channel)
        body = messages.request_of(caller, channel=channel, data=data, token=token)
        return await self._asked_by(
            caller, Hook.SUBSCRIBE, body, messages.Subscription, lambda answer: answer.to_grant(renewed=renewed)
        )

    async def publish(self, caller: Caller, channel: str, data: bytes) -> Published | None:
        """See Backend."""
        body = messages.request_of(caller, channel=channel, data=data)
        return await self._asked_by(
            caller, Hook.PUBLISH, body, messages.PublishAnswer, lambda answer: answer.to_published()
        )

    async def sub_refresh(self, caller: Caller, channel: str) -> Refreshed | None:
        """See Backend."""
        body = messages.request_of(caller, channel=channel)
        return await self._asked_by(caller, Hook.SUB_REFRESH, body, messages.RefreshAnswer, _to_refreshed)

    async def rpc(self, caller: Caller, method: str, data: bytes) -> bytes:
        """See Backend."""
        body = messages.request_of(caller, method=method, data=data)
        answer = await self._asked_by(caller, Hook.RPC, body, messages.RpcAnswer, lambda answer: answer.to_data())
        return answer or b"null"

    def emit(self, event: HookEvent) -> None:
        """See Backend."""
        if self.events is not None:
            self.events.emit(event)

    async def _asked_by(
        self, caller: Caller, hook: Hook, body: bytes, kind: type[Answer], read: Callable[[Answer], Result]
    ) -> Result | None:
        return await self._ask(hook, body, caller.transport.headers, kind, read)

    async def _ask(
        self, hook: Hook, body: bytes, headers: Mapping[str, str], kind: type[Answer], read: Callable[[Answer], Result]
    ) -> Result | None:
        """The result of a hook; None while the backend is down and may be.

        Raises CommandError or DisconnectRequestedError when the answer is no, or there is none and must be one.
        """
        asked = self.hooks[hook]
        try:
            reply = _decode(await asked.endpoint.call(body, headers), kind)
            if reply.disconnect is not None:
                raise DisconnectRequestedError(reply.disconnect.to_code())
            if reply.error is not None:
                raise CommandError(reply.error.to_code())
            return read(msgspec.json.decode(b"{}", type=kind) if reply.result is None else reply.result)
        except BackendDownError as error:
            logger.warning("hook not answered", hook=hook.value, error=str(error), allowed=asked.allow)
            if asked.allow:
                return None
            raise CommandError(INTERNAL) from error
        except InvalidAnswerError as error:
            asked.endpoint.usage.outcomes[Outcome.INVALID] += 1
            logger.warning("hook answered something that cannot be followed", hook=hook.value, error=str(error))
            raise CommandError(INTERNAL) from error


def _decode(body: bytes, kind: type[Answer]) -> Reply[Answer]:
    try:
        body.decode()  # the JSON decoder does not look into the strings of raw data
        check_nesting(body)
        return msgspec.json.decode(body, type=Reply[kind])  # type: ignore[valid-type] # a type at run time
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidAnswerError(str(error)) from error


def _to_refreshed(answer: messages.RefreshAnswer) -> Refreshed:
    return answer.to_refreshed()


def _namespace_of(channel: str) -> str:
    name, colon, _ = channel.removeprefix("$").partition(":")
    return name if colon else "default"
