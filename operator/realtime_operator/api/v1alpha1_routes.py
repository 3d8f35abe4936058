"""Models of the part of the spec about routes for clients without an SDK."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field

from realtime_operator.api import quantity
from realtime_operator.api.base import Check, Model, rule
from realtime_operator.api.fields import Size
from realtime_operator.api.lists import MAP_BY_KEY, MAP_BY_NAME, SET
from realtime_operator.api.v1alpha1_hooks import HookEndpoint

ROUTE_NAME = "^[a-z0-9]([-a-z0-9._]*[a-z0-9])?$"
TOKEN = "^[-!#$%&*+.^_`|~0-9A-Za-z]+$"  # noqa: S105 - the pattern of a token of HTTP
TOKEN_SUBPROTOCOL = "access_token"  # noqa: S105 - the name of a subprotocol
ROUTE_PATH = "^(/([a-z0-9._-]{1,64}|[{][-A-Za-z0-9_]{1,64}[}])){0,8}$"
POINTER = "^(/([^~]|~[01])*)?$"
PREDEFINED = ("$connect", "$default", "$disconnect")
_PLACEHOLDER = "[{](sub|(meta|path)[.][-A-Za-z0-9_]{1,64}|query[.][-A-Za-z0-9_.]{1,64}|header[.][-a-z0-9]{1,64})[}]"
TEMPLATE = f"^([^{{}}: ]*:([^{{}} ]|{_PLACEHOLDER})*|([^{{}}: ]|{_PLACEHOLDER})+)$"
"""Pattern of templates: the namespace, before the first colon, is constant. Servers check the rest when they start."""
MAX_CHANNEL_BYTES = 255
_CREDENTIALS = "access_token|authorization|cookie|proxy-authorization|sec-websocket-protocol"
SECRET_PLACEHOLDER = f"[{{](query|header)[.]({_CREDENTIALS})[}}]"


def _is_template(text: str) -> bool:
    return (
        re.fullmatch(TEMPLATE, text) is not None
        and re.search(SECRET_PLACEHOLDER, text) is None
        and text.count("{") <= 8
        and text.isprintable()
        and len(text.encode()) <= MAX_CHANNEL_BYTES
    )


ChannelTemplate = Annotated[
    str,
    Field(min_length=1, max_length=MAX_CHANNEL_BYTES),
    Check(
        f"self.matches('{TEMPLATE}') && !self.matches('{SECRET_PLACEHOLDER}') && self.split('{{').size() <= 9"
        f" && bytes(self).size() <= {MAX_CHANNEL_BYTES}",
        "must be a channel with placeholders like orders:{query.id}, whose namespace is constant: {sub}, {meta.NAME},"
        " {path.NAME}, {query.NAME} and {header.name} without credentials, at most 8 of them",
        _is_template,
    ),
]
HttpToken = Annotated[
    str,
    Field(min_length=1, max_length=64),
    Check(
        f"self.matches('{TOKEN}')",
        "must be letters, digits and other characters that HTTP allows in a name",
        lambda text: re.fullmatch(TOKEN, text) is not None,
    ),
]


def namespace_of(template: str) -> str | None:
    """Return the namespace of a template's channels, None for channels without one."""
    name, colon, _ = template.removeprefix("$").partition(":")
    return name if colon and "#" not in name else None


def path_placeholders_of(template: str) -> list[str]:
    """Return the names of a template's placeholders that are in the path of its route."""
    return re.findall("[{]path[.]([^{}]*)[}]", template)


class RouteHook(HookEndpoint):
    """Endpoint of the backend that gets CloudEvents 1.0 in the binary mode of HTTP."""

    queue_size: Annotated[int, Field(ge=100, le=10_000_000)] = 100_000
    """Upper bound of the events of `$disconnect` that wait in Redis. Above it, the oldest are dropped. Without effect
    for other actions."""


class PublishTarget(Model):
    """Target of messages that are published."""

    channel: ChannelTemplate
    """Template of the channel. Where it has values of the client, the namespace decides who may publish; one of
    constants and claims is granted by the route."""


class RouteAction(Model):
    """What a message does."""

    key: Annotated[str, Field(min_length=1, max_length=128)]
    """Text in a message that selects this action, at the place that `selection` names. `$default` is for messages that
    select no other action; `$connect` and `$disconnect` are for the beginning and the end of a connection."""
    publish: PublishTarget | None = None
    """Publication of the message in a channel."""
    hook: RouteHook | None = None
    """Endpoint of the backend that the message is sent to; its answer is the reply."""

    @rule(
        "has(self.publish) != has(self.hook)",
        "set one of publish and hook: an action does one thing",
    )
    def _does_one_thing(self) -> bool:
        return (self.publish is None) != (self.hook is None)

    @rule(
        f"!self.key.startsWith('$') || self.key in {list(PREDEFINED)}",
        f"key must not begin with $, except for {', '.join(PREDEFINED)}",
        field="key",
    )
    def _key_is_known(self) -> bool:
        return not self.key.startswith("$") or self.key in PREDEFINED

    @rule(
        "!(self.key in ['$connect', '$disconnect']) || has(self.hook)",
        "$connect and $disconnect need a hook: there is no message to publish",
        field="hook",
    )
    def _ends_have_hooks(self) -> bool:
        return self.key not in {"$connect", "$disconnect"} or self.hook is not None


