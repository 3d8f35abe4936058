"""Server side of an opening handshake, sans I/O: bytes of a new socket in, one outcome out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

from websockets.exceptions import SecurityError
from websockets.extensions import ServerExtensionFactory
from websockets.http11 import Request, Response
from websockets.server import ServerProtocol
from websockets.typing import Origin

from realtime_server.transports.dialect import PATH, PATHS, SUBPROTOCOLS, select_subprotocol
from realtime_server.transports.handshake import (
    EXTENSIONS,
    ORIGIN,
    AcceptedHandshake,
    TolerantHandshake,
    header_values,
    read_handshake,
)

HTTP_1_0 = (
    "A WebSocket needs HTTP/1.1. Behind nginx, set proxy_http_version to 1.1 and pass on the headers Upgrade and"
    " Connection.\n"
)
NO_HTTP = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
"""Answer to a request that the `websockets` library cannot parse."""
REASONS = {403: "origin", 404: "path", 503: "connection_limit"}


@dataclass(frozen=True, slots=True)
class HandshakePolicy:
    """Policy for handshakes: allowed `origins` of pages, empty for all, and `extensions` to negotiate."""

    origins: tuple[str, ...] = ()
    extensions: tuple[ServerExtensionFactory, ...] = ()


@dataclass(frozen=True, slots=True)
class OtherRequest:
    """Request for an HTTP endpoint: `data` is everything that was read of it."""

    data: bytes


@dataclass(frozen=True, slots=True)
class RefusedHandshake:
    """Refused handshake: `response` is sent before closing the socket, and `reason` is counted."""

    response: bytes
    reason: str


Outcome: TypeAlias = AcceptedHandshake | OtherRequest | RefusedHandshake


class ServerHandshake:
    """Handshake of one socket: call `receive` until it returns an outcome, and then no more.

    `wants_http` is that of ProtocolSniffer; `has_room` returns False while the server is at its maximum of connections.
    """

    __slots__ = ("_has_room", "_head", "_library", "_policy", "_wants_http")

    def __init__(
        self, policy: HandshakePolicy, wants_http: Callable[[bytes], bool | None], has_room: Callable[[], bool]
    ) -> None:
        self._policy = policy
        self._wants_http = wants_http
        self._has_room = has_room
        self._head = b""
        self._library: TolerantHandshake | None = None

    def receive(self, data: bytes) -> Outcome | None:
        """Handle bytes of the client; return None while more are needed. Never raises."""
        if self._library is None:
            self._head += data
            wants_http = self._wants_http(self._head)
            if wants_http is None:
                return None
            data, self._head = self._head, b""
            if wants_http:
                return OtherRequest(data)
            accepted = read_handshake(data)
            if accepted is not None and self._is_acceptable(accepted):
                return accepted
            self._library = self._tolerant_handshake()
            self._library.bodiless = data.startswith(b"HEAD ")
        return self._receive_tolerantly(self._library, data)

    def _is_acceptable(self, accepted: AcceptedHandshake) -> bool:
        """Return True when nothing is left to negotiate or to refuse."""
        policy = self._policy
        return (
            accepted.path.partition("?")[0] in PATHS
            and self._has_room()
            and not (policy.extensions and accepted.values(EXTENSIONS))
            and not (policy.origins and not set(accepted.values(ORIGIN)) <= set(policy.origins))
        )

    def _tolerant_handshake(self) -> TolerantHandshake:
        # None: a client that sends no origin is no browser.
        origins = [None, *map(Origin, self._policy.origins)] if self._policy.origins else None
        return TolerantHandshake(
            origins=origins,
            extensions=self._policy.extensions,
            subprotocols=list(SUBPROTOCOLS),
            select_subprotocol=select_subprotocol,
        )

    def _receive_tolerantly(self, library: ServerProtocol, data: bytes) -> Outcome | None:
        library.receive_data(data)
        for event in library.events_received():
            if isinstance(event, Request):
                return self._answer(library, event)
        if library.handshake_exc is None:
            return None
        too_large = isinstance(library.handshake_exc, SecurityError)
        return RefusedHandshake(_sent(library), "head_too_large" if too_large else "malformed")

    def _answer(self, library: ServerProtocol, request: Request) -> Outcome:
        response = self._refusal(library, request) or library.accept(request)
        library.send_response(response)
        if response.status_code != 101:
            return RefusedHandshake(_sent(library), REASONS.get(response.status_code, "malformed"))
        compressed = bool(library.extensions)
        return AcceptedHandshake(
            request.path, partial(header_values, request.headers), library.subprotocol, compressed, _sent(library)
        )

    def _refusal(self, library: ServerProtocol, request: Request) -> Response | None:
        if request.path.partition("?")[0] not in PATHS:
            return library.reject(404, f"There is nothing here. Connect to {PATH}.\n")
        if request.protocol == "HTTP/1.0":
            response = library.reject(426, HTTP_1_0)
            response.headers["Upgrade"] = "websocket"
            return response
        if not self._has_room():
            response = library.reject(503, "This server has all the connections that it may have. Try again.\n")
            response.headers["Retry-After"] = "1"
            return response
        return None


def _sent(library: ServerProtocol) -> bytes:
    """Return the bytes that the library wants to send."""
    return b"".join(library.data_to_send()) or NO_HTTP
