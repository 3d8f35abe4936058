"""Socket.IO on the port for clients: WebSocket and polling on one path."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl

from aiohttp import web
from websockets.typing import Subprotocol

from realtime_server.core.model.errors import AskError, BackplaneError
from realtime_server.core.model.namespaces import DEFAULT
from realtime_server.core.node import Node
from realtime_server.core.ports.backend import TransportInfo
from realtime_server.protocols.socket_io.engine_packets import encode_payload
from realtime_server.protocols.socket_io.engine_requests import TEXT, Answer, Refusal, refuse_request
from realtime_server.protocols.socket_io.namespace_codec import Framing, NamespaceCodec
from realtime_server.socket_io.engine_connection import EngineConnection
from realtime_server.socket_io.engine_server import EngineServer
from realtime_server.socket_io.engine_socket import EngineSocket
from realtime_server.socket_io.forwarded_requests import ForwardedRequest
from realtime_server.socket_io.socket_namespace import ClientEvent, SocketNamespace
from realtime_server.socket_io.websocket_relay import WebSocketRelay
from realtime_server.transports.accelerated import Flusher
from realtime_server.transports.client_protocol import ClientWebSocket, HandshakeRefusal
from realtime_server.transports.compression import DeflatedFrames, DeflatingConnection, gzipped
from realtime_server.transports.frames import frame_binary, frame_text, split_frames
from realtime_server.transports.handshake import AcceptedHandshake
from realtime_server.transports.http_server import HttpRequest, RequestRefusedError, Route
from realtime_server.transports.repeated_poll import AnswerForm, RepeatedPoll, SharedAnswer, repeated_head

METHODS = ("GET", "POST", "HEAD", "PUT", "PATCH", "DELETE")
"""Methods that get the reference's answers; only the first two have a use."""
PROTOCOL = "socket.io"
FRAMING = Framing(frame_text, frame_binary, split_frames)
_REASONS = {Refusal.UNKNOWN_SESSION: "unknown_session"}
"""Reasons that a refused request is counted under, others than `malformed`."""


@dataclass(frozen=True, slots=True)
class NamespaceSettings:
    """Settings of one namespace, see SocketNamespace."""

    name: str
    channel_namespace: str
    client_events: frozenset[ClientEvent]


@dataclass(frozen=True, slots=True)
class SocketIoSettings:
    """Settings of the protocol; `path` with its slashes.

    `compression_threshold`: minimum size of messages and of answers to polls that are compressed; None for none.
    """

    path: str
    namespaces: Sequence[NamespaceSettings]
    max_connections: int
    compression_threshold: int | None = None


class SocketIoProtocol:
    """Client protocol Socket.IO 4: implements ClientProtocol. `flusher` is that of all connections of the worker."""

    def __init__(self, node: Node, settings: SocketIoSettings, flusher: Flusher) -> None:
        self._node = node
        self._flusher = flusher
        self._path = settings.path
        threshold = self._threshold = settings.compression_threshold
        self._deflated = None if threshold is None else DeflatedFrames(threshold)
        self.server = EngineServer(
            node, _namespaces(node, settings.namespaces), FRAMING, max_connections=settings.max_connections
        )

    @property
    def websocket_paths(self) -> tuple[str, ...]:
        """See ClientProtocol."""
        return (self._path,)

    def routes(self) -> Mapping[str, Route]:
        """See ClientProtocol."""
        body_bytes = self._node.settings.limits.frame_bytes
        endpoint = PollingEndpoint(self._node, self.server, self._flusher, self._threshold)
        return {self._path: Route(METHODS, endpoint, body_bytes=body_bytes, opens=lambda query: b"sid=" not in query)}

    def select_subprotocol(self, path: str, offered: Sequence[Subprotocol]) -> Subprotocol | None:
        """See ClientProtocol: none is."""
        del path, offered
        return None

    def why_not(self, path: str, values: Callable[[str], list[str]]) -> HandshakeRefusal | None:
        """See ClientProtocol."""
        del values
        query = _query_in(path)
        refusal = refuse_request("GET", query, self.server.transport_of(query.get("sid", "")), upgrade=True)
        if refusal is None:
            return None
        answer = refusal.answer(upgrade=True)
        reason = _REASONS.get(refusal, "malformed")
        return HandshakeRefusal(answer.status, answer.body.decode(), answer.content_type, reason)

    def open(self, connection: ClientWebSocket, accepted: AcceptedHandshake) -> EngineSocket | WebSocketRelay:
        """See ClientProtocol.

        The clients do not ask for the code of a close frame, and socket.io-client-java does not notice the frame: it
        came back when pings were missing, half a minute later.
        """
        connection.end_silently()
        deflated = self._deflated
        wire = DeflatingConnection(connection, deflated) if deflated and accepted.compressed else connection
        sid = _query_in(accepted.path).get("sid", "")
        existing = self.server.find(sid)
        if existing is not None:
            return self.server.upgrade(existing, wire)
        info = connection.describe(TransportInfo("websocket", PROTOCOL, "json"), accepted.values)
        return self.server.relay(sid, wire, info) if sid else self.server.open_websocket(wire, info)


def _namespaces(node: Node, settings: Iterable[NamespaceSettings]) -> Iterable[SocketNamespace]:
    """Make the namespaces: sockets recover where their rooms are the channels of an ordered namespace."""
    for each in settings:
        rooms = each.channel_namespace
        options = node.settings.namespaces.of("room" if rooms == DEFAULT else f"{rooms}:room") if rooms else None
        recovers = node.operations.recovery is not None and options is not None and options.ordered
        codec = NamespaceCodec(each.name, FRAMING, rooms if recovers else "")
        yield SocketNamespace(each.name, codec, rooms, each.client_events, recovers)


