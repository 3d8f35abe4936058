"""Settings of the routes for clients without an SDK: a part of the server's configuration."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from realtime_server.protocols.plain.request import TOKEN_SUBPROTOCOL
from realtime_server.protocols.plain.route import Action, HookAction, PublishAction, Route
from realtime_server.protocols.plain.route_path import parse_path
from realtime_server.protocols.plain.selection import CONNECT, DEFAULT, DISCONNECT, Selection
from realtime_server.protocols.plain.template import ChannelTemplate, Source, parse_template

PREDEFINED = (CONNECT, DEFAULT, DISCONNECT)
TOKEN = r"^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}$"  # noqa: S105 - the pattern of a token of HTTP
"""Pattern of the names of subprotocols and cookies (RFC 9110, section 5.6.2)."""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RouteHook(_Model):
    """Address of the user's backend for an action. `concurrency`: calls of one worker that run at the same time.

    `queue_size`: ends of connections that wait to be delivered, in the whole cluster; only of `$disconnect`.
    """

    url: Annotated[str, Field(pattern="^https?://[^/]+")]
    timeout_seconds: Annotated[float, Field(gt=0, le=60)] = 1
    concurrency: Annotated[int, Field(ge=1, le=10_000)] = 100
    queue_size: Annotated[int, Field(ge=100, le=10_000_000)] = 100_000


class PublishTarget(_Model):
    """Where messages are published. A channel of constants and claims needs no permission of its namespace."""

    channel: str

    @field_validator("channel")
    @classmethod
    def _channel_is_a_template(cls, channel: str) -> str:
        return parse_template(channel).text


class RouteAction(_Model):
    """What a message does whose selected text is `key`: one of `publish` and `hook`.

    `$default` is for messages that select no other action; `$connect` and `$disconnect` are for the beginning and the
    end of a connection, and have a hook.
    """

    key: Annotated[str, Field(min_length=1, max_length=128)]
    publish: PublishTarget | None = None
    hook: RouteHook | None = None

    @model_validator(mode="after")
    def _does_one_thing(self) -> Self:
        if (self.publish is None) == (self.hook is None):
            raise ValueError(f"{self.key}: set one of publish and hook")
        if self.key.startswith("$") and self.key not in PREDEFINED:
            raise ValueError(f"{self.key}: keys that begin with $ are {', '.join(PREDEFINED)}")
        if self.key in {CONNECT, DISCONNECT} and self.hook is None:
            raise ValueError(f"{self.key}: is no message that could be published; set hook")
        return self

    def to_action(self) -> Action:
        """Return the action in the form of the protocol."""
        return HookAction() if self.publish is None else PublishAction(parse_template(self.publish.channel))


class RouteLimits(_Model):
    """Limits of a route's connections that are lower than those of the server; None for the server's."""

    message_bytes: Annotated[int | None, Field(ge=1)] = None
    messages_per_second: Annotated[int | None, Field(ge=1)] = None


class WebSocketRoute(_Model):
    """Route at `/ws/NAME`, for any WebSocket client, and without an upgrade for Server-Sent Events.

    `path`: what is below that, like `/{room}`, whose placeholders are `{path.room}` in templates.
    `subscribe`: templates of the channels that each client gets. `envelope`: messages are JSON objects that say their
    channel and position; with `none` they are the bare data. `selection`: JSON pointer (RFC 6901) to the text in a
    message that selects one of `actions`. `token_cookie`: name of a cookie that has the token.
    """

    name: Annotated[str, Field(max_length=64, pattern="^[a-z0-9]([a-z0-9._-]*[a-z0-9])?$")]
    path: Annotated[str, Field(max_length=255)] = ""
    subprotocols: Annotated[tuple[Annotated[str, Field(pattern=TOKEN)], ...], Field(max_length=16)] = ()
    format: Literal["text", "binary"] = "text"
    envelope: Literal["none", "json"] = "none"
    subscribe: Annotated[tuple[str, ...], Field(max_length=32)] = ()
    selection: str = ""
    actions: Annotated[tuple[RouteAction, ...], Field(max_length=64)] = ()
    token_cookie: Annotated[str | None, Field(pattern=TOKEN)] = None
    limits: RouteLimits = RouteLimits()

    @field_validator("subscribe")
    @classmethod
    def _channels_are_templates(cls, channels: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(parse_template(channel).text for channel in channels)

    @field_validator("subprotocols")
    @classmethod
    def _subprotocols_are_free(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if TOKEN_SUBPROTOCOL in names:
            raise ValueError(f"{TOKEN_SUBPROTOCOL} announces a token in the next subprotocol: use another name")
        return names

    @field_validator("selection")
    @classmethod
    def _selection_is_a_pointer(cls, pointer: str) -> str:
        Selection(pointer)
        return pointer

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        keys = [action.key for action in self.actions]
        twice = sorted({key for key in keys if keys.count(key) > 1})
        if twice:
            raise ValueError(f"{self.name}: the action {twice[0]} is defined twice")
        if self.envelope == "json" and self.format == "binary":
            raise ValueError(f"{self.name}: an envelope is text: set format to text, or envelope to none")
        selected = [key for key in keys if key not in PREDEFINED]
        if selected and not self.selection:
            raise ValueError(f"{self.name}: the action {selected[0]} needs selection, which says where its key is")
        self._check_path()
        if not self.subscribe and not self.actions:
            raise ValueError(f"{self.name}: has neither subscribe nor actions, so it would do nothing")
        return self

    def _check_path(self) -> None:
        """Raise ValueError for a path that cannot be used, or without a placeholder that a template has."""
        path = parse_path(self.name, self.path)
        for template in self.to_route().templates:
            for placeholder in template.placeholders:
                if placeholder.source is Source.PATH and placeholder.name not in path.placeholders:
                    raise ValueError(
                        f"{self.name}: {template.text}: {placeholder} is not in the path {path}; add"
                        f" /{{{placeholder.name}}} to path"
                    )

    def hook_of(self, key: str) -> RouteHook | None:
        """Return the hook of the action with this key, if there is one."""
        return next((action.hook for action in self.actions if action.key == key), None)

    def to_route(self) -> Route:
        """Return the route in the form of the protocol."""
        return Route(
            self.name,
            below=parse_path(self.name, self.path).below,
            subprotocols=self.subprotocols,
            binary=self.format == "binary",
            envelope=self.envelope == "json",
            subscribe=tuple(map(parse_template, self.subscribe)),
            selection=Selection(self.selection, idents=self.envelope == "json"),
            actions={action.key: action.to_action() for action in self.actions},
            token_cookie=self.token_cookie or "",
            message_bytes=self.limits.message_bytes or 0,
            messages_per_second=self.limits.messages_per_second or 0,
        )


class WebSocketRoutes(_Model):
    """Routes for clients without an SDK."""

    routes: Annotated[tuple[WebSocketRoute, ...], Field(max_length=64)] = ()

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        names = [route.name for route in self.routes]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"routes: {twice[0]} is defined twice")
        return self

    @property
    def has_hooks(self) -> bool:
        """True when an action of a route has a hook."""
        return any(action.hook is not None for route in self.routes for action in route.actions)

    def templates(self) -> Iterator[tuple[WebSocketRoute, ChannelTemplate]]:
        """Yield all templates with their routes."""
        for route in self.routes:
            for template in route.to_route().templates:
                yield route, template


def check_routes(routes: WebSocketRoutes, namespaces: frozenset[str], *, origins: bool) -> None:
    """Raise ValueError for a route that does not fit the rest of the configuration.

    `namespaces` are the names of all namespaces; `origins`: only some pages may connect.
    """
    for route, template in routes.templates():
        if template.namespace is not None and template.namespace not in namespaces:
            raise ValueError(
                f"protocols.web_socket.routes: {route.name}: {template.text}: there is no namespace"
                f" {template.namespace}; define it in namespaces"
            )
    for route in routes.routes:
        if route.token_cookie is not None and not origins:
            raise ValueError(
                f"protocols.web_socket.routes: {route.name}: token_cookie needs origins: browsers send a cookie for"
                " pages of any origin, which would connect as the user"
            )
