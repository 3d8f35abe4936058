"""Variant of the client protocol that a handshake asks for, by URL and subprotocol.

Source: Centrifugo's client protocol. The encoding is JSON unless the client asks for Protobuf; pings are messages of
the protocol unless it asks for those of WebSocket, which a browser or a tool answers by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import parse_qs

from websockets.typing import Subprotocol


class Encoding(StrEnum):
    """Encoding of the client protocol's messages."""

    JSON = "json"
    PROTOBUF = "protobuf"

    @property
    def content(self) -> str:
        """Kind of the data of publications, as backends are told: json, or binary for arbitrary bytes."""
        return "json" if self is Encoding.JSON else "binary"


PATH = "/connection/websocket"
UNIDIRECTIONAL_PATH = "/connection/uni_websocket"
PATHS = (PATH, UNIDIRECTIONAL_PATH)

SUBPROTOCOLS = {Subprotocol(f"centrifuge-{encoding}"): encoding for encoding in Encoding}


class Dialect(NamedTuple):
    """Variant of the client protocol.

    `native_pings`: pings of the transport instead of the protocol; `unidirectional`: the client only receives, in JSON;
    `compressed`: frames may be compressed.
    """

    encoding: Encoding = Encoding.JSON
    native_pings: bool = False
    unidirectional: bool = False
    compressed: bool = False


DIALECTS = tuple(
    Dialect(encoding, native, unidirectional, compressed)
    for encoding, unidirectional in ((Encoding.JSON, False), (Encoding.PROTOBUF, False), (Encoding.JSON, True))
    for native in (False, True)
    for compressed in (False, True)
)


def select_subprotocol(offered: Iterable[Subprotocol]) -> Subprotocol | None:
    """Return the first known subprotocol that is offered, or None."""
    return next((one for one in offered if one in SUBPROTOCOLS), None)


def dialect_of(path: str, subprotocol: Subprotocol | None, *, compressed: bool = False) -> Dialect:
    """Return the dialect that a handshake asks for; its subprotocol takes precedence over the URL's parameters.

    `compressed`: True when compression was negotiated.
    """
    name, _, query = path.partition("?")
    if query:
        return _dialect_of(name, parse_qs(query), subprotocol, compressed=compressed)
    return _default_dialect_of(name, subprotocol, compressed=compressed)


@lru_cache
def _default_dialect_of(name: str, subprotocol: Subprotocol | None, *, compressed: bool) -> Dialect:
    """Return the dialect of a URL without parameters, with a cache, because most clients ask for the same."""
    return _dialect_of(name, {}, subprotocol, compressed=compressed)


def _dialect_of(
    name: str, query: Mapping[str, list[str]], subprotocol: Subprotocol | None, *, compressed: bool
) -> Dialect:
    native = "true" in query.get("cf_ws_frame_ping_pong", [])
    if name == UNIDIRECTIONAL_PATH:
        return Dialect(Encoding.JSON, native, unidirectional=True, compressed=compressed)
    if subprotocol is not None:
        encoding = SUBPROTOCOLS[subprotocol]
    else:
        asked = query.get("format", []) + query.get("cf_protocol", [])
        encoding = Encoding.PROTOBUF if Encoding.PROTOBUF in asked else Encoding.JSON
    return Dialect(encoding, native, compressed=compressed)


def connect_in(path: str) -> bytes | None:
    """Return the connect request in a unidirectional client's URL, None when there is none."""
    found = parse_qs(path.partition("?")[2]).get("cf_connect")
    return found[0].encode(errors="replace") if found else None