def _query_in(path: str) -> dict[str, str]:
    """Return the parameters of a URL; of one that is there twice, the first."""
    return dict(reversed(parse_qsl(path.partition("?")[2])))


class PollingEndpoint:
    """Endpoint of clients that poll: GET waits for packets, POST brings packets of the client."""

    def __init__(self, node: Node, server: EngineServer, flusher: Flusher, compression_threshold: int | None) -> None:
        self._node = node
        self._server = server
        self._flusher = flusher
        self._threshold = compression_threshold
        self._last_answer = SharedAnswer()

    async def __call__(self, asked: HttpRequest) -> web.StreamResponse:
        """Answer one request. Raises RequestRefusedError."""
        request = asked.request
        sid = request.query.get("sid", "")
        connection = self._server.find(sid)
        refusal = refuse_request(request.method, request.query, self._server.transport_of(sid))
        if refusal is not None:
            return self._refuse(refusal)
        if not sid:
            return self._open(asked)
        if request.method not in {"GET", "POST"}:
            raise RequestRefusedError(405, "use GET or POST", "malformed", {"Allow": "GET, POST"})
        if connection is None:
            return await self._forward(asked, sid)
        return await (self._poll if request.method == "GET" else self._take)(asked, connection)

    def _refuse(self, refusal: Refusal) -> web.StreamResponse:
        self._node.counters.count_rejected_handshake(_REASONS.get(refusal, "malformed"))
        return _response(refusal.answer())

    async def _forward(self, asked: HttpRequest, sid: str) -> web.StreamResponse:
        """Have the worker that has the connection answer; it gives up when the client goes away meanwhile."""
        is_poll = asked.request.method == "GET"
        content_type = asked.request.headers.get("Content-Type", "")
        request = ForwardedRequest() if is_poll else ForwardedRequest(await asked.body(), content_type)
        waiting = asyncio.ensure_future(self._server.forward(sid, request))

        def give_up() -> None:
            waiting.cancel()

        try:
            with asked.connection.watched(give_up):
                answer = await waiting
        except (BackplaneError, AskError, TimeoutError) as error:
            message = "the worker that has this connection cannot be asked now; connect again"
            raise RequestRefusedError(503, message, "backplane", {"Retry-After": "1"}) from error
        finally:
            give_up()
        return self._refuse(Refusal.UNKNOWN_SESSION) if answer is None else self._response(asked, answer)

    def _open(self, asked: HttpRequest) -> web.StreamResponse:
        if not self._server.has_room:
            message = "this server has all the connections that it may have; try again"
            raise RequestRefusedError(503, message, "connection_limit", {"Retry-After": "1"})
        info = TransportInfo("polling", PROTOCOL, "json", asked.remote, asked.headers)
        connection = self._server.open_polling(info)
        return _response(Answer(200, encode_payload([connection.opened()]), TEXT))

    async def _poll(self, asked: HttpRequest, connection: EngineConnection) -> web.StreamResponse:
        """Answer when there is something to send. A client that goes away meanwhile has lost the connection."""
        answered = connection.poll_once()

        def lose() -> None:
            connection.lose()
            if not answered.done():
                answered.set_result(Answer(400))

        with asked.connection.watched(lose):
            answer = await answered
        self._expect_repetition(asked, connection)
        return self._response(asked, answer)

    def _response(self, asked: HttpRequest, answer: Answer) -> web.Response:
        """Return the answer to a poll, compressed if it is large enough and the client takes that."""
        threshold = self._threshold_for(asked)
        if threshold is None or len(answer.body) < threshold:
            return _response(answer)
        response = _response(answer._replace(body=gzipped(answer.body)))
        response.headers["Content-Encoding"] = "gzip"
        return response

    def _threshold_for(self, asked: HttpRequest) -> int | None:
        """Return the size from which answers to a client are compressed, None for a client that does not take that."""
        takes = self._threshold is not None and _takes_gzip(asked.request.headers.getall("Accept-Encoding", ()))
        return self._threshold if takes else None

    def _expect_repetition(self, asked: HttpRequest, connection: EngineConnection) -> None:
        """Have the next polls answered without aiohttp, if they are like this one."""
        request, socket = asked.request, asked.connection
        head = repeated_head(socket.head)
        if head is None or request.body_exists or not request.keep_alive or "Upgrade" in request.headers:
            return
        if connection.polls and socket.transport is not None:
            form = AnswerForm(asked.shared, self._threshold_for(asked))
            socket.repeat(
                RepeatedPoll(head, socket, socket.transport, connection, form, self._last_answer, self._flusher)
            )

    async def _take(self, asked: HttpRequest, connection: EngineConnection) -> web.StreamResponse:
        """Pass on what a client sends; answer when it may send more."""
        refused = connection.begin_data(asked.request.headers.get("Content-Type", ""))
        if refused is not None:
            return _response(refused)
        with asked.connection.watched(connection.lose):
            try:
                body = await asked.body()
            except RequestRefusedError:
                connection.lose()
                raise
        answer = connection.take_data(body)
        await connection.readable()
        return _response(answer)


def _takes_gzip(lines: Iterable[str]) -> bool:
    """Return True when the lines of Accept-Encoding name gzip, and not with the weight 0 (RFC 9110, section 12.5.3)."""
    for item in ",".join(lines).split(","):
        coding, _, weight = item.partition(";")
        if coding.strip().lower() == "gzip":
            return re.fullmatch(r"q=0(\.0{0,3})?", weight.strip().lower()) is None
    return False


def _response(answer: Answer) -> web.Response:
    response = web.Response(status=answer.status, body=answer.body)
    if answer.content_type:
        response.headers["Content-Type"] = answer.content_type
    response.headers["Cache-Control"] = "no-store"
    return response
