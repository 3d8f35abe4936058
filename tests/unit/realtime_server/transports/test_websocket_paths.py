"""Handshakes known by the first bytes of a request."""

from __future__ import annotations

import pytest

from realtime_server.transports.websocket_paths import HEAD_BYTES, WebSocketPaths

PATHS = WebSocketPaths(("/connection/websocket", "/connection/uni_websocket"), ("/both/", "/below/*"))
UPGRADE = b" HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n"
PLAIN = b" HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.mark.parametrize(
    ("data", "opens"),
    [
        (b"GET /connection/websocket ", True),
        (b"GET /connection/uni_websocket?cf_connect=a HTTP/1.1\r\n", True),
        (b"GET /connection/websocket", None),
        (b"GET /connection/websocketb", False),
        (b"GET /connection/websocket/below" + UPGRADE, False),
        (b"POST /connection/websocket" + UPGRADE, False),
        (b"GET /connection/sse" + UPGRADE, False),
        (b"GET /both/?a=b" + UPGRADE, True),
        (b"GET /both/?a=b" + PLAIN, False),
        (b"GET /both/ HTTP/1.1\r\nhost: a\r\nupgrade:\tWebSocket\r\n\r\n", True),
        (b"GET /both/ HTTP/1.1\r\nUpgrade: h2c, websocket\r\n\r\n", True),
        (b"GET /both/ HTTP/1.1\r\nUpgrade: h2c\r\n\r\n", False),
        (b"GET /both/ HTTP/1.1\r\nX-Upgrade: websocket\r\n\r\n", False),
        (b"GET /both/" + PLAIN + b"GET /both/" + UPGRADE, False),
        (b"GET /both/?upgrade:websocket" + PLAIN, False),
        (b"POST /both/" + UPGRADE, False),
        (b"GET /both", None),
        (b"GET /bot ", False),
        (b"GET /both/ " + b"a" * HEAD_BYTES, False),
        (b"", None),
        (b"GET /below/a/b" + UPGRADE, True),
        (b"GET /below/?a" + PLAIN, False),
        (b"GET /below/a" + UPGRADE[:-2], None),
        (b"GET /below", None),
        (b"GET /below" + UPGRADE, False),
        (b"GET /below?a" + UPGRADE, False),
    ],
)  # fmt: skip
def test_a_handshake_is_known_by_its_first_bytes(data: bytes, opens: bool | None) -> None:
    """By its path, and where that is an endpoint's too, by the header."""
    assert PATHS.open_websocket(data) is opens


def test_a_path_of_both_kinds_is_undecided_until_the_head_is_whole() -> None:
    """However the bytes arrive."""
    request = b"GET /both/" + UPGRADE
    verdicts = [PATHS.open_websocket(request[:size]) for size in range(len(request) + 1)]
    assert verdicts == [None] * len(request) + [True]


def test_without_paths_nothing_opens() -> None:
    """No protocol is on, or none has a WebSocket."""
    assert WebSocketPaths().open_websocket(b"GET /" + UPGRADE) is False
