"""Fast path for the common WebSocket handshake (RFC 6455, section 4.2), which most clients send in one piece.

When a server stops, all its clients shake hands at once, and the `websockets` library takes about ten times as long.
Any other handshake, or an invalid one, is left to the library, which also reports errors; a property test checks that
both give the same answers.
"""

from __future__ import annotations

import binascii
import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from msgspec import Struct
from websockets.datastructures import Headers
from websockets.exceptions import InvalidHeaderFormat
from websockets.extensions import Extension
from websockets.headers import parse_extension, parse_subprotocol
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

MAX_BYTES = 8192
MAX_HEADERS = 64
"""Limits of the fast path; a larger head is left to the library, which has its own limits."""
EXTENSIONS = "sec-websocket-extensions"
SUBPROTOCOL = "sec-websocket-protocol"
ORIGIN = "origin"
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

_HEAD = re.compile(
    rb"GET (/[!-~]*) HTTP/1\.1\r\n"
    rb"((?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t -~]*\r\n)+)"
    rb"\r\n"
)
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_KEY = re.compile(r"[A-Za-z0-9+/]{22}==")
_CONNECTIONS = frozenset({"upgrade", "keep-alive, upgrade", "upgrade, keep-alive"})
_UNUSUAL = frozenset({"content-length", "transfer-encoding"})
"""Headers that exclude a request from the fast path."""


Select: TypeAlias = Callable[[str, Sequence[Subprotocol]], Subprotocol | None]
"""Function that returns the subprotocol to use at a path without query, of those that are offered; None for none."""


class AcceptedHandshake(Struct, frozen=True):
    """Accepted handshake: `response` opens the WebSocket; `values` returns the lines of a header."""

    path: str
    values: Callable[[str], list[str]]
    subprotocol: Subprotocol | None
    compressed: bool
    response: bytes


def read_handshake(head: bytes, select: Select) -> AcceptedHandshake | None:
    """Parse and accept the common handshake, without extensions and with at most one subprotocol.

    Returns None when it is incomplete, uncommon, or invalid.
    """
    found = _HEAD.fullmatch(head) if len(head) <= MAX_BYTES else None
    if found is None:
        return None
    lines = found[2].decode("ascii").split("\r\n")[:-1]
    if len(lines) > MAX_HEADERS:
        return None
    headers = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip(" \t")
    offered = headers.get(SUBPROTOCOL)
    subprotocol = Subprotocol(offered) if offered else None
    if len(headers) != len(lines) or not _is_usual(headers):
        return None
    path = found[1].decode("ascii")
    if subprotocol is not None and not (
        _TOKEN.fullmatch(subprotocol) and select(path.partition("?")[0], (subprotocol,)) == subprotocol
    ):
        return None
    response = _response(headers["sec-websocket-key"], subprotocol)
    return AcceptedHandshake(path, lambda name: _values(headers, name), subprotocol, False, response)


class TolerantHandshake(ServerProtocol):
    """Handshake of the library that treats a header without a readable offer as no offer.

    Clients send `Sec-WebSocket-Protocol` empty: centrifuge-python before 0.7. RFC 6455 requires a malformed offer of
    extensions to fail (section 9.1), but without a negotiated extension nothing can be misread, and a client must not
    depend on whether compression is on: where it is off the header is ignored.
    `bodiless`: the request uses HEAD, whose answer has no body (RFC 9110, section 9.3.2). `select` returns the
    subprotocol to use, of those that are offered.
    """

    bodiless = False
    select: Callable[[Sequence[Subprotocol]], Subprotocol | None] = staticmethod(lambda _offered: None)

    def data_to_send(self) -> list[bytes]:
        """See Protocol."""
        data = super().data_to_send()
        if not self.bodiless:
            return data
        head, end, _ = b"".join(data).partition(b"\r\n\r\n")
        return [head + end]

    def process_subprotocol(self, headers: Headers) -> Subprotocol | None:
        """See ServerProtocol."""
        return super().process_subprotocol(_readable(headers, SUBPROTOCOL, parse_subprotocol))

    def select_subprotocol(self, subprotocols: Sequence[Subprotocol]) -> Subprotocol | None:
        """See ServerProtocol."""
        return self.select(subprotocols)

    def process_extensions(self, headers: Headers) -> tuple[str | None, list[Extension]]:
        """See ServerProtocol."""
        return super().process_extensions(_readable(headers, EXTENSIONS, parse_extension))


def _readable(headers: Headers, name: str, parse: Callable[[str], object]) -> Headers:
    """Return the non-empty lines of a header; none if `parse` fails on one of them."""
    lines = [line for line in headers.get_all(name) if line.strip(", \t")]
    try:
        for line in lines:
            parse(line)
    except InvalidHeaderFormat:
        return Headers()
    return Headers((name, line) for line in lines)


def _values(headers: Mapping[str, str], name: str) -> list[str]:
    value = headers.get(name.lower())
    return [] if value is None else [value]


def header_values(headers: Headers, name: str) -> list[str]:
    """Return the lines of a header as UTF-8, which the library has decoded as ISO-8859-1."""
    return [value.encode("latin-1").decode(errors="replace") for value in headers.get_all(name)]


def _response(key: str, subprotocol: Subprotocol | None) -> bytes:
    digest = hashlib.sha1(key.encode() + GUID, usedforsecurity=False).digest()
    chosen = b"" if subprotocol is None else b"Sec-WebSocket-Protocol: %b\r\n" % subprotocol.encode()
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: %b\r\n%b\r\n" % (binascii.b2a_base64(digest, newline=False), chosen)
    )


def _is_usual(headers: Mapping[str, str]) -> bool:
    return (
        "host" in headers
        and headers.get("upgrade", "").lower() == "websocket"
        and headers.get("connection", "").lower() in _CONNECTIONS
        and headers.get("sec-websocket-version") == "13"
        and _KEY.fullmatch(headers.get("sec-websocket-key", "")) is not None
        and _UNUSUAL.isdisjoint(headers)
    )
