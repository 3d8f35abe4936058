"""Port of the hooks of routes: what plain clients' messages go to, and the ends of their connections."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from realtime_server.core.ports.backend import Caller, Disconnected


class Opened(NamedTuple):
    """Connection that a client opens on a route: the values in its URL and in the path of it, and its channels."""

    path: Mapping[str, Sequence[str]]
    query: Mapping[str, Sequence[str]]
    channels: Sequence[str]


class RouteMessage(NamedTuple):
    """Message of a client; `key` is that of the action that it selects. `is_json`: it was read, and is JSON."""

    key: str
    data: bytes
    binary: bool
    is_json: bool = False


class RouteHooks(Protocol):
    """Hooks of all routes. The requests return the backend's reply, b"" for none, and raise CommandError."""

    async def connect(self, route: str, caller: Caller, opened: Opened) -> bytes:
        """Ask whether a client may use a route."""

    async def message(self, route: str, caller: Caller, message: RouteMessage) -> bytes:
        """Pass a message of a client to the hook of its action."""

    def disconnected(self, route: str, caller: Caller, event: Disconnected) -> None:
        """Deliver the end of a connection, later and at least once. Never blocks."""


class NoRouteHooks:
    """Hooks of routes that have none. Implements RouteHooks."""

    async def connect(self, route: str, caller: Caller, opened: Opened) -> bytes:
        """Return no reply."""
        del route, caller, opened
        return b""

    async def message(self, route: str, caller: Caller, message: RouteMessage) -> bytes:
        """Return no reply."""
        del route, caller, message
        return b""

    def disconnected(self, route: str, caller: Caller, event: Disconnected) -> None:
        """Do nothing."""
        del route, caller, event
