"""Settings of the client protocols: a part of the server's configuration."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from realtime_server.core.model.namespaces import DEFAULT
from realtime_server.route_settings import WebSocketRoutes

RESERVED_PATHS = ("/connection/", "/emulation/", "/health/", "/api/", "/ws/")
"""Beginnings of paths that are the server's own."""


class Centrifuge(BaseModel):
    """Centrifugo's protocol: WebSocket, SSE, HTTP streaming, `/emulation`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    enabled: bool = True


class SocketIoNamespace(BaseModel):
    """A namespace of Socket.IO, `name` with its slash.

    Its rooms are the channels of the namespace `channel_namespace`; without one a room is the channel of its name.
    Sockets recover where that namespace is ordered.
    `client_events`: events with which clients join rooms, publish in them, and read their history and who is there; all
    others are for the hook `rpc`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(max_length=64, pattern=r"^/[a-zA-Z0-9_./~-]*$")]
    channel_namespace: str | None = None
    client_events: tuple[Literal["subscribe", "publish", "history", "presence"], ...] = ("subscribe", "publish")


RedisName = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[a-zA-Z0-9_.:/{}-]+$")]
"""Name or beginning of names in Redis, without characters that patterns of pub/sub have."""


class RedisEmitter(BaseModel):
    """Format of @socket.io/redis-emitter; `key` is its option, the beginning of its pub/sub channels."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: RedisName = "socket.io"


class RedisStreamsEmitter(BaseModel):
    """Format of @socket.io/redis-streams-emitter; `stream` is its option `streamName`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    stream: RedisName = "socket.io"


class PythonEmitter(BaseModel):
    """Format of python-socketio's RedisManager, from 5.14 on; `channel` is its argument."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    channel: RedisName = "socketio"


class Emitters(BaseModel):
    """Formats in which backends may write to the Redis of `backplane`. One that is absent is not read."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    redis_emitter: RedisEmitter | None = None
    redis_streams: RedisStreamsEmitter | None = None
    python_socketio: PythonEmitter | None = None

    @property
    def are_read(self) -> bool:
        """True when there is a format to read."""
        return any(each is not None for each in (self.redis_emitter, self.redis_streams, self.python_socketio))


class SocketIo(BaseModel):
    """Socket.IO 4: WebSocket and polling on one path, whose slash at the end clients add.

    Without `namespaces` there is `/`, as clients connect to it unless they name another one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    enabled: bool = False
    path: Annotated[str, Field(max_length=128, pattern=r"^/([a-zA-Z0-9_.~-]+/)+$")] = "/socket.io/"
    namespaces: tuple[SocketIoNamespace, ...] = ()
    emitters: Emitters = Emitters()

    @field_validator("path")
    @classmethod
    def _path_is_free(cls, path: str) -> str:
        if path.startswith(RESERVED_PATHS):
            raise ValueError(f"paths of the server begin with {', '.join(RESERVED_PATHS)}: set another one")
        return path

    @field_validator("namespaces")
    @classmethod
    def _names_differ(cls, namespaces: tuple[SocketIoNamespace, ...]) -> tuple[SocketIoNamespace, ...]:
        names = [namespace.name for namespace in namespaces]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"{twice[0]} is defined twice")
        return namespaces

    @property
    def served(self) -> tuple[SocketIoNamespace, ...]:
        """Namespaces that clients may connect to."""
        return self.namespaces or (SocketIoNamespace(name="/"),)

    def require_channel_namespaces(self, names: Collection[str]) -> None:
        """Raise ValueError when rooms are to be channels of a namespace that is not one of these."""
        for each in self.namespaces:
            if each.channel_namespace not in {None, DEFAULT, *names}:
                raise ValueError(
                    f"protocols.socket_io.namespaces: {each.name} is for channels of {each.channel_namespace},"
                    " which is not one of the namespaces"
                )


class Protocols(BaseModel):
    """Protocols that clients may use. The paths of one that is off answer 404.

    `web_socket` has the routes for clients without an SDK.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    centrifuge: Centrifuge = Centrifuge()
    socket_io: SocketIo = SocketIo()
    web_socket: WebSocketRoutes = WebSocketRoutes()

    @model_validator(mode="after")
    def _one_is_on(self) -> Self:
        if not (self.centrifuge.enabled or self.socket_io.enabled or self.web_socket.routes):
            raise ValueError(
                "no client could connect: enable at least one of centrifuge, socket_io, or define a route in web_socket"
            )
        return self
