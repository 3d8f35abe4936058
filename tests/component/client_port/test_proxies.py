"""Client address for the backend: the socket's, or that of a trusted proxy's header or PROXY protocol."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Mapping

import pytest

from realtime_operator.api.base import JsonObject, JsonValue
from tests.kit.http_backend import HttpBackend
from tests.kit.raw_client import TEXT, UPGRADE, RawStream, frame, raw_stream, request
from tests.kit.server_process import ServerProcess

CLIENT = "203.0.113.9"
LOOPBACK = "127.0.0.0/8"
SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
VERSION_1 = f"PROXY TCP4 {CLIENT} 198.51.100.1 40000 443\r\n".encode()
VERSION_2 = (
    SIGNATURE
    + struct.pack("!BBH", 0x21, 0x11, 12)
    + socket.inet_aton(CLIENT)
    + socket.inet_aton("198.51.100.1")
    + struct.pack("!HH", 40000, 443)
)


class ProxiedServer(ServerProcess):
    """Server that admits clients by its backend; `listen` extends its listener settings."""

    def __init__(self, backend: HttpBackend, **listen: JsonValue) -> None:
        hooks: JsonObject = {"connect": {"url": backend.url("connect")}}
        super().__init__("proxied", None, hooks=hooks, listen=listen)


def backend() -> HttpBackend:
    """Start a backend that admits everybody."""
    return HttpBackend({"connect": lambda _: {"result": {"user": "alice"}}})


async def let_in(stream: RawStream, headers: Mapping[str, str] | None = None) -> None:
    """Shake hands and connect."""
    await stream.send(request(headers={**UPGRADE, **(headers or {})}))
    status, _ = await stream.response()
    assert status == 101
    await stream.send(frame(TEXT, b'{"id":1,"connect":{}}'))
    _, reply = await stream.frame()
    assert b'"connect":' in reply


@pytest.mark.parametrize(
    ("trusted", "reported"),
    [([LOOPBACK], CLIENT), (["10.0.0.0/8"], "127.0.0.1"), ([], "127.0.0.1")],
    ids=["trusted", "another proxy", "none"],
)
async def test_a_forwarded_address_is_believed_from_trusted_proxies(trusted: list[str], reported: str) -> None:
    """Headers of other peers are ignored, as they could be forged."""
    async with (
        backend() as asked,
        ProxiedServer(asked, trusted_proxies=[*trusted]) as server,
        raw_stream(server.client_port) as stream,
    ):
        await let_in(stream, {"X-Forwarded-For": CLIENT})
        assert [body["remote_address"] for body in asked.bodies("connect")] == [reported]


@pytest.mark.parametrize("header", [VERSION_1, VERSION_2], ids=["version 1", "version 2"])
async def test_the_proxy_protocol_says_whose_connection_it_is(header: bytes) -> None:
    """The address comes before the first byte of HTTP, and HTTP headers are ignored."""
    async with (
        backend() as asked,
        ProxiedServer(asked, proxy_protocol=True, trusted_proxies=[LOOPBACK]) as server,
        raw_stream(server.client_port) as stream,
    ):
        await stream.send(header)
        await let_in(stream)
        assert [body["remote_address"] for body in asked.bodies("connect")] == [CLIENT]


async def test_a_trusted_proxy_that_does_not_speak_it_is_cut_off() -> None:
    """A trusted proxy without the header is disconnected, since the client would be unknown."""
    async with (
        backend() as asked,
        ProxiedServer(asked, proxy_protocol=True, trusted_proxies=[LOOPBACK]) as server,
        raw_stream(server.client_port) as stream,
    ):
        await stream.send(request())
        await stream.ended()
        assert asked.requests == []
        assert 'reason="proxy_protocol"' in await server.metrics()


@pytest.mark.parametrize(("trusted", "kept"), [([LOOPBACK], True), ([], False)], ids=["a proxy", "a client"])
async def test_a_quiesced_server_closes_no_socket_of_a_proxy_that_may_be_sending(
    trusted: list[JsonValue], kept: bool
) -> None:
    """A proxy's request that is under way is answered, as the last of its socket; a client's idle socket is closed."""
    async with (
        ServerProcess("kept", None, listen={"trusted_proxies": trusted}) as server,
        raw_stream(server.client_port) as stream,
    ):
        await stream.send(b"GET /health HTTP/1.1\r\nHost: server\r\n\r\n")
        status, headers = await stream.response()
        assert (status, headers.get("connection")) == (200, None)
        await server.admin("POST", "quiesce")
        if kept:
            await stream.send(b"OPTIONS /emulation HTTP/1.1\r\nHost: server\r\n\r\n")
            status, headers = await stream.response()
            assert (status, headers["connection"]) == (204, "close")
        await stream.ended()


@pytest.mark.parametrize(
    ("opening", "accepted"),
    [(request(), 101), (request("/connection/sse?cf_connect=%7B%7D", headers={"Host": "server"}), 200)],
    ids=["WebSocket", "SSE"],
)
async def test_a_quiesced_server_sends_clients_on_kept_sockets_back_to_the_proxy(opening: bytes, accepted: int) -> None:
    """The socket ends without an answer, so that the proxy repeats the request; on a new socket it is accepted."""
    async with ServerProcess("kept", None, listen={"trusted_proxies": [LOOPBACK]}) as server:
        async with raw_stream(server.client_port) as stream:
            await stream.send(request("/health", headers={"Host": "server"}))
            assert (await stream.response())[0] == 200
            await server.admin("POST", "quiesce")
            await stream.send(opening)
            with pytest.raises(asyncio.IncompleteReadError) as ended:
                await stream.response()
            assert ended.value.partial == b""
        async with raw_stream(server.client_port) as stream:
            await stream.send(opening)
            assert (await stream.response())[0] == accepted
