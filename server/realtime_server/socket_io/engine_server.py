"""Engine.IO connections of one worker, found by their ids."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from functools import partial

from realtime_server import codes
from realtime_server.core.limits.rates import MessageRate
from realtime_server.core.node import Node
from realtime_server.core.ports.backend import TransportInfo
from realtime_server.core.ports.client import Connection
from realtime_server.core.sessions.session import SessionContext
from realtime_server.protocols.socket_io.engine_requests import Answer, TransportName
from realtime_server.protocols.socket_io.namespace_codec import Framing, NamespaceCodec
from realtime_server.socket_io.cluster_sockets import ClusterSockets
from realtime_server.socket_io.emissions import Emissions
from realtime_server.socket_io.engine_connection import EngineConnection, EngineContext
from realtime_server.socket_io.engine_socket import EngineSocket
from realtime_server.socket_io.far_websockets import FarWebSockets
from realtime_server.socket_io.forwarded_requests import (
    ForwardedRequest,
    answer_forwarded,
    forward,
    is_elsewhere,
)
from realtime_server.socket_io.polling_wire import PollingFlusher
from realtime_server.socket_io.room_operations import RoomOperations
from realtime_server.socket_io.socket_handlers import SocketHandlers
from realtime_server.socket_io.socket_index import SocketIndex
from realtime_server.socket_io.socket_namespace import SocketNamespace
from realtime_server.socket_io.socket_requests import SocketRequestHandler
from realtime_server.socket_io.websocket_relay import Holder, WebSocketRelay

BEAT_SECONDS = 1.0


class EngineServer:
    """Connections of a worker. `max_connections` bounds those that have no socket yet, too.

    `emissions` and `rooms`: what backends do with its sockets; `cluster`: with those of all workers.
    """

    def __init__(
        self,
        node: Node,
        namespaces: Iterable[SocketNamespace],
        framing: Framing,
        *,
        max_connections: int,
    ) -> None:
        settings = node.settings
        limits = settings.limits
        self._node = node
        self._framing = framing
        self._max_connections = max_connections
        self._connections: dict[str, EngineConnection] = {}
        self._timer: asyncio.TimerHandle | None = None
        served = {namespace.name: namespace for namespace in namespaces}
        sockets = SocketIndex(served, node.hub)
        self.emissions = Emissions(sockets, max_bytes=limits.reply_bytes)
        self.rooms = RoomOperations(sockets, node.operations)
        handler = SocketRequestHandler(sockets, self.emissions, self.rooms, answer_bytes=node.asks.answer_bytes)
        handler.serve(node)
        self.cluster = ClusterSockets(node, served)
        self._context = EngineContext(
            node,
            served,
            SocketHandlers(node.operations, node.settings.limits, sockets),
            framing,
            PollingFlusher(framing.split),
            MessageRate(limits.messages_per_second, limits.message_burst),
            settings.heartbeat_interval,
            settings.heartbeat_timeout,
            self._on_closed,
        )
        self._unheard = NamespaceCodec("/", framing)
        """Codec of relays, which encode nothing."""
        self.far_websockets = FarWebSockets(node, self.find, self.upgrade)

    def __len__(self) -> int:
        """Return the number of connections."""
        return len(self._connections)

    @property
    def has_room(self) -> bool:
        """True while one more connection may open."""
        return max(len(self._node.sessions), len(self._connections)) < self._max_connections

    def find(self, sid: str) -> EngineConnection | None:
        """Return the connection with this id, or None."""
        return self._connections.get(sid)

    def transport_of(self, sid: str) -> TransportName | None:
        """Return the transport of a connection, None when there is none; one that another worker may have polls."""
        connection = self.find(sid)
        if connection is not None:
            return connection.transport
        return TransportName.POLLING if is_elsewhere(self._node, sid) else None

    async def forward(self, sid: str, request: ForwardedRequest) -> Answer | None:
        """Have another worker answer a request for a connection that is not here, see `forwarded_requests.forward`.

        A poll is answered with the next ping, at the latest.
        """
        context = self._context
        return await forward(self._node, sid, request, timeout=context.ping_interval + context.ping_timeout)

    def open_polling(self, info: TransportInfo) -> EngineConnection:
        """Open a connection of a client that polls; its first poll is to be answered with the packet `opened`."""
        return self._open(EngineConnection(self._context, None, info))

    def open_websocket(self, wire: Connection, info: TransportInfo) -> EngineSocket:
        """Open the connection of a client that begins with a WebSocket."""
        connection = self._open(EngineConnection(self._context, wire, info))
        wire.write(self._framing.engine_packet(connection.opened()))
        return EngineSocket(connection, wire)

    def upgrade(self, connection: EngineConnection, wire: Connection) -> EngineSocket:
        """Let a WebSocket take over a connection, unless another one is about to: it is closed then."""
        if not connection.begin_upgrade(wire):
            wire.close(codes.BAD_REQUEST_DISCONNECT)
        return EngineSocket(connection, wire)

    def relay(self, sid: str, wire: Connection, info: TransportInfo) -> WebSocketRelay:
        """Let a WebSocket take over a connection of another worker, to which it is passed on."""
        context = self._context
        holder = Holder(self._node, sid, context.ping_interval + context.ping_timeout)

        def make(shared: SessionContext, client: str, secret: str) -> WebSocketRelay:
            del secret
            return WebSocketRelay(shared, wire, self._unheard, client, info, holder)

        made = self._node.open(make)
        assert isinstance(made, WebSocketRelay)
        return made

    def _open(self, connection: EngineConnection) -> EngineConnection:
        self._connections[connection.sid] = connection
        self._node.asks.serve(connection.sid, partial(answer_forwarded, connection))
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(BEAT_SECONDS, self._beat)
        return connection

    def _beat(self) -> None:
        """Beat all connections, and again later while there are any."""
        self.beat()
        again = asyncio.get_running_loop().call_later(BEAT_SECONDS, self._beat) if self._connections else None
        self._timer = again

    def beat(self) -> None:
        """Do the periodic work on all connections."""
        now = self._node.clock()
        for connection in [*self._connections.values()]:
            connection.beat(now)

    def _on_closed(self, connection: EngineConnection) -> None:
        self._connections.pop(connection.sid, None)
        self._node.asks.end(connection.sid)
