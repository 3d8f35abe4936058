"""Detection of the protocol by a client's first bytes."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest

from realtime_server.core.ports.backend import TransportInfo
from realtime_server.transports.http_server import HttpServer
from realtime_server.transports.protocol_sniffer import ProtocolSniffer
from realtime_server.transports.sockets import Sockets
from realtime_server.transports.websocket_paths import HEAD_BYTES, WebSocketPaths

HTTP = cast("HttpServer", object())
"""HTTP server that is never called."""
PATHS = WebSocketPaths(("/connection/websocket", "/connection/uni_websocket"), ("/both/",))
SNIFFER = ProtocolSniffer(Sockets(1), HTTP, PATHS)
END = b" HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.mark.parametrize(
    ("data", "wants_http"),
    [
        (b"GET /connection/websocket HTTP/1.1\r\n", False),
        (b"GET /connection/websocket", None),
        (b"GET /connection/websocket/below" + END, True),
        (b"GET /connection/sse" + END, True),
        (b"POST /emulation" + END + b"{}", True),
        (b"OPTIONS /emulation" + END, True),
        (b"GET /connection/sse?cf_connect=a" + END, True),
        (b"GET /" + END, True),
        (b"GET /?channel=a" + END, True),
        (b"GET /connection/uni_websocket" + END, False),
        (b"GET /connection/uni_websocket?cf_connect=a" + END, False),
        (b"HEAD /connection/websocket" + END, True),
        (b"POST /connection/uni_websocket" + END, True),
        (b"GET /connection/uni_websocket/below" + END, True),
        (b"GET /other" + END, True),
        (b"GET //" + END, True),
        (b"OPTIONS * HTTP/1.0\r\n\r\n", True),
        (b"GET /echo" + END, True),
        (b"GET /both/?a=b HTTP/1.1\r\nHost: a\r\n", None),
        (b"GET /both/?a=b" + END, True),
        (b"GET /both/ HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n", False),
        (b"POST /both/ HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n", True),
        (b"GET /both/ HTTP/1.1\r\nCookie: " + b"a" * HEAD_BYTES + b"\r\n\r\n", False),
        (b"get /" + END, False),
        (b"\x16\x03\x01", False),
        (b"PRI * HTTP/2.0\r\n\r\n", True),
        (b"", None),
        (b"POST", None),
        (b"POST /emu", None),
        (b"POST /emulation HTTP/1.1\r\nHost: a\r\n", None),
        (b"POST /emulation?" + b"a" * 100, None),
        (b"POST /emulation?" + b"a" * 10_000, False),
        (b"POST /emulation?" + b"a" * 10_000 + END, False),
        (b"POST /emulation HTTP/1.1\r\nCookie: " + b"a" * HEAD_BYTES + b"\r\n\r\n", False),
        (b"POST /" + b"a" * 100, None),
        (b"POST /" + b"a" * 10_000, False),
    ],
)
def test_sorting(data: bytes, wants_http: bool | None) -> None:
    """A complete head of another request goes to HTTP; one that is too long never does."""
    assert SNIFFER.wants_http(data) is wants_http


def test_byte_by_byte_it_comes_out_the_same() -> None:
    """The result is undecided until it is final."""
    request = b"POST /emulation" + END
    verdicts = [SNIFFER.wants_http(request[:size]) for size in range(len(request) + 1)]
    assert verdicts == [None] * len(request) + [True]


def test_what_nobody_is_told_is_not_found_out() -> None:
    """Without a backend the client's address is not looked up."""

    def never(_name: str) -> list[str]:
        raise AssertionError

    sniffer = ProtocolSniffer(Sockets(1), HTTP, PATHS, describes=False)
    info = TransportInfo("websocket", "json")
    assert sniffer.describe(asyncio.Transport(), "", info, never) is info
