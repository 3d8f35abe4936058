"""Port of the hooks: decisions of the customer's backend, and events for it.

Source of the semantics: Centrifugo's proxy protocol. A request hook is called before the client gets its reply; an
event is delivered later, at least once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol, TypeAlias

from msgspec import Struct
from msgspec import field as msgspec_field

from realtime_server.codes import NOT_AVAILABLE
from realtime_server.core.auth.claims import Claims
from realtime_server.core.model.errors import CommandError
from realtime_server.core.model.grant import Grant

RENEW_AGAIN_SECONDS = 30.0
"""Pause before the backend is asked again that could not be asked to renew a connection or a subscription."""


class Hook(StrEnum):
    """Request hook of the backend."""

    CONNECT = "connect"
    REFRESH = "refresh"
    SUBSCRIBE = "subscribe"
    PUBLISH = "publish"
    SUB_REFRESH = "sub_refresh"
    RPC = "rpc"


class TransportInfo(Struct, frozen=True):
    """Connection of a client. `headers`: headers of its HTTP request for the backend, in lower case.

    `name` is that of the transport, `protocol` that of the client protocol, in Centrifugo's its encoding; `encoding` is
    json or binary, the kind of data that the protocol carries.
    """

    name: str = "websocket"
    protocol: str = "json"
    encoding: str = "json"
    remote: str = ""
    headers: Mapping[str, str] = msgspec_field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Caller:
    """Connection that a request is about; `user` is empty until admission, `meta` is from its token."""

    client: str
    user: str
    transport: TransportInfo
    meta: bytes | None = None


@dataclass(frozen=True, slots=True)
class Connecting:
    """Request of a client without a token to be admitted."""

    caller: Caller
    data: bytes
    name: str
    version: str
    channels: tuple[str, ...]
    headers: Mapping[str, str] = field(default_factory=dict)
    """Headers from the connect command, for browsers, which cannot set HTTP headers."""


@dataclass(frozen=True, slots=True)
class Connected:
    """Admission of a client: its claims, with its server-side channels, and raw `data` for it."""

    claims: Claims
    data: bytes | None = None


@dataclass(frozen=True, slots=True)
class Refreshed:
    """Renewal of a connection or a subscription until a Unix time in seconds, None for ever.

    `expired`: it ends now.
    """

    expires_at: float | None = None
    info: bytes | None = None
    expired: bool = False


@dataclass(frozen=True, slots=True)
class Published:
    """Permission to publish: `data` replaces the client's unless None, `skip_history` keeps it out of the history."""

    data: bytes | None = None
    skip_history: bool = False


@dataclass(frozen=True, slots=True)
class Disconnected:
    """Event of an admitted client's disconnect; `connected_seconds` is the duration of the connection."""

    client: str
    user: str
    code: int
    reason: str
    connected_seconds: float


@dataclass(frozen=True, slots=True)
class ChannelOccupied:
    """Event of the first subscriber in a channel, in the whole cluster."""

    channel: str


@dataclass(frozen=True, slots=True)
class ChannelVacated:
    """Event of the last subscriber leaving a channel, in the whole cluster."""

    channel: str


HookEvent: TypeAlias = Disconnected | ChannelOccupied | ChannelVacated


class Backend(Protocol):
    """Backend of the customer. The requests raise CommandError or DisconnectRequestedError on a refusal.

    None as a result: the backend is down, and the policy of this hook is to act as if there were no hook.
    """

    def asks(self, hook: Hook, channel: str = "") -> bool:
        """Return True when this hook is to be called, for `channel` where the hook is about one."""

    @property
    def watches_channels(self) -> bool:
        """True when the backend wants events of occupied and vacated channels."""

    async def connect(self, request: Connecting) -> Connected | None:
        """Ask whether to admit a client."""

    async def refresh(self, caller: Caller) -> Refreshed | None:
        """Ask whether an expired connection goes on."""

    async def subscribe(self, caller: Caller, channel: str, data: bytes, token: str) -> Grant | None:
        """Ask whether a client may subscribe, and under which conditions."""

    async def publish(self, caller: Caller, channel: str, data: bytes) -> Published | None:
        """Ask whether a client may publish, and what."""

    async def sub_refresh(self, caller: Caller, channel: str) -> Refreshed | None:
        """Ask whether an expired subscription goes on."""

    async def rpc(self, caller: Caller, method: str, data: bytes) -> bytes:
        """Return the backend's answer to a client's call as raw data."""

    def emit(self, event: HookEvent) -> None:
        """Deliver an event to the backend, later and at least once. Never blocks."""


class NoBackend:
    """Backend without hooks and events."""

    watches_channels = False

    def asks(self, hook: Hook, channel: str = "") -> bool:
        """Return False."""
        del hook, channel
        return False

    async def connect(self, request: Connecting) -> Connected | None:
        """Return None: there is no hook."""
        del request
        return None

    async def refresh(self, caller: Caller) -> Refreshed | None:
        """Return None: there is no hook."""
        del caller
        return None

    async def subscribe(self, caller: Caller, channel: str, data: bytes, token: str) -> Grant | None:
        """Return None: there is no hook."""
        del caller, channel, data, token
        return None

    async def publish(self, caller: Caller, channel: str, data: bytes) -> Published | None:
        """Return None: there is no hook."""
        del caller, channel, data
        return None

    async def sub_refresh(self, caller: Caller, channel: str) -> Refreshed | None:
        """Return None: there is no hook."""
        del caller, channel
        return None

    async def rpc(self, caller: Caller, method: str, data: bytes) -> bytes:
        """Raise CommandError NOT_AVAILABLE."""
        del caller, method, data
        raise CommandError(NOT_AVAILABLE)

    def emit(self, event: HookEvent) -> None:
        """Ignore the event."""
        del event
