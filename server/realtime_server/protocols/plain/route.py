"""Route of plain clients: what it subscribes them to, and what their messages do. Made from the settings, immutable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from realtime_server.codes import DisconnectCode
from realtime_server.core.auth.claims import Claims
from realtime_server.core.model.namespaces import Namespaces
from realtime_server.protocols.plain.request import RouteRequest
from realtime_server.protocols.plain.route_path import RoutePath
from realtime_server.protocols.plain.selection import Selected, Selection
from realtime_server.protocols.plain.template import ChannelTemplate

BINARY_UNWANTED = DisconnectCode(1003, "this route takes text")
TEXT_UNWANTED = DisconnectCode(1003, "this route takes binary messages")
NOT_JSON = DisconnectCode(1007, "the message is no JSON")
REFUSED = 1008
"""Close code for a message that the rules refuse (RFC 6455, section 7.4.1: policy violation)."""
TOO_BIG = DisconnectCode(1009, "message too big")
FAILED = DisconnectCode(1011, "internal server error")
RESTART = DisconnectCode(1012, "service restart")
"""Close code of a connection that is moved: registered with IANA for a client that shall come back."""


@dataclass(frozen=True, slots=True)
class PublishAction:
    """Action that publishes the message to a channel."""

    channel: ChannelTemplate


@dataclass(frozen=True, slots=True)
class HookAction:
    """Action that passes the message to the backend, whose answer is the reply."""


Action: TypeAlias = PublishAction | HookAction


@dataclass(frozen=True, slots=True)
class Route:
    """Route by its name; `message_bytes` and `messages_per_second` of 0 stand for the server's limits.

    `below`: see RoutePath. `actions` are by their keys. `token_cookie`: name of the cookie with a token, "" for none.
    """

    name: str
    below: tuple[str, ...] = ()
    subprotocols: tuple[str, ...] = ()
    binary: bool = False
    envelope: bool = False
    subscribe: tuple[ChannelTemplate, ...] = ()
    selection: Selection = field(default_factory=Selection)
    actions: Mapping[str, Action] = field(default_factory=dict)
    token_cookie: str = ""
    message_bytes: int = 0
    messages_per_second: int = 0

    @property
    def path(self) -> RoutePath:
        """Path of the route."""
        return RoutePath(self.name, self.below)

    @property
    def templates(self) -> tuple[ChannelTemplate, ...]:
        """All templates of the route."""
        published = (action.channel for action in self.actions.values() if isinstance(action, PublishAction))
        return (*self.subscribe, *published)

    def check_request(self, request: RouteRequest) -> None:
        """Check the client's values for the templates. Raises PlaceholderError."""
        for template in self.templates:
            template.check_request(request)

    def why_no_action(self, selected: Selected) -> str:
        """Return why a message that selects this has no action, and what would be right."""
        keys = [key for key in self.actions if not key.startswith("$")]
        if not keys:
            return "no action is for this message: the route takes none"
        pointer = self.selection.pointer
        if selected.is_json is False:
            return f"no action is for this message: it is no JSON, in which {pointer} would be one of {', '.join(keys)}"
        return f"no action is for this message: {pointer} must be one of {', '.join(keys)}"

    def recoverable(self, namespaces: Namespaces) -> tuple[ChannelTemplate, ...]:
        """Return the templates of the channels in which a client can resume."""
        return tuple(
            template
            for template in self.subscribe
            if (options := namespaces.of(f"{template.namespace}:x" if template.namespace else "x")) is not None
            and options.recovery
        )

    def channels(self, request: RouteRequest, claims: Claims) -> dict[str, ChannelTemplate]:
        """Return the channels of a client with their templates. Raises PlaceholderError.

        Where two templates make the same channel, the one that grants it counts.
        """
        found: dict[str, ChannelTemplate] = {}
        for template in self.subscribe:
            channel = template.channel(claims, request)
            if channel not in found or template.grants:
                found[channel] = template
        return found

    def targets(self, request: RouteRequest, claims: Claims) -> dict[str, tuple[str, bool]]:
        """Return the channels that a client's messages are published to, by action, and whether each is granted.

        Raises PlaceholderError.
        """
        return {
            key: (action.channel.channel(claims, request), action.channel.grants)
            for key, action in self.actions.items()
            if isinstance(action, PublishAction)
        }
