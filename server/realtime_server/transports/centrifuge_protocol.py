"""Centrifugo's client protocol at the port for clients: WebSocket, SSE, HTTP streaming, `/emulation`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from websockets.typing import Subprotocol

from realtime_server.core.node import Node
from realtime_server.core.ports.backend import TransportInfo
from realtime_server.core.ports.client import CommandCodec
from realtime_server.core.sessions.session import Session
from realtime_server.protocols.centrifuge.json_codec import JsonCodec
from realtime_server.protocols.centrifuge.json_unidirectional import UnidirectionalJsonCodec
from realtime_server.protocols.centrifuge.protobuf_codec import ProtobufCodec
from realtime_server.transports import development_page, emulation, http_stream, sse
from realtime_server.transports.accelerated import Flusher
from realtime_server.transports.client_protocol import ClientWebSocket, HandshakeRefusal
from realtime_server.transports.compression import Deflater
from realtime_server.transports.dialect import (
    DIALECTS,
    PATHS,
    Dialect,
    Encoding,
    connect_in,
    dialect_of,
    select_subprotocol,
)
from realtime_server.transports.emulation import EmulationEndpoint
from realtime_server.transports.frames import PING, frame_binary, frame_text
from realtime_server.transports.handshake import AcceptedHandshake
from realtime_server.transports.http_server import Route
from realtime_server.transports.stream_endpoint import StreamEndpoint, StreamKind, StreamSettings


@dataclass(frozen=True, slots=True)
class CentrifugeSettings:
    """Settings of the protocol in one worker."""

    max_connections: int
    development: bool = False
    """True to serve the development page at `/`."""
    compression_threshold: int | None = None
    """Minimum size of messages that are compressed for WebSocket clients that support it; None for no compression."""


class CentrifugeProtocol:
    """Centrifugo's client protocol: implements ClientProtocol. `flusher` is that of all connections of the worker."""

    websocket_paths = PATHS

    def __init__(self, node: Node, settings: CentrifugeSettings, flusher: Flusher) -> None:
        self._node = node
        self._settings = settings
        self._flusher = flusher
        self._dialects = {
            dialect: (codec_of(dialect, settings.compression_threshold), transport_of(dialect)) for dialect in DIALECTS
        }

    def routes(self) -> Mapping[str, Route]:
        """See ClientProtocol."""
        frame_bytes = self._node.settings.limits.frame_bytes
        routes = {
            sse.PATH: Route(sse.METHODS, self._stream(sse.sse()), opens=_always),
            sse.UNIDIRECTIONAL_PATH: Route(sse.METHODS, self._stream(sse.unidirectional_sse()), opens=_always),
            http_stream.PATH: Route(http_stream.METHODS, self._stream(http_stream.http_stream())),
            http_stream.UNIDIRECTIONAL_PATH: Route(
                http_stream.METHODS, self._stream(http_stream.unidirectional_http_stream())
            ),
            emulation.PATH: Route(emulation.METHODS, EmulationEndpoint(self._node, frame_bytes)),
        }
        if self._settings.development:
            routes[development_page.PATH] = Route(development_page.METHODS, development_page.show, cross_origin=False)
        return routes

    def select_subprotocol(self, path: str, offered: Sequence[Subprotocol]) -> Subprotocol | None:
        """See ClientProtocol."""
        del path
        return select_subprotocol(offered)

    def why_not(self, path: str, values: Callable[[str], list[str]]) -> HandshakeRefusal | None:
        """See ClientProtocol: nothing is refused."""
        del path, values
        return None

    def open(self, connection: ClientWebSocket, accepted: AcceptedHandshake) -> Session:
        """See ClientProtocol. A unidirectional client may have sent its connect request in the URL."""
        dialect = dialect_of(accepted.path, accepted.subprotocol, compressed=accepted.compressed)
        codec, transport = self._dialects[dialect]
        session = self._node.accept(connection, codec, connection.describe(transport, accepted.values))
        if not dialect.unidirectional:
            return session
        connection.limit_silence(self._node.settings.patience)
        first = connect_in(accepted.path)
        if first is not None:
            session.on_text(first, self._node.clock())
        return session

    def _stream(self, kind: StreamKind) -> StreamEndpoint:
        limits = StreamSettings(self._settings.max_connections, self._node.settings.limits.frame_bytes)
        return StreamEndpoint(self._node, kind, limits, self._flusher)


def _always(_query: bytes) -> bool:
    return True


def transport_of(dialect: Dialect) -> TransportInfo:
    """Return what backends are told of a dialect."""
    name = "uni_websocket" if dialect.unidirectional else "websocket"
    return TransportInfo(name, dialect.encoding, dialect.encoding.content)


def codec_of(dialect: Dialect, compression_threshold: int | None = None) -> CommandCodec:
    """Return the codec for WebSocket clients of a dialect."""
    ping = PING if dialect.native_pings else None
    text, binary = frame_text, frame_binary
    if dialect.compressed and compression_threshold is not None:
        deflater = Deflater(compression_threshold)
        text, binary = deflater.frame_text, deflater.frame_binary
    if dialect.unidirectional:
        return UnidirectionalJsonCodec(text, native_ping=ping)
    if dialect.encoding is Encoding.PROTOBUF:
        return ProtobufCodec(binary, native_ping=ping)
    return JsonCodec(text, native_ping=ping)
