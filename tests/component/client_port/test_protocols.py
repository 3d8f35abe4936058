"""Two client protocols on one port: one with paths for WebSockets alone, one with an endpoint on the same path."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping

import pytest
import pytest_asyncio
from aiohttp import web

from realtime_server.app import make_node
from realtime_server.settings import Settings
from realtime_server.transports.accelerated import Flusher
from realtime_server.transports.client_port import ClientPort, ClientPortSettings
from realtime_server.transports.http_server import HttpRequest, Route
from tests.kit.echo_server import EchoProtocol
from tests.kit.raw_client import PATH, TEXT, UPGRADE, RawStream, frame, raw_stream, request

BOTH = "/both/"
PLAIN = {"Host": "a"}


async def answer(asked: HttpRequest) -> web.StreamResponse:
    """Return what was posted."""
    return web.Response(body=await asked.body())


class PollingProtocol(EchoProtocol):
    """Protocol whose WebSockets open on the path of its endpoint."""

    websocket_paths = (BOTH,)

    def routes(self) -> Mapping[str, Route]:
        """Return the endpoint."""
        return {BOTH: Route(("GET", "POST"), answer, opens=lambda query: b"sid=" not in query)}


@pytest.fixture
def serving() -> asyncio.Event:
    """Return the event that the server serves, and keeps sockets."""
    event = asyncio.Event()
    event.set()
    return event


@pytest_asyncio.fixture
async def port(serving: asyncio.Event) -> AsyncIterator[int]:
    """Serve both protocols."""
    node = make_node(Settings())
    flusher = Flusher(asyncio.get_running_loop().call_soon, 65_536)
    protocols = (EchoProtocol(), PollingProtocol())
    clients = ClientPort(node, ClientPortSettings(10, 10, 10), protocols, flusher, keeps=serving.is_set)
    bound = socket.create_server(("127.0.0.1", 0))
    close = await clients.accept(bound)
    yield bound.getsockname()[1]
    await close()
    await clients.close()


async def echoed(stream: RawStream) -> None:
    """Have a message echoed; fails unless the WebSocket is open."""
    assert (await stream.response())[0] == 101
    await stream.send(frame(TEXT, b"a"))
    assert await stream.frame() == (TEXT, b"a")


@pytest.mark.parametrize("path", [PATH, BOTH, f"{BOTH}?a=b"])
async def test_a_websocket_opens_on_the_path_of_each(port: int, path: str) -> None:
    """As the first request of a socket."""
    async with raw_stream(port) as stream:
        await stream.send(request(path))
        await echoed(stream)


@pytest.mark.parametrize("size", [1, len(BOTH), 30])
async def test_a_path_of_both_kinds_takes_requests_and_then_a_handshake(port: int, size: int) -> None:
    """On one socket, as a proxy sends them, with the handshake in pieces."""
    async with raw_stream(port) as stream:
        for method, headers, body in (("GET", PLAIN, b""), ("POST", {**PLAIN, "Content-Length": "3"}, b"abc")):
            await stream.send(request(f"{BOTH}?a=b", method, headers) + body)
            assert (await stream.response())[0] == 200
        await stream.send(request(BOTH, headers=PLAIN)[:size])
        await stream.send(request(BOTH, headers=PLAIN)[size:])
        assert (await stream.response())[0] == 200
        handshake = request(BOTH)
        for start in range(0, len(handshake), size):
            await stream.send(handshake[start : start + size])
        await echoed(stream)


async def test_a_path_of_websockets_alone_refuses_requests(port: int) -> None:
    """It names what is missing; a path of neither protocol is not found."""
    async with raw_stream(port) as stream:
        await stream.send(request(PATH, headers=PLAIN))
        assert (await stream.response())[0] == 426
    async with raw_stream(port) as stream:
        await stream.send(request("/connection/sse", headers=UPGRADE))
        assert (await stream.response())[0] == 404


@pytest.mark.parametrize(
    ("data", "is_sent_back"),
    [
        (request(PATH), True),
        (request(BOTH), True),
        (request(f"{BOTH}?a=b", headers=PLAIN), True),
        (request(f"{BOTH}?sid=b", headers=PLAIN), False),
        (request(BOTH, "POST", {**PLAIN, "Content-Length": "0"}), False),
    ],
    ids=["a WebSocket", "a WebSocket of both kinds", "an opening", "a poll of a session", "POST"],
)
async def test_a_protocol_says_which_requests_open_connections(
    port: int, serving: asyncio.Event, data: bytes, *, is_sent_back: bool
) -> None:
    """A server that is left sends those on kept sockets back to the proxy, and answers all others."""
    async with raw_stream(port) as stream:
        await stream.send(request(BOTH, headers=PLAIN))
        assert (await stream.response())[0] == 200
        serving.clear()
        await stream.send(data)
        if is_sent_back:
            with pytest.raises(asyncio.IncompleteReadError) as ended:
                await stream.response()
            assert ended.value.partial == b""
        else:
            assert (await stream.response())[0] == 200
