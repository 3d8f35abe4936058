"""Port for clients: WebSocket and HTTP in all client protocols, plain or with TLS.

The PROXY protocol and TLS are handled first; then `protocol_sniffer` dispatches sockets by their first request.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from aiohttp import web

from realtime_server.core.node import Node
from realtime_server.transports import health
from realtime_server.transports.accelerated import Flusher
from realtime_server.transports.acceptor import Acceptor, AcceptorSettings
from realtime_server.transports.client_protocol import ClientProtocol, ProtocolTable
from realtime_server.transports.compression import Negotiation
from realtime_server.transports.forwarded import NO_PROXIES, TrustedProxies
from realtime_server.transports.health import HealthEndpoint
from realtime_server.transports.http_server import (
    SERVER_PATH,
    HttpRequest,
    HttpServer,
    HttpSettings,
    RequestRefusedError,
    Route,
    ToWebSocket,
)
from realtime_server.transports.protocol_sniffer import ProtocolSniffer
from realtime_server.transports.server_handshake import HandshakePolicy
from realtime_server.transports.sockets import Rejection, Sockets, bound_unsent
from realtime_server.transports.time_limit import TimeLimit
from realtime_server.transports.tls import Certificate, TlsSettings
from realtime_server.transports.websocket import CLOSING_SECONDS, WebSocketConnection, WebSocketSettings

BACKLOG = 4096
"""Length of the kernel's accept queue: many clients connect at once when a server stops."""
EMULATION_OVERHEAD = 6
"""Ratio of a message's size as a JSON string to its own: one byte can become six."""


@dataclass(frozen=True, slots=True)
class ClientPortSettings:
    """Settings of one worker's port for clients; sizes in bytes.

    `max_handshakes`: number of sockets that are not connections, being in a handshake or a request.
    """

    max_connections: int
    max_handshakes: int
    handshake_seconds: float
    origins: tuple[str, ...] = ()
    proxies: TrustedProxies = NO_PROXIES
    proxy_protocol: bool = False
    tls: TlsSettings | None = None
    visible_headers: tuple[str, ...] = ()
    """Headers of a client's request that are sent to the backend, in lower case."""
    compression: bool = False
    """True to negotiate the compression of WebSocket messages."""


class ClientPort:
    """Port for clients on bound sockets. Raises CertificateError on construction.

    `flusher` is that of all connections of the worker. `keeps`: see HttpServer. `why_not` returns to health checks the
    reason for not wanting connections; `routes` are additional endpoints.
    """

    def __init__(
        self,
        node: Node,
        settings: ClientPortSettings,
        protocols: Iterable[ClientProtocol],
        flusher: Flusher,
        *,
        keeps: Callable[[], bool] = lambda: True,
        why_not: health.WhyNot = lambda: None,
        routes: Mapping[str, Route] = MappingProxyType({}),
    ) -> None:
        self._node = node
        self._settings = settings
        self._loop = asyncio.get_running_loop()
        self._acceptors: list[Acceptor] = []
        self.max_connections = settings.max_connections
        self.sockets = Sockets(settings.max_connections + settings.max_handshakes)
        self.flusher = flusher
        table = ProtocolTable(protocols)
        self.certificate = Certificate(settings.tls) if settings.tls is not None else None
        self.http = HttpServer(
            HttpSettings(
                body_bytes=EMULATION_OVERHEAD * node.settings.limits.frame_bytes,
                request_seconds=settings.handshake_seconds,
                origins=settings.origins,
                proxies=settings.proxies,
                visible_headers=settings.visible_headers,
            ),
            {**table.routes, **_routes(table, HealthEndpoint(why_not)), **routes},
            node.counters,
            self.sockets,
            self._loop,
            keeps=keeps,
            to_websocket=ToWebSocket(table.websocket_paths, self._to_websocket),
        )
        self._sniffer = ProtocolSniffer(
            self.sockets,
            self.http,
            table.websocket_paths,
            settings.proxies,
            settings.visible_headers,
            describes=node.has_backend,
        )
        self._websockets = WebSocketSettings(
            max_connections=settings.max_connections,
            frame_bytes=node.settings.limits.frame_bytes,
            handshake=HandshakePolicy(
                table.by_path, settings.origins, (Negotiation(),) if settings.compression else ()
            ),
            handshaking=TimeLimit(self._loop, settings.handshake_seconds),
            closing=TimeLimit(self._loop, CLOSING_SECONDS),
        )

    async def accept(self, bound: socket.socket) -> Callable[[], Awaitable[None]]:
        """Accept connections on a bound socket; return a function that stops accepting.

        Connections that were accepted before that stay open.
        """
        bound_unsent(bound)
        if self.certificate is not None or self._settings.proxy_protocol:
            return self._accept_wrapped(bound)
        listener = await self._loop.create_server(self._enter, sock=bound, backlog=BACKLOG)

        async def close() -> None:
            listener.close()

        return close

    async def follow(self) -> None:
        """Reload the certificate when it changes, until cancelled."""
        if self.certificate is not None:
            await self.certificate.follow()

    async def close(self) -> None:
        """Close sockets that are not connections: requests and handshakes."""
        for acceptor in self._acceptors:
            await acceptor.stop()
        await self.http.close()

    def _accept_wrapped(self, bound: socket.socket) -> Callable[[], Awaitable[None]]:
        settings = self._settings
        acceptor = Acceptor(
            bound,
            self._make,
            AcceptorSettings(
                backlog=BACKLOG,
                seconds=settings.handshake_seconds,
                proxies=settings.proxies if settings.proxy_protocol else None,
            ),
            self.sockets,
            self._node.counters,
            self.certificate,
        )
        acceptor.open()
        self._acceptors = [*(one for one in self._acceptors if not one.over), acceptor]

        async def close() -> None:
            acceptor.close()

        return close

    def _enter(self) -> asyncio.Protocol:
        """Return the protocol for a plain socket that was just accepted."""
        if self.sockets.enter():
            return self._make("")
        self._node.counters.count_rejected_handshake("socket_limit")
        return Rejection(self.sockets)

    def _to_websocket(self, transport: asyncio.Transport, data: bytes, peer: str) -> None:
        """Take a socket back from the HTTP server: a proxy that keeps sockets sends handshakes on them too."""
        connection = self._make(peer)
        transport.set_protocol(connection)
        connection.connection_made(transport)
        connection.data_received(data)

    def _make(self, peer: str) -> WebSocketConnection:
        return WebSocketConnection(self._node, self._websockets, self._loop, self._sniffer, self.flusher, peer)


def _routes(table: ProtocolTable, checked: HealthEndpoint) -> dict[str, Route]:
    """Return the endpoints that belong to no client protocol."""
    return {
        health.PATH: Route(health.METHODS, checked, cross_origin=False),
        SERVER_PATH: Route(("OPTIONS",), checked, cross_origin=False),
        **{path: Route(("GET",), _refuse_request, cross_origin=False) for path in table.dedicated},
    }


async def _refuse_request(_asked: HttpRequest) -> web.StreamResponse:
    """Refuse a request to a WebSocket's path that is no handshake."""
    raise RequestRefusedError(426, "connect with a WebSocket", "malformed", {"Upgrade": "websocket"})
