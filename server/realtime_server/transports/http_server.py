"""HTTP on the clients' port: everything that is no WebSocket, parsed and answered by aiohttp.

A socket gets here when the head of its first request has arrived whole (see `protocol_sniffer`). The endpoints are in
modules of their own; here is what holds for all of them: origins, limits, and how errors are told.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import msgspec
from aiohttp import StreamReader, web
from aiohttp.abc import AbstractAccessLogger, AbstractStreamWriter
from aiohttp.http import RawRequestMessage

from realtime_server.core.metrics.counters import Counters
from realtime_server.transports.addresses import peer_of
from realtime_server.transports.forwarded import NO_PROXIES, TrustedProxies
from realtime_server.transports.sockets import Sockets
from realtime_server.transports.stream import StreamConnection

KEEP_ALIVE_SECONDS = 30.0
"""How long a socket may be without a request, or with a part of one."""
CLOSING_SECONDS = 3.0
"""How long a client may take to read the end of a stream, or to send the rest of a body that nobody wants."""
PREFLIGHT_SECONDS = 7200
"""How long a browser may remember what it was allowed (Fetch Standard, Access-Control-Max-Age)."""
ALLOWED_HEADERS = "Content-Type"
"""Headers of requests that pages of other origins may send when they do not say which they want to."""
MAX_ALLOWED_BYTES = 2048
"""Longest list of wanted headers that is allowed."""
SERVER_PATH = "*"
"""Target of a request that is about the server and no endpoint of it (RFC 9110, section 9.3.7)."""
BINARY_TYPE = "application/octet-stream"
HEAD_BYTES = 16_384
LINE_BYTES = 8_190
_NAMES = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+(?:[ \t]*,[ \t]*[!#$%&'*+.^_`|~0-9A-Za-z-]+)*")
"""A list of header names (RFC 9110, section 5.6.2)."""


class RequestRefusedError(Exception):
    """A request is answered with a status that says why. `reason` is what it is counted by."""

    def __init__(self, status: int, message: str, reason: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.reason = reason
        self.headers = dict(headers or {})


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """What all requests share. `request_seconds`: how long a body may take; `origins`: empty for all."""

    body_bytes: int
    request_seconds: float
    origins: tuple[str, ...] = ()
    proxies: TrustedProxies = NO_PROXIES
    visible_headers: tuple[str, ...] = ()
    """Headers that the backend is shown, in lower case."""


class _NoAccessLog(AbstractAccessLogger):
    """Requests are counted, not logged."""

    @property
    def enabled(self) -> bool:
        """Never."""
        return False

    def log(self, request: web.BaseRequest, response: web.StreamResponse, time: float) -> None:
        """Nothing."""


class HttpConnection(web.RequestHandler):
    """One socket. `peer` is the address of its other end, or of whom a proxy in front of it speaks for."""

    __slots__ = ("_busy", "_counters", "_is_head", "_sockets", "_stream", "_timer", "keeps_idle", "peer")

    def __init__(
        self, server: web.Server, loop: asyncio.AbstractEventLoop, counters: Counters, sockets: Sockets, peer: str
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
        self._timer: asyncio.TimerHandle | None = None
        self._busy = False
        self._is_head = False
        self.keeps_idle = False
        self.peer = peer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A socket, handed over."""
        self.peer = self.peer or peer_of(transport)
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Bytes of the client; what follows the request of a stream is dropped."""
        self._counters.bytes_received += len(data)
        if self._stream is None:
            if not self._busy:
                self._is_head = data.startswith(b"HEAD ")
            super().data_received(data)

    def pause_writing(self) -> None:
        """The kernel takes no more for now."""
        super().pause_writing()
        if self._stream is not None:
            self._stream.on_full()

    def resume_writing(self) -> None:
        """What was written is nearly gone."""
        super().resume_writing()
        if self._stream is not None:
            self._stream.on_drained()

    def connection_lost(self, exc: BaseException | None) -> None:
        """The socket is gone."""
        if self._timer is not None:
            self._timer.cancel()
        self._sockets.leave()
        if self._stream is not None:
            self._stream.on_lost()
        super().connection_lost(exc)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """What is no HTTP is counted, and answered by aiohttp."""
        if status == 400:
            self._counters.count_rejected_handshake("malformed")
        response = super().handle_error(request, status, exc, message)
        if self._is_head and isinstance(response, web.Response):
            response.body = None  # aiohttp does not know the method of what it could not parse
        return response

    def begin(self) -> None:
        """A request is being answered."""
        self._busy = True

    def end(self) -> None:
        """It was answered."""
        self._busy = False

    def attach(self, stream: StreamConnection) -> None:
        """The answer is a stream: what happens to the socket matters to it, until the end."""
        self._stream = stream

    def close_soon(self) -> None:
        """The stream is over: what was written goes out within CLOSING_SECONDS, or not at all."""
        if self.transport is not None and self._timer is None:
            self._timer = self._loop.call_later(CLOSING_SECONDS, self.transport.abort)

    def close_if_idle(self) -> None:
        """End a socket that waits for its next request, unless `keeps_idle`."""
        if not self._busy and not self.keeps_idle:
            self.force_close()


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A request, and what endpoints want to know of it.

    `remote` is the client's address, `headers` those that the backend is shown, `shared` those of the answer that let a
    page of another origin read it; `seconds` is how long the body may take.
    """

    request: web.BaseRequest
    connection: HttpConnection
    remote: str
    headers: Mapping[str, str]
    shared: Mapping[str, str]
    seconds: float

    @property
    def binary(self) -> bool:
        """Whether the body is Protobuf; without a Content-Type it is JSON."""
        content_type = self.request.headers.get("Content-Type", "")
        return content_type.partition(";")[0].strip().lower() == BINARY_TYPE

    async def body(self) -> bytes:
        """The whole body; raises RequestRefusedError for one that is too large, too slow, or broken."""
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
    """An endpoint: the methods that it knows, and whether pages of other origins may call it.

    `body_bytes`: largest body, None for that of all requests. `keeps_idle`: connections that it has answered on are
    not closed while they are idle, but by their next answer: its requests must not get lost on their way.
    """

    methods: tuple[str, ...]
    handle: Handler
    cross_origin: bool = True
    body_bytes: int | None = None
    keeps_idle: bool = False


