"""Encoding and kind of pings of a client, by its handshake."""

from __future__ import annotations

import pytest
from websockets.typing import Subprotocol

from realtime_server.transports.dialect import (
    DIALECTS,
    Dialect,
    Encoding,
    connect_in,
    dialect_of,
    select_subprotocol,
)

PROTOBUF = Subprotocol("centrifuge-protobuf")
JSON = Subprotocol("centrifuge-json")


@pytest.mark.parametrize(
    ("path", "subprotocol", "expected"),
    [
        ("/connection/websocket", None, Dialect()),
        ("/connection/websocket", JSON, Dialect()),
        ("/connection/websocket", PROTOBUF, Dialect(Encoding.PROTOBUF)),
        ("/connection/websocket?format=protobuf", None, Dialect(Encoding.PROTOBUF)),
        ("/connection/websocket?cf_protocol=protobuf", None, Dialect(Encoding.PROTOBUF)),
        ("/connection/websocket?format=json", None, Dialect()),
        ("/connection/websocket?format=xml", None, Dialect()),
        ("/connection/websocket?format=protobuf", JSON, Dialect()),
        ("/connection/websocket?cf_ws_frame_ping_pong=true", None, Dialect(native_pings=True)),
        ("/connection/websocket?cf_ws_frame_ping_pong=false", None, Dialect()),
        ("/connection/websocket?a=b&cf_ws_frame_ping_pong=true&format=protobuf", None,
         Dialect(Encoding.PROTOBUF, native_pings=True)),
        ("/connection/websocket?%ff=&&=", None, Dialect()),
        ("/connection/uni_websocket", None, Dialect(unidirectional=True)),
        ("/connection/uni_websocket?format=protobuf", PROTOBUF, Dialect(unidirectional=True)),
        ("/connection/uni_websocket?cf_ws_frame_ping_pong=true", None, Dialect(native_pings=True, unidirectional=True)),
    ],
)  # fmt: skip
def test_by_subprotocol_and_url(path: str, subprotocol: Subprotocol | None, expected: Dialect) -> None:
    """The subprotocol takes precedence over the URL; unknown values mean JSON."""
    assert dialect_of(path, subprotocol) == expected
    assert expected in DIALECTS


@pytest.mark.parametrize("dialect", [one for one in DIALECTS if not one.compressed])
def test_every_dialect_can_be_spoken_in_compressed_frames(dialect: Dialect) -> None:
    """Compression is independent of all other choices."""
    path = "/connection/uni_websocket" if dialect.unidirectional else "/connection/websocket"
    query = f"?format={dialect.encoding}&cf_ws_frame_ping_pong={str(dialect.native_pings).lower()}"
    compressed = dialect_of(path + query, None, compressed=True)
    assert compressed == dialect._replace(compressed=True)
    assert compressed in DIALECTS


@pytest.mark.parametrize(
    ("offered", "selected"),
    [([], None), (["chat"], None), ([PROTOBUF], PROTOBUF), (["chat", JSON, PROTOBUF], JSON)],
)
def test_the_first_known_subprotocol_is_taken(offered: list[Subprotocol], selected: Subprotocol | None) -> None:
    """The client lists subprotocols by preference (RFC 6455, section 4.1)."""
    assert select_subprotocol(offered) == selected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/connection/uni_websocket", None),
        ("/connection/uni_websocket?cf_connect=%7B%22token%22%3A%22t%22%7D", b'{"token":"t"}'),
        ("/connection/uni_websocket?cf_connect=", None),
    ],
)
def test_a_client_that_only_listens_may_connect_by_its_url(path: str, expected: bytes | None) -> None:
    """Such a client needs to send nothing."""
    assert connect_in(path) == expected
