"""The customer's backend over HTTP: implements core's Backend."""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeVar

import msgspec
import structlog

from realtime_server.client_headers import InvalidHeadersError, passed_on
from realtime_server.codes import BAD_REQUEST, INTERNAL
from realtime_server.core.limits.rates import KeyedRates
from realtime_server.core.model.errors import CommandError, DisconnectRequestedError
from realtime_server.core.model.grant import Grant
from realtime_server.core.model.namespaces import DEFAULT, namespace_of
from realtime_server.core.model.nesting import check_nesting
from realtime_server.core.model.surrogates import explain
from realtime_server.core.ports.backend import Caller, Connected, Connecting, Hook, HookEvent, Published, Refreshed
from realtime_server.hooks import messages
from realtime_server.hooks.dispatcher import EventDispatcher
from realtime_server.hooks.endpoint import BackendDownError, BackendRefusedError, Endpoint, Outcome
from realtime_server.hooks.messages import InvalidAnswerError, Reply

logger = structlog.get_logger()

Answer = TypeVar("Answer")
Result = TypeVar("Result")
NO_HEADERS: Mapping[str, str] = MappingProxyType({})
WARN_SECONDS = 1.0
"""Minimum time between two warnings of the same kind; the metrics count every call."""
IPV6_CUSTOMER_BITS = 64
"""Prefix length that identifies an IPv6 customer, who holds all addresses of such a network (RFC 6177)."""


@dataclass(frozen=True, slots=True)
class HttpHook:
    """One configured hook: `allow` treats the hook as absent while the backend is down; no namespaces means all."""

    endpoint: Endpoint
    allow: bool
    namespaces: frozenset[str] = frozenset()


class HttpBackend:
    """Call the configured hooks, and pass events to the dispatcher where there is one.

    `forwarded` lists, in lower case, the client headers that are sent to the backend.
    """

    def __init__(
        self,
        hooks: Mapping[Hook, HttpHook],
        events: EventDispatcher | None,
        forwarded: Collection[str] = (),
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.hooks = hooks
        self.events = events
        self._forwarded = forwarded
        self._clock = clock
        self._warnings = KeyedRates(1 / WARN_SECONDS, 1)

    def asks(self, hook: Hook, channel: str = "") -> bool:
        """See Backend."""
        found = self.hooks.get(hook)
        if found is None:
            return False
        return not found.namespaces or not channel or (namespace_of(channel) or DEFAULT) in found.namespaces

    @property
    def watches_channels(self) -> bool:
        """See Backend."""
        return self.events is not None and self.events.channels

    async def connect(self, request: Connecting) -> Connected | None:
        """See Backend."""
        renewed = Hook.REFRESH in self.hooks
        body = messages.connect_request(request)
        return await self._ask(
            request.caller, Hook.CONNECT, body, messages.ConnectAnswer,
            lambda answer: answer.to_connected(renewed=renewed), self._headers_in(request),
        )  # fmt: skip

    async def refresh(self, caller: Caller) -> Refreshed | None:
        """See Backend."""
        body = messages.request_of(caller)
        return await self._ask(caller, Hook.REFRESH, body, messages.RefreshAnswer, _to_refreshed)

    async def subscribe(self, caller: Caller, channel: str, data: bytes, token: str) -> Grant | None:
        """See Backend."""
        renewed = self.asks(Hook.SUB_REFRESH, channel)
        body = messages.request_of(caller, channel=channel, data=data, token=token)
        return await self._ask(
            caller, Hook.SUBSCRIBE, body, messages.Subscription, lambda answer: answer.to_grant(renewed=renewed)
        )

    async def publish(self, caller: Caller, channel: str, data: bytes) -> Published | None:
        """See Backend."""
        body = messages.request_of(caller, channel=channel, data=data)
        return await self._ask(caller, Hook.PUBLISH, body, messages.PublishAnswer, lambda answer: answer.to_published())

    async def sub_refresh(self, caller: Caller, channel: str) -> Refreshed | None:
        """See Backend."""
        body = messages.request_of(caller, channel=channel)
        return await self._ask(caller, Hook.SUB_REFRESH, body, messages.RefreshAnswer, _to_refreshed)

    async def rpc(self, caller: Caller, method: str, data: bytes) -> bytes:
        """See Backend."""
        body = messages.request_of(caller, method=method, data=data)
        answer = await self._ask(caller, Hook.RPC, body, messages.RpcAnswer, lambda answer: answer.to_data())
        return answer or b"null"

    def emit(self, event: HookEvent) -> None:
        """See Backend."""
        if self.events is not None:
            self.events.emit(event)

    def _headers_in(self, request: Connecting) -> Mapping[str, str]:
        """Return the headers to send with a connect request. Raises CommandError BAD_REQUEST for illegal ones."""
        try:
            return passed_on(request.headers, self._forwarded)
        except InvalidHeadersError as error:
            self.hooks[Hook.CONNECT].endpoint.usage.outcomes[Outcome.HEADERS] += 1
            raise CommandError(BAD_REQUEST) from error

    async def _ask(
        self,
        caller: Caller,
        hook: Hook,
        body: bytes,
        kind: type[Answer],
        read: Callable[[Answer], Result],
        headers: Mapping[str, str] = NO_HEADERS,
    ) -> Result | None:
        """Call a hook and return its result; None while the backend is down and the hook allows that.

        Raises CommandError or DisconnectRequestedError when the backend refuses, or when a required answer is missing.
        """
        asked = self.hooks[hook]
        try:
            sent = {**headers, **caller.transport.headers}
            reply = _decode(await asked.endpoint.call(body, sent, origin_of(caller)), kind)
            if reply.disconnect is not None:
                raise DisconnectRequestedError(reply.disconnect.to_code())
            if reply.error is not None:
                raise CommandError(reply.error.to_code())
            return read(msgspec.json.decode(b"{}", type=kind) if reply.result is None else reply.result)
        except BackendDownError as error:
            self._warn("hook not answered", hook, error, allowed=asked.allow)
            if asked.allow:
                return None
            raise CommandError(INTERNAL) from error
        except BackendRefusedError as error:
            self._warn("hook refused by the backend", hook, error)
            raise CommandError(INTERNAL) from error
        except InvalidAnswerError as error:
            asked.endpoint.usage.outcomes[Outcome.INVALID] += 1
            self._warn("hook answer is invalid", hook, error)
            raise CommandError(INTERNAL) from error

    def _warn(self, event: str, hook: Hook, error: Exception, **values: object) -> None:
        """Log a failed call, at most once per WARN_SECONDS for each kind: their number is up to the clients."""
        if self._warnings.take((event, hook), self._clock()):
            logger.warning(event, hook=hook.value, error=str(error), **values)


def _decode(body: bytes, kind: type[Answer]) -> Reply[Answer]:
    try:
        body.decode()  # the JSON decoder does not validate the strings of raw data
        check_nesting(body)
        return msgspec.json.decode(body, type=Reply[kind])  # type: ignore[valid-type] # a type at run time
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidAnswerError(explain(error, body)) from error
    except RecursionError as error:
        raise InvalidAnswerError(str(error)) from error


def _to_refreshed(answer: messages.RefreshAnswer) -> Refreshed:
    return answer.to_refreshed()


def origin_of(caller: Caller) -> str:
    """Return an identity that reconnecting does not change: the client's user or, without one, its network."""
    if caller.user:
        return f"user {caller.user}"
    remote = caller.transport.remote
    if ":" in remote:
        remote = str(ipaddress.ip_network(f"{remote.partition('%')[0]}/{IPV6_CUSTOMER_BITS}", strict=False))
    return f"network {remote}"
