"""HTTP on the port for clients: all requests that open no WebSocket, parsed and answered by aiohttp.

A socket is handed over when the head of its first request is complete (see `protocol_sniffer`). The endpoints are
modules of their own; this module has what they share: origins, limits, and error answers.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import msgspec
from aiohttp import StreamReader, web
from aiohttp.abc import AbstractAccessLogger, AbstractStreamWriter
from aiohttp.http import RawRequestMessage

from realtime_server.core.metrics.counters import Counters
from realtime_server.transports.addresses import peer_of
from realtime_server.transports.forwarded import NO_PROXIES, TrustedProxies
from realtime_server.transports.path_table import PathTable
from realtime_server.transports.sockets import Sockets
from realtime_server.transports.stream import StreamConnection
from realtime_server.transports.websocket_paths import WebSocketPaths

KEEP_ALIVE_SECONDS = 30.0
"""Time that a socket may stay open without a request, or with a part of one."""
CLOSING_SECONDS = 3.0
"""Time limit for reading the end of a stream, or for sending the rest of an unwanted body."""
PREFLIGHT_SECONDS = 7200
"""Lifetime of a preflight's result in a browser (Fetch Standard, Access-Control-Max-Age)."""
ALLOWED_HEADERS = "Content-Type"
"""Request headers that pages of other origins may send, when a preflight does not list any."""
MAX_ALLOWED_BYTES = 2048
"""Maximum length of a preflight's list of headers that is allowed as requested."""
SERVER_PATH = "*"
"""Target of a request about the server as a whole (RFC 9110, section 9.3.7)."""
BINARY_TYPE = "application/octet-stream"
LINE_BYTES = 8_190
_NAMES = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+(?:[ \t]*,[ \t]*[!#$%&'*+.^_`|~0-9A-Za-z-]+)*")
"""Pattern of a list of header names (RFC 9110, section 5.6.2)."""


HandOver: TypeAlias = Callable[[asyncio.Transport, bytes, str], None]
"""Function that takes over a socket, with the bytes that were read from it and the address of a proxied client."""


@dataclass(frozen=True, slots=True)
class ToWebSocket:
    """Way of a kept socket to its WebSocket: `hand_over` gets it with a handshake on one of the `paths`."""

    paths: WebSocketPaths
    hand_over: HandOver


class RequestRefusedError(Exception):
    """Refusal of a request with a status and a message; it is counted under `reason`."""

    def __init__(self, status: int, message: str, reason: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.reason = reason
        self.headers = dict(headers or {})


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """Settings of all requests. `request_seconds`: time limit of a body; `origins`: empty for all."""

    body_bytes: int
    request_seconds: float
    origins: tuple[str, ...] = ()
    proxies: TrustedProxies = NO_PROXIES
    visible_headers: tuple[str, ...] = ()
    """Headers that are sent to the backend, in lower case."""


class _NoAccessLog(AbstractAccessLogger):
    """Disabled access log: requests are counted, not logged."""

    @property
    def enabled(self) -> bool:
        """Always False."""
        return False

    def log(self, request: web.BaseRequest, response: web.StreamResponse, time: float) -> None:
        """Do nothing."""


class RepeatedRequest(Protocol):
    """Handler of requests that repeat an earlier one on the same socket; it answers them without aiohttp."""

    @property
    def pending(self) -> bool:
        """True while a request is to be answered."""

    @property
    def idle_since(self) -> float:
        """Time of the loop at which the last answer was given; now while a request is pending."""

    def take(self, data: bytes) -> bool:
        """Handle a request; return False when it is another one, for aiohttp. Only if none is pending."""

    def hold(self, data: bytes) -> None:
        """Keep what arrives while a request is pending, and read no more; it is received again after the answer."""

    def flush(self) -> None:
        """Send the answers that were given."""

    def lose(self) -> None:
        """Handle the end: the socket is lost, or its requests are others from now on. Idempotent."""


class HttpConnection(web.RequestHandler):
    """HTTP connection on one socket. `peer` is the address of the client or of the client behind a proxy.

    A WebSocket handshake that follows answered requests is handed to `to_websocket`: proxies send it so. `sends_back`
    returns True for the beginning of a request at which the socket is closed without an answer. `keeps` is that of
    HttpServer.
    """

    __slots__ = (
        "_begun", "_busy", "_counters", "_is_head", "_on_lost", "_received", "_repeated", "_sends_back", "_sockets",
        "_stream", "_timer", "_to_websocket", "_unanswered", "head", "keeps", "keeps_idle", "peer",
    )  # fmt: skip

    def __init__(
        self,
        server: web.Server,
        loop: asyncio.AbstractEventLoop,
        counters: Counters,
        sockets: Sockets,
        peer: str,
        to_websocket: ToWebSocket | None = None,
        sends_back: Callable[[bytes], bool] = lambda _data: False,
        keeps: Callable[[], bool] = lambda: True,
    ) -> None:
        super().__init__(
            server,
            loop=loop,
            keepalive_timeout=KEEP_ALIVE_SECONDS,
            access_log_class=_NoAccessLog,
            max_line_size=LINE_BYTES,
            max_field_size=LINE_BYTES,
            lingering_time=CLOSING_SECONDS,
        )
        self._counters = counters
        self._sockets = sockets
        self._stream: StreamConnection | None = None
        self._on_lost: Callable[[], None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._to_websocket = to_websocket
        self._sends_back = sends_back
        self._begun = b""
        """Beginning of a request that may become a handshake."""
        self._busy = False
        self._unanswered = True
        """True from the first bytes of a request until its answer was written."""
        self._is_head = False
        self._received = False
        self._repeated: RepeatedRequest | None = None
        self.head = b""
        """Bytes of the request that is being answered, if it is a GET that has arrived at once and alone."""
        self.keeps = keeps
        self.keeps_idle = False
        self.peer = peer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take over a connected socket."""
        self.peer = self.peer or peer_of(transport)
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Handle received bytes; those after the request of a stream are dropped."""
        repeated = self._repeated
        if repeated is not None:
            if repeated.pending:
                repeated.hold(data)
                return
            if not (self._unanswered or self._messages or self._begun) and repeated.take(data):
                self._counters.bytes_received += len(data)
                return
        if self._to_websocket is not None and self._awaits_request():
            data, self._begun = self._begun + data, b""
            opens = self._to_websocket.paths.open_websocket(data)
            if opens is None:
                self._begun = data
                return
            if self._sends_back(data):
                self.force_close()
                return
            if opens:
                self._hand_over(self._to_websocket.hand_over, data)
                return
        self._counters.bytes_received += len(data)
        if self._stream is None:
            begins = not self._received or self._awaits_request()
            self._received = True
            self.head = data if begins and data.startswith(b"GET ") and data.find(b"\r\n\r\n") == len(data) - 4 else b""
            if not self._busy:
                self._is_head = data.startswith(b"HEAD ")
            self._unanswered = True
            super().data_received(data)

    def pause_writing(self) -> None:
        """Handle a full write buffer."""
        super().pause_writing()
        if self._stream is not None:
            self._stream.on_full()

    def resume_writing(self) -> None:
        """Handle a write buffer that has drained."""
        super().resume_writing()
        if self._stream is not None:
            self._stream.on_drained()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Handle the loss of the socket."""
        if self._timer is not None:
            self._timer.cancel()
        self._sockets.leave()
        if self._stream is not None:
            self._stream.on_lost()
        if self._on_lost is not None:
            self._on_lost()
        self._end_repeated()
        super().connection_lost(exc)

    def force_close(self) -> None:
        """Close the socket, after what was answered."""
        if self._repeated is not None:
            self._repeated.flush()
            self._end_repeated()
        super().force_close()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Count a request that is invalid HTTP, and let aiohttp answer it."""
        if status == 400:
            self._counters.count_rejected_handshake("malformed")
        response = super().handle_error(request, status, exc, message)
        if self._is_head and isinstance(response, web.Response):
            response.body = None  # aiohttp does not know the method of a request that it could not parse
        return response

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Write an answer to its end."""
        written, reset = await super().finish_response(request, resp, start_time)
        self._unanswered = reset or not written.keep_alive or not request.content.is_eof()
        return written, reset

    def begin(self) -> None:
        """Mark the socket as busy with a request."""
        self._busy = self._unanswered = True

    def end(self) -> None:
        """Mark the socket as idle."""
        self._busy = False

    def attach(self, stream: StreamConnection) -> None:
        """Attach the stream that answers the request, for the socket's events until its end."""
        self._stream = stream
        self.head = b""  # a stream is long

    @contextlib.contextmanager
    def watched(self, on_lost: Callable[[], None]) -> Iterator[None]:
        """Have `on_lost` called when the socket is lost within this context, where a request is answered."""
        self._on_lost = on_lost
        try:
            yield
        finally:
            self._on_lost = None

    def close_soon(self) -> None:
        """Abort the socket after CLOSING_SECONDS, within which the end of the stream is sent."""
        if self.transport is not None and self._timer is None:
            self._timer = self._loop.call_later(CLOSING_SECONDS, self.transport.abort)

    def close_if_idle(self) -> None:
        """Close a socket that waits for its next request, unless `keeps_idle`."""
        is_pending = self._repeated is not None and self._repeated.pending
        if not self._busy and not is_pending and not self.keeps_idle:
            self.force_close()

    def repeat(self, repeated: RepeatedRequest) -> None:
        """Have the requests that follow handled by `repeated`, if it takes them, in place of an earlier one."""
        self._end_repeated()
        self._repeated = repeated

    def _end_repeated(self) -> None:
        repeated, self._repeated = self._repeated, None
        if repeated is not None:
            repeated.lose()

    def _process_keepalive(self) -> None:
        """Close the socket if it is idle, which aiohttp takes one for whose requests are repeated."""
        if self._repeated is not None:
            idle_until = self._repeated.idle_since + KEEP_ALIVE_SECONDS
            self._next_keepalive_close_time = max(self._next_keepalive_close_time, idle_until)
        super()._process_keepalive()

    def _awaits_request(self) -> bool:
        """Return True when the next byte begins a request: nothing is left of an earlier one, nor of its answer.

        Bytes of a body must never be taken for a handshake: the client behind a proxy chooses them.
        """
        return not self._unanswered and not self._messages and self._stream is None

    def _hand_over(self, hand_over: HandOver, data: bytes) -> None:
        """Leave the socket, which stays counted, to its next protocol."""
        transport, self.transport = self.transport, None  # aiohttp would close it
        assert transport is not None
        self._end_repeated()
        super().connection_lost(None)
        hand_over(transport, data, self.peer)


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """Request with the properties that endpoints need.

    `remote` is the client's address, `headers` those for the backend, `shared` the CORS headers of the answer;
    `seconds` is the time limit of the body.
    """

    request: web.BaseRequest
    connection: HttpConnection
    remote: str
    headers: Mapping[str, str]
    shared: Mapping[str, str]
    seconds: float

    @property
    def binary(self) -> bool:
        """True when the body is Protobuf; without a Content-Type it is JSON."""
        content_type = self.request.headers.get("Content-Type", "")
        return content_type.partition(";")[0].strip().lower() == BINARY_TYPE

    async def body(self) -> bytes:
        """Return the complete body. Raises RequestRefusedError when it is too large, too slow, or malformed."""
        try:
            async with asyncio.timeout(self.seconds):
                return await self.request.read()
        except TimeoutError as error:
            raise RequestRefusedError(408, "the body took too long", "timeout") from error
        except web.HTTPRequestEntityTooLarge as error:
            raise RequestRefusedError(413, "the body is too large", "too_large") from error
        except (web.RequestPayloadError, web.HTTPException) as error:
            raise RequestRefusedError(400, "the body is not what its headers say", "malformed") from error


Handler: TypeAlias = Callable[[HttpRequest], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Route:
    """Endpoint with its methods and the permission for pages of other origins to call it.

    `body_bytes`: maximum body size, None for the common one. `keeps_idle`: idle connections are closed only with their
    next answer, so that no request is lost under way. `opens` returns True for the query of a GET that opens a client's
    connection; such a request may be sent again.
    """

    methods: tuple[str, ...]
    handle: Handler
    cross_origin: bool = True
    body_bytes: int | None = None
    keeps_idle: bool = False
    opens: Callable[[bytes], bool] = lambda _query: False


class HttpServer:
    """HTTP server of a worker; dispatches by path, see PathTable.

    `keeps` returns True while sockets are kept alive. They are not while connections are moved away, because a client
    would reconnect over one: a proxy's socket that brings such a request is closed without an answer, so that the proxy
    sends it again on a new socket (RFC 9112, section 9.3.1), which the balancer places. Answering 503 instead would
    reach the client, unless the proxy is configured to repeat it.
    `to_websocket` gets sockets with a WebSocket handshake after other requests.
    """

    def __init__(
        self,
        settings: HttpSettings,
        routes: Mapping[str, Route],
        counters: Counters,
        sockets: Sockets,
        loop: asyncio.AbstractEventLoop,
        *,
        keeps: Callable[[], bool] = lambda: True,
        to_websocket: ToWebSocket | None = None,
    ) -> None:
        self._to_websocket = to_websocket
        self._settings = settings
        self._routes = PathTable(routes)
        self._counters = counters
        self._sockets = sockets
        self._loop = loop
        self._keeps = keeps
        self._server = web.Server(self._answer, request_factory=self._make_request)

    def take(self, transport: asyncio.Transport, data: bytes, peer: str) -> None:
        """Take over a socket from which `data` has been read."""
        connection = HttpConnection(
            self._server,
            self._loop,
            self._counters,
            self._sockets,
            peer,
            self._to_websocket,
            self._sends_back,
            self._keeps,
        )
        transport.set_protocol(connection)
        connection.connection_made(transport)
        self._counters.bytes_received -= len(data)  # counted already
        connection.data_received(data)

    def close_idle(self) -> None:
        """Close the sockets that wait for a further request, except those of trusted proxies.

        A browser whose request meets the end of its socket sends it again. A proxy must not do so with a POST, and
        answers its client with an error; its sockets are closed with their next answer.
        """
        for connection in self._server.connections:
            assert isinstance(connection, HttpConnection)
            if connection.peer not in self._settings.proxies:
                connection.close_if_idle()

    async def close(self) -> None:
        """Close all sockets; a request has CLOSING_SECONDS to be answered."""
        await self._server.shutdown(CLOSING_SECONDS)

    def _sends_back(self, data: bytes) -> bool:
        """Return True, while no socket is kept, for a request that opens a connection: it may be sent again."""
        if self._keeps() or not data.startswith(b"GET "):
            return False
        if self._to_websocket is not None and self._to_websocket.paths.open_websocket(data):
            return True
        path, _, query = data.split(b" ", 2)[1].partition(b"?")
        route = self._routes.find(path.decode("latin-1"))
        return route is not None and route.opens(query)

    def _make_request(
        self,
        message: RawRequestMessage,
        payload: StreamReader,
        protocol: web.RequestHandler,
        writer: AbstractStreamWriter,
        task: asyncio.Task[None],
    ) -> web.BaseRequest:
        limit = self._settings.body_bytes
        return web.BaseRequest(message, payload, protocol, writer, task, self._loop, client_max_size=limit)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        connection = request.protocol
        assert isinstance(connection, HttpConnection)
        connection.begin()
        try:
            response = await self._routed(request, connection)
        finally:
            connection.end()
        if not self._keeps() and not response.prepared:
            response.force_close()
        return response

    async def _routed(self, request: web.BaseRequest, connection: HttpConnection) -> web.StreamResponse:
        shared: dict[str, str] = {}
        try:
            route = self._route_of(request)
            if route.cross_origin:
                shared = self._shared_with(request)
                if request.method == "OPTIONS":
                    return _preflight(request, route, shared)
            _check_method(request, route)
            connection.keeps_idle = route.keeps_idle
            if route.body_bytes is not None:
                request = request.clone(client_max_size=route.body_bytes)
            response = await route.handle(self._described(request, connection, shared))
        except RequestRefusedError as refused:
            return self._refuse(refused, shared)
        if not response.prepared:
            response.headers.update(shared)
        return response

    def _route_of(self, request: web.BaseRequest) -> Route:
        path = request.path
        if path == "/" and request.method == "OPTIONS":  # how HAProxy checks a server by default
            path = SERVER_PATH
        route = self._routes.find(path)
        if route is None:
            raise RequestRefusedError(404, "there is nothing here", "path")
        return route

    def _shared_with(self, request: web.BaseRequest) -> dict[str, str]:
        """Return the CORS headers that let the requesting page read the answer (Fetch Standard)."""
        origin = request.headers.get("Origin")
        if origin is None:  # no browser, or a page of this very origin
            return {"Vary": "Origin"}
        if self._settings.origins and origin not in self._settings.origins:
            raise RequestRefusedError(403, "this origin may not connect", "origin")
        return {
            "Access-Control-Allow-Origin": origin,
            "Access-Control-Allow-Credentials": "true",
            "Vary": "Origin",
        }

    def _described(
        self, request: web.BaseRequest, connection: HttpConnection, shared: Mapping[str, str]
    ) -> HttpRequest:
        proxies = self._settings.proxies
        return HttpRequest(
            request,
            connection,
            remote=proxies.client_of(connection.peer, request.headers.getall(proxies.header, [])),
            headers=visible(self._settings.visible_headers, lambda name: request.headers.getall(name, [])),
            shared=shared,
            seconds=self._settings.request_seconds,
        )

    def _refuse(self, refused: RequestRefusedError, shared: Mapping[str, str]) -> web.Response:
        self._counters.count_rejected_handshake(refused.reason)
        return error_response(refused.status, refused.status, refused.message, {**refused.headers, **shared})


def visible(names: Iterable[str], values: Callable[[str], list[str]]) -> dict[str, str]:
    """Return those headers of a request that are sent to the backend.

    Lines of a header are joined as in RFC 9110 (section 5.3), those of cookies as in RFC 9113 (section 8.2.3).
    """
    return {
        name: ("; " if name == "cookie" else ", ").join(map(_text, found)) for name in names if (found := values(name))
    }


def _text(value: str) -> str:
    """Return a header's value as text: bytes that are not UTF-8, read as lone surrogates, are replaced."""
    return value if value.isascii() else value.encode(errors="surrogateescape").decode(errors="replace")


def error_response(status: int, code: int, message: str, headers: Mapping[str, str]) -> web.Response:
    """Return a JSON error answer in the form of the server API."""
    body = msgspec.json.encode({"error": {"code": code, "message": message}})
    response = web.Response(status=status, body=body, content_type="application/json", headers=headers)
    response.headers["Cache-Control"] = "no-store"
    if status >= 400:
        response.force_close()
    return response


def _check_method(request: web.BaseRequest, route: Route) -> None:
    if request.method not in route.methods:
        allow = {"Allow": ", ".join(route.methods)}
        raise RequestRefusedError(405, f"use {' or '.join(route.methods)}", "malformed", allow)


def _preflight(request: web.BaseRequest, route: Route, shared: Mapping[str, str]) -> web.Response:
    """Answer a preflight of an allowed origin, allowing the requested headers, as tracing adds its own."""
    wanted = request.headers.get("Access-Control-Request-Headers", "").strip()
    allowed = wanted if len(wanted) <= MAX_ALLOWED_BYTES and _NAMES.fullmatch(wanted) else ALLOWED_HEADERS
    headers = {
        **shared,
        "Access-Control-Allow-Methods": ", ".join(route.methods),
        "Access-Control-Allow-Headers": allowed,
        "Access-Control-Max-Age": str(PREFLIGHT_SECONDS),
        "Vary": "Origin, Access-Control-Request-Method, Access-Control-Request-Headers",
    }
    return web.Response(status=204, headers=headers)
