"""Requests of Engine.IO, and the answers that refuse them, which are those of the reference server."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum, StrEnum
from typing import NamedTuple

import msgspec

from realtime_server.protocols.socket_io.engine_packets import PROTOCOL

TEXT = "text/plain; charset=UTF-8"
HTML = "text/html"
JSON = "application/json"
BINARY = "application/octet-stream"


class TransportName(StrEnum):
    """Transport of a session, by its name in requests."""

    POLLING = "polling"
    WEBSOCKET = "websocket"


_NAMES: frozenset[str] = frozenset(TransportName)


class Answer(NamedTuple):
    """Answer to a request; `content_type` is "" where there is no body."""

    status: int
    body: bytes = b""
    content_type: str = ""


class Refusal(IntEnum):
    """Reason for refusing a request; the values are those that clients get."""

    UNKNOWN_TRANSPORT = 0
    UNKNOWN_SESSION = 1
    BAD_HANDSHAKE_METHOD = 2
    BAD_REQUEST = 3
    FORBIDDEN = 4
    UNSUPPORTED_VERSION = 5

    @property
    def message(self) -> str:
        """Text that clients get."""
        return _MESSAGES[self]

    def answer(self, *, upgrade: bool = False) -> Answer:
        """Return the answer to a request, or to one for a WebSocket (`upgrade`)."""
        if upgrade:
            return Answer(400, self.message.encode(), HTML)
        body = msgspec.json.encode({"code": int(self), "message": self.message})
        return Answer(403 if self is Refusal.FORBIDDEN else 400, body, JSON)


_MESSAGES = {
    Refusal.UNKNOWN_TRANSPORT: "Transport unknown",
    Refusal.UNKNOWN_SESSION: "Session ID unknown",
    Refusal.BAD_HANDSHAKE_METHOD: "Bad handshake method",
    Refusal.BAD_REQUEST: "Bad request",
    Refusal.FORBIDDEN: "Forbidden",
    Refusal.UNSUPPORTED_VERSION: "Unsupported protocol version",
}


def refuse_request(
    method: str, query: Mapping[str, str], current: TransportName | None, *, upgrade: bool = False
) -> Refusal | None:
    """Return why a request is refused; None when it is not.

    `current`: the transport of the session that the request names, None when no session has its id. `upgrade`: the
    request asks for a WebSocket. The first reason in the reference's order counts.
    """
    name = query.get("transport")
    if name not in _NAMES:
        return Refusal.UNKNOWN_TRANSPORT
    has_version = query.get("EIO") == PROTOCOL
    if query.get("sid"):
        if current is None:
            return Refusal.UNKNOWN_SESSION
        wanted = TransportName.WEBSOCKET if upgrade else current
        return None if has_version and name == wanted else Refusal.BAD_REQUEST
    if method != "GET":
        return Refusal.BAD_HANDSHAKE_METHOD
    if upgrade != (name == TransportName.WEBSOCKET):
        return Refusal.BAD_REQUEST
    return None if has_version else Refusal.UNSUPPORTED_VERSION
