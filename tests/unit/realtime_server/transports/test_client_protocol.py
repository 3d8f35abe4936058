"""Table of the client protocols of a port."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from aiohttp import web

from realtime_server.transports.client_protocol import ProtocolTable
from realtime_server.transports.http_server import HttpRequest, Route
from tests.kit.echo_server import PATH, EchoProtocol


async def answer(_asked: HttpRequest) -> web.StreamResponse:
    """Return an empty answer."""
    return web.Response()


class PollingProtocol(EchoProtocol):
    """Protocol with an endpoint on the path of its WebSockets, and one elsewhere."""

    websocket_paths = ("/both/",)

    def routes(self) -> Mapping[str, Route]:
        """Return its endpoints."""
        return {"/both/": Route(("GET",), answer), "/elsewhere": Route(("GET",), answer)}


UPGRADE = b" HTTP/1.1\r\nUpgrade: websocket\r\n\r\n"


def test_each_path_has_its_protocol() -> None:
    """A path of a protocol that has an endpoint there needs the header, another does not."""
    echo, polling = EchoProtocol(), PollingProtocol()
    table = ProtocolTable((echo, polling))
    assert table.by_path.by_pattern == {PATH: echo, "/both/": polling}
    assert set(table.routes) == {"/both/", "/elsewhere"}
    assert table.dedicated == (PATH,)
    opens = table.websocket_paths.open_websocket
    assert [opens(b"GET " + path + b" HTTP/1.1\r\n\r\n") for path in (PATH.encode(), b"/both/", b"/elsewhere")] == [
        True,
        False,
        False,
    ]
    assert opens(b"GET /both/" + UPGRADE)
    assert not opens(b"GET /elsewhere" + UPGRADE)


def test_two_protocols_cannot_have_one_path() -> None:
    """Which of them answers would depend on their order."""
    with pytest.raises(AssertionError, match="/both/"):
        ProtocolTable((PollingProtocol(), PollingProtocol()))
