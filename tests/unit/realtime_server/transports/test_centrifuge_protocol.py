"""Centrifugo's protocol as the port for clients serves it."""

from __future__ import annotations

import pytest

from realtime_server.app import make_node
from realtime_server.core.ports.backend import TransportInfo
from realtime_server.settings import Settings
from realtime_server.transports.accelerated import Flusher
from realtime_server.transports.centrifuge_protocol import (
    CentrifugeProtocol,
    CentrifugeSettings,
    codec_of,
    transport_of,
)
from realtime_server.transports.client_protocol import ProtocolTable
from realtime_server.transports.dialect import DIALECTS, Dialect, Encoding


def made(*, development: bool = False) -> ProtocolTable:
    """Return the table of a port that has this protocol alone."""
    settings = CentrifugeSettings(max_connections=1, development=development)
    return ProtocolTable([CentrifugeProtocol(make_node(Settings()), settings, Flusher(lambda _flush: None, 1))])


def test_its_paths() -> None:
    """WebSockets have paths of their own, so that a handshake is known by its first bytes."""
    table = made()
    assert table.dedicated == tuple(table.by_path.by_pattern) == ("/connection/websocket", "/connection/uni_websocket")
    streams = {f"/connection/{name}" for name in ("sse", "uni_sse", "http_stream", "uni_http_stream")}
    assert set(table.routes) == {*streams, "/emulation"}
    assert set(made(development=True).routes) == {*table.routes, "/"}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_dialect_has_its_codec(dialect: Dialect) -> None:
    """A codec says of itself what the client asked for."""
    codec = codec_of(dialect)
    assert (codec.binary, codec.native_pings, codec.unidirectional) == (
        dialect.encoding is Encoding.PROTOBUF,
        dialect.native_pings,
        dialect.unidirectional,
    )


@pytest.mark.parametrize(
    ("dialect", "expected"),
    [
        (Dialect(), TransportInfo("websocket", "json", "json")),
        (Dialect(Encoding.PROTOBUF), TransportInfo("websocket", "protobuf", "binary")),
        (Dialect(unidirectional=True), TransportInfo("uni_websocket", "json", "json")),
    ],
)
def test_backends_are_told_of_the_dialect(dialect: Dialect, expected: TransportInfo) -> None:
    """Transport, protocol and kind of data have the names of Centrifugo's proxy."""
    assert transport_of(dialect) == expected
