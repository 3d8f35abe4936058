"""What a client wants to be spoken to, by the URL and the subprotocol of its handshake.

Source: Centrifugo's client protocol. JSON unless the client asks for Protobuf; pings are messages of the protocol
unless it asks for those of WebSocket, which a browser or a tool answers by itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import parse_qs

from websockets.server import ServerProtocol
from websockets.typing import Subprotocol


class Encoding(StrEnum):
    """How messages of the client protocol are written."""

    JSON = "json"
    PROTOBUF = "protobuf"


PATH = "/connection/websocket"
UNIDIRECTIONAL_PATH = "/connection/uni_websocket"
PATHS = (PATH, UNIDIRECTIONAL_PATH)

SUBPROTOCOLS = {Subprotocol(f"centrifuge-{encoding}"): encoding for encoding in Encoding}


@dataclass(frozen=True, slots=True)
class Dialect:
    """One way to speak the client protocol.

    `native_pings`: with pings of the transport instead of its own; `unidirectional`: the client only listens, in JSON;
    `compressed`: in frames that may be compressed.
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


def select_subprotocol(_protocol: ServerProtocol, offered: Iterable[Subprotocol]) -> Subprotocol | None:
    """The first one offered that is spoken here; none is needed. For `websockets`."""
    return next((one for one in offered if one in SUBPROTOCOLS), None)


def dialect_of(path: str, subprotocol: Subprotocol | None, *, compressed: bool = False) -> Dialect:
    """What the handshake of a client asks for; its subprotocol counts for more than the parameters of its URL.

    `compressed`: whether compression was negotiated.
    """
    name, _, text = path.partition("?")
    query = parse_qs(text) if text else {}
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
    """The connect request in the URL of a client that only listens, None where there is none."""
    found = parse_qs(path.partition("?")[2]).get("cf_connect")
    return found[0].encode(errors="replace") if found else None