class RouteLimits(Model):
    """Limits of a route's connections, where they are lower than those of `spec.server.limits`."""

    message_bytes: Size | None = None
    """Largest message of a client, in bytes as a quantity. Above it, the connection is closed with code 1009. Defaults
    to the servers' limit."""
    messages_per_second: Annotated[int, Field(ge=1, le=100_000)] | None = None
    """Messages per second that one connection may send, ten seconds' worth of them at once. Above it, the connection is
    read more slowly. Defaults to the servers' limit."""

    @property
    def message_bytes_number(self) -> int | None:
        """`message_bytes` as a number."""
        return None if self.message_bytes is None else quantity.whole(self.message_bytes)


class WebSocketRoute(Model):
    """Route at `/ws/NAME` for clients without an SDK."""

    name: Annotated[
        str,
        Field(max_length=63),
        Check(
            f"self.matches('{ROUTE_NAME}')",
            "must be a part of a path in lower case: letters, digits, -, _ and .",
            lambda text: re.fullmatch(ROUTE_NAME, text) is not None,
        ),
    ]
    """Name of the route, which is at `/ws/NAME`."""
    path: Annotated[
        str,
        Field(max_length=255),
        Check(
            f"self.matches('{ROUTE_PATH}')",
            "must be segments like /{room} or /{room}/messages, at most 8, in which constants are lower-case letters,"
            " digits, -, _ and .",
            lambda text: re.fullmatch(ROUTE_PATH, text) is not None,
        ),
    ] = ""
    """Path of the route below `/ws/NAME`. With `/{room}` the route `rooms` is at `/ws/rooms/{room}`, and `{path.room}`
    in its templates is what a client has there."""
    subprotocols: Annotated[tuple[HttpToken, ...], Field(max_length=8), SET] = ()
    """Subprotocols that the servers accept. The first one that the client offers is chosen."""
    format: Literal["Text", "Binary"] = "Text"
    """Format of messages in both directions. A message of the other format closes the connection with code 1003."""
    envelope: Literal["None", "Json"] = "None"
    """Envelope of messages to clients. `None`: the bare data. `Json`: a JSON object with the channel, the position to
    resume from, and the data."""
    subscribe: Annotated[tuple[ChannelTemplate, ...], Field(max_length=16), SET] = ()
    """Templates of the channels that each client gets. Where one has values of the client, the namespace decides who
    may subscribe; one of constants and claims is granted by the route."""
    selection: Annotated[
        str,
        Field(max_length=255),
        Check(
            f"self.matches('{POINTER}')",
            "must be a JSON pointer (RFC 6901) like /action",
            lambda text: re.fullmatch(POINTER, text) is not None,
        ),
    ] = ""
    """JSON pointer (RFC 6901) to the text in a message that selects its action. All messages go to `$default` when
    empty."""
    actions: Annotated[tuple[RouteAction, ...], Field(max_length=32), MAP_BY_KEY] = ()
    """Actions of messages, by their keys. A route without actions takes no messages."""
    token_cookie: HttpToken | None = None
    """Name of a cookie that has the token, for browsers. Needs `server.origins`: browsers send cookies for pages of any
    origin."""
    limits: RouteLimits = RouteLimits()
    """Limits of the route's connections."""

    @rule(
        "!has(self.envelope) || self.envelope == 'None' || !has(self.format) || self.format == 'Text'",
        "envelope needs the format Text: an envelope is JSON",
        field="envelope",
    )
    def _envelope_is_text(self) -> bool:
        return self.envelope == "None" or self.format == "Text"

    @rule(
        "(has(self.selection) && self.selection != '') || !has(self.actions)"
        f" || self.actions.all(action, action.key in {list(PREDEFINED)})",
        "selection is needed: it says where a message has the key of its action",
        field="selection",
    )
    def _keys_can_be_selected(self) -> bool:
        return bool(self.selection) or all(action.key in PREDEFINED for action in self.actions)

    @rule(
        "(has(self.subscribe) && self.subscribe.size() > 0) || (has(self.actions) && self.actions.size() > 0)",
        "subscribe or actions is needed: otherwise the route would do nothing",
    )
    def _does_something(self) -> bool:
        return bool(self.subscribe or self.actions)

    @rule(
        f"!has(self.subprotocols) || !('{TOKEN_SUBPROTOCOL}' in self.subprotocols)",
        f"subprotocols must not contain {TOKEN_SUBPROTOCOL}, after which a client offers its token",
        field="subprotocols",
    )
    def _subprotocols_are_free(self) -> bool:
        return TOKEN_SUBPROTOCOL not in self.subprotocols

    @property
    def placeholders(self) -> tuple[str, ...]:
        """Names of the placeholders in the path."""
        return tuple(re.findall("[{]([^{}]*)[}]", self.path))

    @property
    def templates(self) -> dict[str, str]:
        """Templates of channels by their paths below the route."""
        found = {f"subscribe[{index}]": text for index, text in enumerate(self.subscribe)}
        for index, action in enumerate(self.actions):
            if action.publish is not None:
                found[f"actions[{index}].publish.channel"] = action.publish.channel
        return found


class WebSocketProtocol(Model):
    """Routes for clients without an SDK: any WebSocket client, and Server-Sent Events."""

    routes: Annotated[tuple[WebSocketRoute, ...], Field(max_length=32), MAP_BY_NAME] = ()
    """Routes, each at `/ws/NAME`."""

    @property
    def has_hooks(self) -> bool:
        """True when an action of a route has a hook."""
        return any(action.hook is not None for route in self.routes for action in route.actions)
