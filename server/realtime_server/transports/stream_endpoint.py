"""Endpoint whose answer is a stream of its client's messages, from the request to the end of the body."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from aiohttp import HttpVersion11, web

from realtime_server import codes
from realtime_server.codes import DisconnectCode
from realtime_server.core.node import Node
from realtime_server.core.ports.backend import TransportInfo
from realtime_server.core.ports.client import CommandCodec
from realtime_server.transports.accelerated import Flusher
from realtime_server.transports.dialect import Encoding
from realtime_server.transports.http_server import HttpRequest, RequestRefusedError, error_response
from realtime_server.transports.sockets import limit_silence
from realtime_server.transports.stream import StreamConnection

CONNECT_PARAMETER = "cf_connect"
HEADERS = {
    "Cache-Control": "no-store, no-transform",
    "X-Accel-Buffering": "no",
    "X-Content-Type-Options": "nosniff",
}
"""Headers that keep a proxy from storing, buffering or compressing a stream."""

REFUSALS = {
    codes.CONNECTION_EXPIRED: 401,
    codes.INVALID_TOKEN: 401,
    codes.BAD_REQUEST_DISCONNECT: 400,
    codes.CONNECTION_LIMIT: 403,
    codes.CHANNEL_LIMIT: 403,
    codes.PERMISSION_DENIED_DISCONNECT: 403,
    codes.NOT_AVAILABLE_DISCONNECT: 403,
}


@dataclass(frozen=True, slots=True)
class StreamSettings:
    """Settings of all streams of a worker; sizes in bytes."""

    max_connections: int
    frame_bytes: int


@dataclass(frozen=True, slots=True)
class StreamKind:
    """Transport over a stream: `content_types` by encoding; `preamble` makes what precedes the first message.

    `codecs` make chunks, `unchunked` the same without them, for HTTP/1.0, where the end of the connection ends the
    body; nginx uses it to a server by default. With `unidirectional` a refused client gets an HTTP status instead of a
    stream.
    """

    name: str
    codecs: Mapping[Encoding, CommandCodec]
    unchunked: Mapping[Encoding, CommandCodec]
    content_types: Mapping[Encoding, str]
    preamble: Callable[[], bytes] | None = None
    unidirectional: bool = False


class StreamEndpoint:
    """Endpoint that makes connections of one kind from requests."""

    def __init__(
        self,
        node: Node,
        kind: StreamKind,
        settings: StreamSettings,
        flusher: Flusher,
    ) -> None:
        self._node = node
        self._flusher = flusher
        self._kind = kind
        self._settings = settings

    async def __call__(self, asked: HttpRequest) -> web.StreamResponse:
        """Answer one request; return when the stream has ended. Raises RequestRefusedError."""
        require_room(self._node, self._settings.max_connections)
        first = await self._first_message(asked)
        if len(first) > self._settings.frame_bytes:
            message = f"the first message is larger than {self._settings.frame_bytes} bytes"
            raise RequestRefusedError(413, message, "too_large")
        encoding = Encoding.PROTOBUF if asked.binary else Encoding.JSON
        codec = (self._kind.codecs if takes_chunks(asked) else self._kind.unchunked).get(encoding)
        if codec is None:
            raise RequestRefusedError(415, "send JSON as application/json", "malformed")
        stream = self._begin(asked, codec, encoding, first)
        content_type, refusable = self._kind.content_types[encoding], self._kind.unidirectional
        return await send_stream(stream, asked, content_type, self._kind.preamble, refusable=refusable)

    async def _first_message(self, asked: HttpRequest) -> bytes:
        if asked.request.method == "POST":
            return await asked.body()
        given = asked.request.query.get(CONNECT_PARAMETER)
        if given is None and not self._kind.unidirectional:
            raise RequestRefusedError(400, f"the parameter {CONNECT_PARAMETER} is missing", "malformed")
        return (given or "").encode(errors="replace")

    def _begin(self, asked: HttpRequest, codec: CommandCodec, encoding: Encoding, first: bytes) -> StreamConnection:
        """Open the session, and pass it its first message."""
        node, kind = self._node, self._kind
        stream = StreamConnection(codec, node.counters, self._flusher, asyncio.get_running_loop())
        asked.connection.attach(stream)
        if kind.unidirectional and asked.connection.transport is not None:
            limit_silence(asked.connection.transport, node.settings.patience)
        info = TransportInfo(kind.name, encoding, encoding.content, asked.remote, asked.headers)
        session = node.accept(stream, codec, info, emulated=not kind.unidirectional)
        stream.session = session
        node.counters.messages_received += 1
        session.on_binary(first, node.clock())
        return stream


def require_room(node: Node, max_connections: int) -> None:
    """Raise RequestRefusedError while a worker is at its maximum of connections."""
    if len(node.sessions) >= max_connections:
        message = "this server has all the connections that it may have; try again"
        raise RequestRefusedError(503, message, "connection_limit", {"Retry-After": "1"})


async def send_stream(
    stream: StreamConnection,
    asked: HttpRequest,
    content_type: str,
    preamble: Callable[[], bytes] | None,
    *,
    refusable: bool,
) -> web.StreamResponse:
    """Answer a request with a stream, and return at its end; a `refusable` client that is refused gets an error."""
    if refusable:
        await stream.decided.wait()
        if stream.refusal is not None:
            return _refused(stream.refusal, asked.shared)
    response = await _prepare(asked, content_type, preamble)
    if asked.connection.transport is not None:
        stream.open(asked.connection.transport)
    await stream.ended.wait()
    asked.connection.close_soon()
    return response


async def _prepare(asked: HttpRequest, content_type: str, preamble: Callable[[], bytes] | None) -> web.StreamResponse:
    """Send the head of the response, with the preamble."""
    response = web.StreamResponse(headers={"Content-Type": content_type, **HEADERS, **asked.shared})
    response.force_close()  # the end of a stream closes its socket
    if takes_chunks(asked):
        response.enable_chunked_encoding()
    await response.prepare(asked.request)
    if preamble is not None:
        await response.write(preamble())
    return response


def takes_chunks(asked: HttpRequest) -> bool:
    """Return True when the body of the answer may be chunked."""
    return asked.request.version >= HttpVersion11


def _refused(code: DisconnectCode, shared: Mapping[str, str]) -> web.Response:
    """Return the answer to a refused unidirectional client: 503 if it may try again."""
    status = REFUSALS.get(code, 503 if code.reconnect else 403)
    retry = {"Retry-After": "1"} if status == 503 else {}
    return error_response(status, code.code, code.reason, {**retry, **shared})
