"""Server side of an opening handshake, sans I/O: bytes of a new socket in, one outcome out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

from websockets.exceptions import SecurityError
from websockets.extensions import ServerExtensionFactory
from websockets.http11 import Request, Response
from websockets.server import ServerProtocol
from websockets.typing import Origin, Subprotocol

from realtime_server.transports.client_protocol import ClientProtocol, HandshakeRefusal
from realtime_server.transports.handshake import (
    EXTENSIONS,
    ORIGIN,
    AcceptedHandshake,
    TolerantHandshake,
    header_values,
    read_handshake,
)
from realtime_server.transports.path_table import PathTable

HTTP_1_0 = (
    "A WebSocket needs HTTP/1.1. Behind nginx, set proxy_http_version to 1.1 and pass on the headers Upgrade and"
    " Connection.\n"
)
NO_HTTP = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
"""Answer to a request that the `websockets` library cannot parse."""
REASONS = {403: "origin"}
"""Reasons of refusals by the `websockets` library, by status."""


@dataclass(frozen=True, slots=True)
class HandshakePolicy:
    """Policy for handshakes: the `protocols` by path, allowed `origins` of pages, empty for all, and `extensions`."""

    protocols: PathTable[ClientProtocol]
    origins: tuple[str, ...] = ()
    extensions: tuple[ServerExtensionFactory, ...] = ()

    def select_subprotocol(self, path: str, offered: Sequence[Subprotocol]) -> Subprotocol | None:
        """Return the subprotocol to use at a path; see ClientProtocol."""
        protocol = self.protocols.find(path)
        return None if protocol is None else protocol.select_subprotocol(path, offered)


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
    `protocol` is that of the path, once there is an outcome for it.
    """

    __slots__ = ("_has_room", "_head", "_library", "_policy", "_wants_http", "protocol")

    def __init__(
        self, policy: HandshakePolicy, wants_http: Callable[[bytes], bool | None], has_room: Callable[[], bool]
    ) -> None:
        self._policy = policy
        self._wants_http = wants_http
        self._has_room = has_room
        self._head = b""
        self._library: TolerantHandshake | None = None
        self.protocol: ClientProtocol | None = None

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
            accepted = read_handshake(data, self._policy.select_subprotocol)
            if accepted is not None and self._is_acceptable(accepted):
                return accepted
            self._library = self._tolerant_handshake()
            self._library.bodiless = data.startswith(b"HEAD ")
        return self._receive_tolerantly(self._library, data)

    def _is_acceptable(self, accepted: AcceptedHandshake) -> bool:
        """Return True when nothing is left to negotiate or to refuse."""
        policy = self._policy
        protocol = self.protocol = policy.protocols.find(accepted.path.partition("?")[0])
        return (
            protocol is not None
            and self._has_room()
            and not (policy.extensions and accepted.values(EXTENSIONS))
            and not (policy.origins and not set(accepted.values(ORIGIN)) <= set(policy.origins))
            and protocol.why_not(accepted.path, accepted.values) is None
        )

    def _tolerant_handshake(self) -> TolerantHandshake:
        # None: a client that sends no origin is no browser.
        origins = [None, *map(Origin, self._policy.origins)] if self._policy.origins else None
        return TolerantHandshake(origins=origins, extensions=self._policy.extensions)

    def _receive_tolerantly(self, library: TolerantHandshake, data: bytes) -> Outcome | None:
        library.receive_data(data)
        for event in library.events_received():
            if isinstance(event, Request):
                return self._answer(library, event)
        if library.handshake_exc is None:
            return None
        too_large = isinstance(library.handshake_exc, SecurityError)
        return RefusedHandshake(_sent(library), "head_too_large" if too_large else "malformed")

    def _answer(self, library: TolerantHandshake, request: Request) -> Outcome:
        values = partial(header_values, request.headers)
        library.select = partial(self._policy.select_subprotocol, request.path.partition("?")[0])
        response, reason = self._refusal(library, request, values) or (library.accept(request), "")
        library.send_response(response)
        if response.status_code != 101:
            return RefusedHandshake(_sent(library), reason or REASONS.get(response.status_code, "malformed"))
        compressed = bool(library.extensions)
        return AcceptedHandshake(request.path, values, library.subprotocol, compressed, _sent(library))

    def _refusal(
        self, library: ServerProtocol, request: Request, values: Callable[[str], list[str]]
    ) -> tuple[Response, str] | None:
        """Return the answer to a request that is refused whatever its headers of WebSocket are, with the reason."""
        protocols = self._policy.protocols
        protocol = self.protocol = protocols.find(request.path.partition("?")[0])
        if protocol is None:
            return library.reject(
                404, f"There is nothing here. Connect to {' or '.join(protocols.by_pattern)}.\n"
            ), "path"
        if request.protocol == "HTTP/1.0":
            response = library.reject(426, HTTP_1_0)
            response.headers["Upgrade"] = "websocket"
            return response, "malformed"
        refusal = protocol.why_not(request.path, values)
        if refusal is not None:
            return _response_of(library, refusal), refusal.reason
        if not self._has_room():
            response = library.reject(503, "This server has all the connections that it may have. Try again.\n")
            response.headers["Retry-After"] = "1"
            return response, "connection_limit"
        return None


def _response_of(library: ServerProtocol, refusal: HandshakeRefusal) -> Response:
    response = library.reject(refusal.status, refusal.body)
    for name, value in {"Content-Type": refusal.content_type, **refusal.headers}.items():
        response.headers.pop(name, None)
        response.headers[name] = value
    return response


def _sent(library: ServerProtocol) -> bytes:
    """Return the bytes that the library wants to send."""
    return b"".join(library.data_to_send()) or NO_HTTP
