"""Server-Sent Events of a route: the same channels for clients that only receive, like an EventSource."""

from __future__ import annotations

import asyncio

from aiohttp import web

from realtime_server.core.node import Node
from realtime_server.core.ports.backend import TransportInfo
from realtime_server.protocols.plain.request import RequestError
from realtime_server.transports.accelerated import Flusher
from realtime_server.transports.http_server import HttpRequest, RequestRefusedError
from realtime_server.transports.plain_route import PlainCodecs, PlainRoute
from realtime_server.transports.sockets import limit_silence
from realtime_server.transports.sse import CONTENT_TYPE, retry_field
from realtime_server.transports.stream import StreamConnection
from realtime_server.transports.stream_endpoint import require_room, send_stream, takes_chunks

METHODS = ("GET",)
NO_UPGRADE = (
    "the handshake of a WebSocket has arrived without its header Upgrade: have the proxy use HTTP/1.1 and pass on"
    " Upgrade and Connection"
)


class PlainStreamEndpoint:
    """Endpoint of one route."""

    def __init__(
        self, node: Node, route: PlainRoute, codecs: PlainCodecs, max_connections: int, flusher: Flusher
    ) -> None:
        self._node = node
        self._route = route
        self._codecs = codecs
        self._max_connections = max_connections
        self._flusher = flusher

    async def __call__(self, asked: HttpRequest) -> web.StreamResponse:
        """Answer one request; return when the stream has ended. Raises RequestRefusedError."""
        require_room(self._node, self._max_connections)
        if "Sec-WebSocket-Key" in asked.request.headers:
            raise RequestRefusedError(426, NO_UPGRADE, "malformed", {"Upgrade": "websocket"})
        stream = self._begin(asked)
        return await send_stream(stream, asked, CONTENT_TYPE, retry_field, refusable=True)

    def _begin(self, asked: HttpRequest) -> StreamConnection:
        """Open the session."""
        node, route = self._node, self._route
        headers = asked.request.headers
        try:
            request, resumption = route.request_of(
                asked.request.raw_path, lambda name: headers.getall(name, []), events=True
            )
        except RequestError as error:
            raise RequestRefusedError(error.status, str(error), error.reason) from error
        codec = route.event_codec(self._codecs, resumption, chunked=takes_chunks(asked))
        stream = StreamConnection(codec, node.counters, self._flusher, asyncio.get_running_loop())
        asked.connection.attach(stream)
        if asked.connection.transport is not None:
            limit_silence(asked.connection.transport, node.settings.patience)
        told = route.transport("sse")
        info = TransportInfo(told.name, told.protocol, told.encoding, asked.remote, asked.headers)
        session = route.open(stream, request, resumption, codec, info)
        stream.session = session
        session.begin()
        return stream
