"""What the user's backend may decide, and what it is told: the port of the hooks, and its types.

Source of the semantics: Centrifugo's proxy protocol. A request hook answers before the client is answered; an event is
told later, at least once.
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
"""When the backend is asked again that could not be asked whether a connection or a subscription goes on."""


class Hook(StrEnum):
    """A question to the backend."""

    CONNECT = "connect"
    REFRESH = "refresh"
    SUBSCRIBE = "subscribe"
    PUBLISH = "publish"
    SUB_REFRESH = "sub_refresh"
    RPC = "rpc"


class TransportInfo(Struct, frozen=True):
    """How a client is connected. `headers`: those of its HTTP request that the backend is to see, in lower case."""

    name: str = "websocket"
    encoding: str = "json"
    remote: str = ""
    headers: Mapping[str, str] = msgspec_field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Caller:
    """The connection that a question is about; `user` is empty until it is let in, `meta` is what its token says."""

    client: str
    user: str
    transport: TransportInfo
    meta: bytes | None = None


@dataclass(frozen=True, slots=True)
class Connecting:
    """A client without a token wants to come in."""

    caller: Caller
    data: bytes
    name: str
    version: str
    channels: tuple[str, ...]
    headers: Mapping[str, str] = field(default_factory=dict)
    """What the client gave in its connect command instead of headers: for browsers."""


@dataclass(frozen=True, slots=True)
class Connected:
    """It may: who it is, its server-side channels in the claims, and raw `data` for it."""

    claims: Claims
    data: bytes | None = None


@dataclass(frozen=True, slots=True)
class Refreshed:
    """How long a connection or a subscription goes on: Unix time in seconds, None for ever. `expired`: it ends now."""

    expires_at: float | None = None
    info: bytes | None = None
    expired: bool = False


@dataclass(frozen=True, slots=True)
class Published:
    """A client may publish: what, if that is not what it sent, and whether it is kept."""

    data: bytes | None = None
    skip_history: bool = False


@dataclass(frozen=True, slots=True)
class Disconnected:
    """A client that was let in is gone. `connected_seconds`: how long it was there."""

    client: str
    user: str
    code: int
    reason: str
    connected_seconds: float


@dataclass(frozen=True, slots=True)
class ChannelOccupied:
    """A channel has its first subscriber in the whole cluster."""

    channel: str


@dataclass(frozen=True, slots=True)
class ChannelVacated:
    """A channel's last subscriber in the whole cluster is gone."""

    channel: str


HookEvent: TypeAlias = Disconnected | ChannelOccupied | ChannelVacated


class Backend(Protocol):
    """The user's backend. The questions raise CommandError or DisconnectRequestedError when the answer is no.

    None as an answer: the backend is down, and this hook's policy is to go on as if there were no hook.
    """

    def asks(self, hook: Hook, channel: str = "") -> bool:
        """Whether this question is asked, for a channel where it is about one."""

    @property
    def watches_channels(self) -> bool:
        """Whether the backend wants to know which channels are occupied."""

    async def connect(self, request: Connecting) -> Connected | None:
        """Ask whether a client may come in."""

    async def refresh(self, caller: Caller) -> Refreshed | None:
        """Ask whether a connection goes on whose time is over."""

    async def subscribe(self, caller: Caller, channel: str, data: bytes, token: str) -> Grant | None:
        """Ask whether a client may subscribe."""

    async def publish(self, caller: Caller, channel: str, data: bytes) -> Published | None:
        """Ask whether a client may publish."""

    async def sub_refresh(self, caller: Caller, channel: str) -> Refreshed | None:
        """Ask whether a subscription goes on whose time is over."""

    async def rpc(self, caller: Caller, method: str, data: bytes) -> bytes:
        """Answer a call of the client with raw data."""

    def emit(self, event: HookEvent) -> None:
        """Tell the backend, later and at least once; never blocks."""


class NoBackend:
    """Implements Backend: nothing is asked, nothing is told."""

    watches_channels = False

    def asks(self, hook: Hook, channel: str = "") -> bool:
        """Never."""
        del hook, channel
        return False

    async def connect(self, request: Connecting) -> Connected | None:
        """Go on."""
        del request
        return None

    async def refresh(self, caller: Caller) -> Refreshed | None:
        """Go on."""
        del caller
        return None

    async def subscribe(self, caller: Caller, channel: str, data: bytes, token: str) -> Grant | None:
        """Go on."""
        del caller, channel, data, token
        return None

    async def publish(self, caller: Caller, channel: str, data: bytes) -> Published | None:
        """Go on."""
        del caller, channel, data
        return None

    async def sub_refresh(self, caller: Caller, channel: str) -> Refreshed | None:
        """Go on."""
        del caller, channel
        return None

    async def rpc(self, caller: Caller, method: str, data: bytes) -> bytes:
        """There is nobody who could answer."""
        del caller, method, data
        raise CommandError(NOT_AVAILABLE)

    def emit(self, event: HookEvent) -> None:
        """Nobody wants to know."""
        del event