class HttpServer:
    """Answers the requests of all sockets of a worker by their path; `/a/*` stands for each path right below `/a`.

    `keeps` tells whether sockets are kept for further requests. They are not while connections are moved away: a client
    would use one to come back.
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
    ) -> None:
        self._settings = settings
        self._routes = routes
        self._counters = counters
        self._sockets = sockets
        self._loop = loop
        self._keeps = keeps
        self._server = web.Server(self._answer, request_factory=self._make_request)

    def take(self, transport: asyncio.Transport, data: bytes, peer: str) -> None:
        """Go on with a socket of which `data` has been read."""
        connection = HttpConnection(self._server, self._loop, self._counters, self._sockets, peer)
        transport.set_protocol(connection)
        connection.connection_made(transport)
        self._counters.bytes_received -= len(data)  # counted already
        connection.data_received(data)

    def close_idle(self) -> None:
        """End the sockets that wait for a further request."""
        for connection in self._server.connections:
            assert isinstance(connection, HttpConnection)
            connection.close_if_idle()

    async def close(self) -> None:
        """End all sockets; a request has CLOSING_SECONDS to be answered."""
        await self._server.shutdown(CLOSING_SECONDS)

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
        route = self._routes.get(path) or self._routes.get(f"{path.rpartition('/')[0]}/*")
        if route is None:
            raise RequestRefusedError(404, "there is nothing here", "path")
        return route

    def _shared_with(self, request: web.BaseRequest) -> dict[str, str]:
        """The headers that let the page that asks read the answer (Fetch Standard, CORS protocol)."""
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
    """Return the headers of a request that the backend is shown, as far as they are there.

    Lines of one header are joined as RFC 9110 (section 5.3) says, and those of cookies as RFC 9113 (section 8.2.3).
    """
    return {
        name: ("; " if name == "cookie" else ", ").join(map(_text, found)) for name in names if (found := values(name))
    }


def _text(value: str) -> str:
    """Return a header's value as text: what is no UTF-8 was read as half surrogate pairs, which nobody can send on."""
    return value if value.isascii() else value.encode(errors="surrogateescape").decode(errors="replace")


def error_response(status: int, code: int, message: str, headers: Mapping[str, str]) -> web.Response:
    """An error as JSON, in the shape of the server API."""
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
    """Allow a page of an allowed origin the headers that it wants to send: tracing and the like put in their own."""
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
