"""Models of the part of the spec about client protocols."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field

from realtime_operator.api.base import Check, Model, rule
from realtime_operator.api.fields import NamespaceName
from realtime_operator.api.lists import MAP_BY_NAME, SET
from realtime_operator.api.v1alpha1_routes import WebSocketProtocol

OWN_PATHS = ("/connection/", "/emulation/", "/health/", "/api/", "/ws/")
"""Beginnings of paths on the servers' port for clients that are no client protocol's to choose."""
CENTRIFUGE_PATH = "/connection/"
ROUTES_PATH = "/ws/"
_PATH = "^/([a-zA-Z0-9_.~-]+/)+$"
_SOCKET_NAMESPACE = "^/[a-zA-Z0-9_./~-]*$"

SocketIoPath = Annotated[
    str,
    Field(max_length=128),
    Check(
        f"self.matches('{_PATH}')",
        "must be a path that begins and ends with /, like /socket.io/",
        lambda path: re.fullmatch(_PATH, path) is not None,
    ),
    Check(
        " && ".join(f"!self.startsWith('{path}')" for path in OWN_PATHS),
        f"must not begin with {', '.join(OWN_PATHS)}, which are the servers' own",
        lambda path: not path.startswith(OWN_PATHS),
    ),
]
SocketNamespaceName = Annotated[
    str,
    Field(max_length=64),
    Check(
        f"self.matches('{_SOCKET_NAMESPACE}')",
        "must be / or a name that begins with it, like /chat",
        lambda name: re.fullmatch(_SOCKET_NAMESPACE, name) is not None,
    ),
]
_REDIS_NAME = "^[a-zA-Z0-9_.:/{}-]+$"
RedisName = Annotated[
    str,
    Field(min_length=1, max_length=64),
    Check(
        f"self.matches('{_REDIS_NAME}')",
        "must have letters, digits and _.:/{}- only, as it becomes a part of patterns",
        lambda name: re.fullmatch(_REDIS_NAME, name) is not None,
    ),
]


class CentrifugeProtocol(Model):
    """Centrifugo's client protocol: WebSocket, SSE and HTTP streaming."""

    mode: Literal["Enabled", "Disabled"] = "Enabled"
    """Availability of the protocol. `Disabled`: its paths, which begin with `/connection/`, and `/emulation` answer
    404. Commands that connect as clients do, like `realtime probe`, need it."""


class SocketNamespace(Model):
    """Namespace of Socket.IO: what clients name in `io("/chat")`. It is not a channel namespace."""

    name: SocketNamespaceName
    """Name with its slash."""
    channel_namespace: NamespaceName | None = None
    """Channel namespace of its rooms, one of `spec.namespaces`: with `chat`, the room `lobby` is the channel
    `chat:lobby`. With `recovery: Ordered` of that namespace, sockets recover their rooms and the events that they
    missed. When absent, the name of a room is that of its channel."""
    client_events: Annotated[
        tuple[Literal["Subscribe", "Publish", "History", "Presence"], ...], Field(max_length=4), SET
    ] = ("Subscribe", "Publish")
    """Events of clients that the servers handle themselves, with the permissions of the channel.

    `Subscribe`: `subscribe` and `unsubscribe` join and leave the room in their first argument; `Publish`: `publish`
    sends an event to a room; `History`: `history` reads what was published in a room; `Presence`: `presence` tells who
    is in it. All other events, and these where they are not listed, are for `hooks.rpc`.
    """


class Emitters(Model):
    """Formats in which backends may write to the Redis of the cluster what sockets of all servers are to get.

    Whoever may write to that Redis may send to every socket.
    """

    formats: Annotated[
        tuple[Literal["RedisEmitter", "RedisStreams", "PythonSocketIO"], ...], Field(max_length=3), SET
    ] = ()
    """Formats that the servers read.

    `RedisEmitter`: of npm's `@socket.io/redis-emitter`, which emitters of other languages have too. `RedisStreams`: of
    `@socket.io/redis-streams-emitter`. `PythonSocketIO`: of `RedisManager` of python-socketio from 5.14 on; messages of
    earlier versions are pickles, which are never read.
    """
    key: RedisName = "socket.io"
    """Option `key` of `@socket.io/redis-emitter`: the beginning of the names of its channels."""
    stream: RedisName = "socket.io"
    """Option `streamName` of `@socket.io/redis-streams-emitter`: the key of the stream."""
    channel: RedisName = "socketio"
    """Argument `channel` of python-socketio's `RedisManager`."""


class SocketIoProtocol(Model):
    """Socket.IO 4: WebSocket and polling, with an upgrade from one to the other."""

    mode: Literal["Enabled", "Disabled"] = "Disabled"
    """Availability of the protocol."""
    path: SocketIoPath = "/socket.io/"
    """Path of all transports. An Ingress with `paths` needs it, or /."""
    namespaces: Annotated[tuple[SocketNamespace, ...], Field(max_length=16), MAP_BY_NAME] = ()
    """Namespaces that clients may connect to. Others are refused with `Invalid namespace`. When empty there is `/`."""
    emitters: Emitters = Emitters()
    """Formats of existing backends that emit over Redis."""


class Protocols(Model):
    """Protocols that clients may use. A channel is the same in all of them."""

    centrifuge: CentrifugeProtocol = CentrifugeProtocol()
    """Centrifugo's client protocol."""
    socket_io: Annotated[SocketIoProtocol, Field(alias="socketIO")] = SocketIoProtocol()
    """Socket.IO's protocol."""
    web_socket: WebSocketProtocol = WebSocketProtocol()
    """Routes for clients without an SDK."""

    @rule(
        "!has(self.centrifuge) || !has(self.centrifuge.mode) || self.centrifuge.mode == 'Enabled'"
        " || (has(self.socketIO) && has(self.socketIO.mode) && self.socketIO.mode == 'Enabled')"
        " || (has(self.webSocket) && has(self.webSocket.routes) && self.webSocket.routes.size() > 0)",
        "one protocol must be Enabled, or no client could connect: centrifuge or socketIO, or webSocket by a route",
        field="centrifuge",
    )
    def _one_is_enabled(self) -> bool:
        return "Enabled" in {self.centrifuge.mode, self.socket_io.mode} or bool(self.web_socket.routes)

    def is_reached_by(self, path: str) -> bool:
        """Return True if a client of an enabled protocol connects to a path that begins with `path`."""
        bases = {
            CENTRIFUGE_PATH: self.centrifuge.mode == "Enabled",
            self.socket_io.path: self.socket_io.mode == "Enabled",
            ROUTES_PATH: bool(self.web_socket.routes),
        }
        begins = path if path.endswith("/") else f"{path}/"
        return any(is_on and (begins.startswith(base) or base.startswith(begins)) for base, is_on in bases.items())
