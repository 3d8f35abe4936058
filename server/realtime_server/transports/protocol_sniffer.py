"""Detection of the protocol of an accepted socket by its first bytes: WebSocket, or an HTTP endpoint."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable

from realtime_server.core.ports.backend import TransportInfo
from realtime_server.transports.addresses import peer_of
from realtime_server.transports.forwarded import NO_PROXIES, TrustedProxies
from realtime_server.transports.http_server import LINE_BYTES, HttpServer, visible
from realtime_server.transports.sockets import Sockets
from realtime_server.transports.websocket_paths import HEAD_BYTES, WebSocketPaths

_REQUEST = re.compile(rb"[A-Z]{1,16} [^ ?\r\n]+[ ?]")
_BEGUN = re.compile(rb"[A-Z]{0,16}(?: [^ ?\r\n]*)?")
"""Pattern of a beginning that can still become a request."""


class ProtocolSniffer:
    """Shared state of a worker's sockets until their protocol is known."""

    def __init__(
        self,
        sockets: Sockets,
        http: HttpServer,
        paths: WebSocketPaths,
        proxies: TrustedProxies = NO_PROXIES,
        visible_headers: tuple[str, ...] = (),
        *,
        describes: bool = True,
    ) -> None:
        self.sockets = sockets
        self._http = http
        self._handshakes = paths.dedicated
        self._opens_websocket = paths.open_websocket
        self._proxies = proxies
        self._visible_headers = visible_headers
        self._describes = describes
        """True when a backend is told how clients connect; looking that up takes a system call per client."""

    def wants_http(self, data: bytes) -> bool | None:
        """Return True when the bytes read so far are for HTTP, False for the WebSocket handshake, None for too few.

        HTTP gets every request that opens no WebSocket, once its head is complete and within the limits. A head that is
        too long or has no request line is left to the WebSocket handshake, which answers it.
        """
        if data.startswith(self._handshakes) or self._opens_websocket(data):
            return False
        if _REQUEST.match(data) is None:
            return None if len(data) < LINE_BYTES and _BEGUN.fullmatch(data) else False
        end = data.find(b"\r\n\r\n", 0, HEAD_BYTES)
        line = data.find(b"\r\n", 0, LINE_BYTES)
        if end >= 0:
            return line >= 0
        return None if len(data) < HEAD_BYTES and (line >= 0 or len(data) < LINE_BYTES) else False

    def hand_over(self, transport: asyncio.Transport, data: bytes, peer: str) -> None:
        """Hand the socket over to the HTTP server, with the `data` that was read from it."""
        self._http.take(transport, data, peer)

    def describe(
        self,
        transport: asyncio.BaseTransport,
        peer: str,
        info: TransportInfo,
        values: Callable[[str], list[str]],
    ) -> TransportInfo:
        """Return the description of a client's connection: `info` with the client's address and headers.

        `values` returns a header's lines; `peer` is the address of a proxied client, "" for the socket's own.
        """
        if not self._describes:
            return info
        remote = self._proxies.client_of(peer or peer_of(transport), values(self._proxies.header))
        return TransportInfo(info.name, info.protocol, info.encoding, remote, visible(self._visible_headers, values))
