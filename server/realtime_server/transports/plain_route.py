"""Route of a worker: what is wrong with a request for it, and the sessions of its clients."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from realtime_server.core.limits.rates import MessageRate
from realtime_server.core.model.channel_options import RecoveryMode
from realtime_server.core.model.values import StreamPosition
from realtime_server.core.node import Node
from realtime_server.core.ports.backend import TransportInfo
from realtime_server.core.ports.client import Connection
from realtime_server.core.ports.route_hooks import RouteHooks
from realtime_server.core.sessions.session import Session, SessionContext
from realtime_server.protocols.channel_templates import PlaceholderError
from realtime_server.protocols.plain.codec import (
    Bare,
    Envelope,
    EventStreamCodec,
    Frame,
    Kind,
    ResumableEventCodec,
    WebSocketCodec,
)
from realtime_server.protocols.plain.epochs import Epochs
from realtime_server.protocols.plain.plain_session import PlainSession, RouteService
from realtime_server.protocols.plain.request import RequestError, RouteRequest, read_request
from realtime_server.protocols.plain.resumption import LOST, SINCE, Resumption
from realtime_server.protocols.plain.route import Route
from realtime_server.protocols.plain.template import Header
from realtime_server.transports.compression import Deflater
from realtime_server.transports.frames import PING, frame_binary, frame_text
from realtime_server.transports.stream import chunk

PROTOCOL = "plain"
"""Name of the client protocol for backends."""


class PlainCodecs:
    """Codecs of all routes of a worker: those of the same kind and framing share one, so that it encodes once for all.

    `compression_threshold`: minimum size of messages that are compressed; None for no compression.
    """

    def __init__(self, epochs: Epochs, compression_threshold: int | None) -> None:
        self._epochs = epochs
        self._threshold = compression_threshold
        self._websocket: dict[tuple[bool, bool, bool], WebSocketCodec] = {}
        self._streams: dict[tuple[bool, bool], EventStreamCodec] = {}

    def websocket(self, route: Route, *, compressed: bool) -> WebSocketCodec:
        """Return the codec of a route's WebSockets."""
        key = (route.binary, route.envelope, compressed)
        if key not in self._websocket:
            frame = self._frame(binary=route.binary, compressed=compressed)
            self._websocket[key] = WebSocketCodec(
                kind_of(route, binary=route.binary), frame, PING, self._epochs.of, binary=route.binary
            )
        return self._websocket[key]

    def event_stream(
        self, route: Route, *, chunked: bool, positions: Mapping[str, StreamPosition] | None = None
    ) -> EventStreamCodec:
        """Return the codec of a route's event streams, which are text; `positions`: see ResumableEventCodec."""
        frame: Frame = chunk if chunked else bytes
        if positions is not None:
            return ResumableEventCodec(kind_of(route, binary=False), frame, self._epochs.of, positions)
        key = (route.envelope, chunked)
        if key not in self._streams:
            self._streams[key] = EventStreamCodec(kind_of(route, binary=False), frame, self._epochs.of)
        return self._streams[key]

    def _frame(self, *, binary: bool, compressed: bool) -> Frame:
        if not compressed or self._threshold is None:
            return frame_binary if binary else frame_text
        deflater = Deflater(self._threshold)
        return deflater.frame_binary if binary else deflater.frame_text


def kind_of(route: Route, *, binary: bool) -> Kind:
    """Return the encoder of a route's messages."""
    return Envelope() if route.envelope else Bare(binary=binary)


class PlainRoute:
    """Route of a worker."""

    def __init__(self, node: Node, route: Route, hooks: RouteHooks, epochs: Epochs) -> None:
        limits = node.settings.limits
        self.route = route
        self._node = node
        self._recoverable = len(route.recoverable(node.settings.namespaces))
        """Number of channels in which a client can resume."""
        self._service = RouteService(
            route,
            node.operations,
            hooks,
            epochs,
            message_bytes=min(route.message_bytes or limits.message_bytes, limits.message_bytes),
            recovery_of=self._recovery_of,
        )
        rate = min(route.messages_per_second or limits.messages_per_second, limits.messages_per_second)
        self._limits = replace(limits, messages_per_second=rate)
        self._context: SessionContext | None = None

    def request_of(self, target: str, header: Header, *, events: bool) -> tuple[RouteRequest, Resumption | None]:
        """Return the request for a path with its query, and what to resume from; `events`: of an event stream.

        Raises RequestError, whose text is for the client.
        """
        request = read_request(target, self.route.path, header)
        resumption = request.resumption(events=events)
        try:
            self.route.check_request(request)
        except PlaceholderError as error:
            raise RequestError(str(error)) from error
        return request, None if resumption is None else self._checked(resumption, events=events)

    def _checked(self, resumption: Resumption, *, events: bool) -> Resumption | None:
        """Return what can be resumed; an EventSource that was here before a change of the route is never refused.

        Raises RequestError.
        """
        if not events and not self.route.envelope:
            raise RequestError(f"{SINCE}: this route has no envelope, from which a client could know its position")
        if not self._recoverable:
            if resumption.is_event:
                return None
            raise RequestError(f"{SINCE}: this route has no channel to resume, with recovery in its namespace")
        if self._recoverable > 1 and resumption.one is not None:
            if resumption.is_event:
                return resumption._replace(one=LOST)
            raise RequestError(f"{SINCE}: this route has several channels: give OFFSET:EPOCH:CHANNEL for each")
        return resumption

    def event_codec(self, codecs: PlainCodecs, resumption: Resumption | None, *, chunked: bool) -> EventStreamCodec:
        """Return the codec of a client's event stream, whose ids are all that it resumes from."""
        if not self._recoverable or len(self.route.subscribe) == 1:
            return codecs.event_stream(self.route, chunked=chunked)
        given = {} if resumption is None else resumption.by_tag
        return codecs.event_stream(self.route, chunked=chunked, positions=given)

    def transport(self, name: str) -> TransportInfo:
        """Return what backends are told of a connection over a transport."""
        return TransportInfo(name, PROTOCOL, "binary" if self.route.binary else "json")

    def open(
        self,
        connection: Connection,
        request: RouteRequest,
        resumption: Resumption | None,
        codec: WebSocketCodec | EventStreamCodec,
        transport: TransportInfo,
    ) -> PlainSession:
        """Open the session of a new connection. Call its `begin` next."""

        def make(context: SessionContext, client: str, _secret: str) -> Session:
            its = self._limited(context)
            return PlainSession(self._service, request, resumption, its, connection, codec, client, transport)

        session = self._node.open(make)
        assert isinstance(session, PlainSession)
        return session

    def _limited(self, context: SessionContext) -> SessionContext:
        """Return the context of a worker's sessions with the limits of the route."""
        if self._context is None:
            limits = self._limits
            rate = MessageRate(limits.messages_per_second, limits.message_burst)
            self._context = replace(context, limits=limits, rate=rate)
        return self._context

    def _recovery_of(self, channel: str) -> RecoveryMode | None:
        options = self._node.settings.namespaces.of(channel)
        return options.recovery_mode if options is not None and options.recovery else None
