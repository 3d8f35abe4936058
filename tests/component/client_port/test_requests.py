"""HTTP requests on the port for clients, byte by byte as load balancers, proxies and browsers exchange them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Literal

import pytest
import pytest_asyncio

from realtime_operator.api.base import JsonObject
from tests.kit.deadline import eventually
from tests.kit.document import whole_at
from tests.kit.raw_client import UPGRADE, frame, raw_stream, request
from tests.kit.redis_process import running_redis
from tests.kit.server_process import API_KEY, ServerProcess

pytestmark = pytest.mark.asyncio(loop_scope="module")

SECONDS = 10
ORIGIN = "https://app.example"
PING_FRAME, PONG_FRAME = 0x89, 0x8A
Port = Literal["client", "api", "admin"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server() -> AsyncIterator[ServerProcess]:
    """Start a server for all tests of this module, which leave it serving."""
    async with ServerProcess("requests", None, auth={"anonymous": True}, origins=[ORIGIN]) as process:
        yield process


async def exchange(port: int, data: bytes) -> tuple[int, dict[str, str], bytes]:
    """Send bytes and read until the server closes: status, headers (names in lower case), and the rest."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(data)
        async with asyncio.timeout(SECONDS):
            answer = await reader.read()
    finally:
        writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    pairs = [line.partition(":") for line in lines]
    return int(status.split(" ")[1]), {name.lower(): value.strip() for name, _, value in pairs}, body


def asked(
    line: str, headers: dict[str, str] | None = None, *, body: bytes = b"", close: bool = True, version: str = "1.1"
) -> bytes:
    """Return a request whose connection ends with the answer."""
    fields = {"Host": "a", **(headers or {}), **({"Connection": "close"} if close else {})}
    if body:
        fields["Content-Length"] = str(len(body))
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"{line} HTTP/{version}\r\n{head}\r\n".encode() + body


# checks of load balancers

CHECKS: dict[str, bytes] = {
    "GET": asked("GET /health"),
    "HEAD": asked("HEAD /health"),
    "OPTIONS": asked("OPTIONS /health"),
    "GET by HTTP/1.0": b"GET /health HTTP/1.0\r\n\r\n",
    "HEAD by HTTP/1.0": b"HEAD /health HTTP/1.0\r\n\r\n",
    "HAProxy's option httpchk": b"OPTIONS / HTTP/1.0\r\n\r\n",
    "OPTIONS / of HTTP/1.1": asked("OPTIONS /"),
    "OPTIONS of the server": asked("OPTIONS *"),
    "with a query": asked("GET /health?from=balancer"),
    "from another origin": asked("GET /health", {"Origin": "https://status.example"}),
}


@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS.keys())
async def test_a_check_tells_whether_connections_are_taken(server: ServerProcess, check: bytes) -> None:
    """The status is 200, 503 while quiesced, then 200 again; no check counts as a rejected client."""
    before = [line for line in (await server.metrics()).splitlines() if "handshakes_rejected" in line]
    for command, expected in (("resume", 200), ("quiesce", 503), ("resume", 200)):
        await server.admin("POST", command)
        status, headers, body = await exchange(server.client_port, check)
        assert (status, headers["content-type"], headers["cache-control"]) == (
            expected, "application/json", "no-store",
        )  # fmt: skip
        if check.startswith(b"HEAD"):
            assert body == b""
        else:
            assert json.loads(body) == ({} if expected == 200 else {"reason": "the server is quiesced"})
    after = [line for line in (await server.metrics()).splitlines() if "handshakes_rejected" in line]
    assert after == before


async def test_a_check_fails_while_the_backplane_is_away() -> None:
    """The status is 503 until the backplane is back, as new clients would miss publications."""
    with running_redis() as redis:
        async with ServerProcess("cut off", redis) as server:

            async def status() -> int:
                return (await exchange(server.client_port, CHECKS["GET"]))[0]

            assert await status() == 200
            redis.freeze()
            await eventually(status, lambda found: found == 503, what="a failed check", within=30, every=0.2)
            redis.thaw()
            await eventually(status, lambda found: found == 200, what="a good check", within=30, every=0.2)


# HEAD

HEADS: dict[str, tuple[Port, bytes, int]] = {
    "health": ("client", asked("HEAD /health"), 200),
    "nothing": ("client", asked("HEAD /nothing"), 404),
    "the root": ("client", asked("HEAD /"), 404),
    "a WebSocket": ("client", asked("HEAD /connection/websocket", UPGRADE, close=False), 405),
    "a stream": ("client", asked("HEAD /connection/sse"), 405),
    "a POST": ("client", asked("HEAD /emulation"), 405),
    "a page of another origin": ("client", asked("HEAD /connection/sse", {"Origin": "https://evil.example"}), 403),
    "too long": ("client", asked("HEAD /" + "a" * 10_000), 414),
    "too many headers": ("client", asked("HEAD /", {"Cookie": "a" * 20_000}), 431),
    "no HTTP": ("client", b"HEAD / HTTP/1.1\r\nno header\r\n\r\n", 400),
    "API: health": ("api", asked("HEAD /health"), 200),
    "API: the document": ("api", asked("HEAD /api/openapi.json"), 200),
    "API: a method": ("api", asked("HEAD /api/publish"), 405),
    "API: nothing": ("api", asked("HEAD /nothing"), 404),
    "admin: ready": ("admin", asked("HEAD /health/ready"), 200),
    "admin: metrics": ("admin", asked("HEAD /metrics"), 200),
    "admin: status": ("admin", asked("HEAD /admin/v1/status"), 401),
    "admin: nothing": ("admin", asked("HEAD /nothing"), 404),
}


@pytest.mark.parametrize(("port", "data", "expected"), HEADS.values(), ids=HEADS.keys())
async def test_an_answer_to_head_has_no_body(server: ServerProcess, port: Port, data: bytes, expected: int) -> None:
    """A body would be read as the next answer (RFC 9110, section 9.3.2)."""
    ports = {"client": server.client_port, "api": server.api_port, "admin": server.admin_port}
    status, _, body = await exchange(ports[port], data)
    assert (status, body) == (expected, b"")


# what is no endpoint, or another's


@pytest.mark.parametrize(
    ("data", "expected", "allow"),
    [
        (asked("GET /connection%2Fwebsocket"), 426, None),
        (asked("GET http://a/connection/websocket"), 426, None),
        (asked("POST /connection/uni_websocket"), 405, "GET"),
        (asked("OPTIONS /connection/websocket"), 405, "GET"),
        (asked("OPTIONS /nothing"), 404, None),
        (asked("DELETE /health"), 405, "GET, HEAD, OPTIONS"),
        (asked("POST /api/publish", {"X-API-Key": API_KEY}, body=b"{}"), 404, None),
        (asked("GET /", UPGRADE, close=False), 404, None),
    ],
    ids=["encoded", "whole URL", "POST", "OPTIONS", "nothing", "DELETE", "the API is not here", "WebSocket elsewhere"],
)
async def test_what_is_not_answered_says_why_in_json(
    server: ServerProcess, data: bytes, expected: int, allow: str | None
) -> None:
    """All HTTP errors have the same form."""
    status, headers, body = await exchange(server.client_port, data)
    assert (status, headers.get("allow")) == (expected, allow)
    assert json.loads(body)["error"]["code"] == expected


# HTTP/1.0, as nginx speaks it to servers by default


async def streamed(server: ServerProcess, data: bytes, texts: tuple[bytes, ...]) -> tuple[bytes, bytes]:
    """Return head and body of a stream that is drained once these texts have arrived."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.client_port)
    try:
        writer.write(data)
        async with asyncio.timeout(SECONDS):
            head = await reader.readuntil(b"\r\n\r\n")
            body = b""
            while not all(text in body for text in texts):
                read = await reader.read(65_536)
                assert read, body
                body += read
            await server.admin("POST", "drain", {"connections_per_second": 1000})
            body += await reader.read()
    finally:
        writer.close()
        await server.admin("POST", "resume")
    return head, body


CONNECT = b'{"id":1,"connect":{}}'
QUERY = "cf_connect=%7B%22id%22%3A1%2C%22connect%22%3A%7B%7D%7D"
STREAMS: dict[str, tuple[bytes, bytes, bytes]] = {
    "SSE": (asked(f"GET /connection/sse?{QUERY}", version="1.0"), b"data: {", b"\n\n"),
    "HTTP streaming": (asked("POST /connection/http_stream", version="1.0", body=CONNECT), b"{", b"\n"),
    "SSE without an SDK": (asked("GET /connection/uni_sse?cf_connect=%7B%7D", version="1.0"), b"retry: ", b"\n\n"),
    "streaming without an SDK": (asked("POST /connection/uni_http_stream", version="1.0", body=b"{}"), b"{", b"\n"),
}


@pytest.mark.parametrize(("data", "first", "last"), STREAMS.values(), ids=STREAMS.keys())
async def test_a_stream_by_http_1_0_ends_with_its_connection(
    server: ServerProcess, data: bytes, first: bytes, last: bytes
) -> None:
    """The body has no chunks, which HTTP/1.0 lacks, and its last message has the code."""
    head, body = await streamed(server, data, (b'"connect":',))
    assert b" 200 OK\r\n" in head
    assert b"transfer-encoding" not in head.lower()
    assert b"content-length" not in head.lower()
    assert body.startswith(first), body
    assert body.endswith(last)
    assert b'"disconnect":{"code":3011' in body
    lines = [line.removeprefix(b"data: ") for line in body.splitlines() if line and not line.startswith(b"retry:")]
    assert all(isinstance(json.loads(line), dict) for line in lines)


async def test_protobuf_by_http_1_0(server: ServerProcess) -> None:
    """Messages are length-delimited, with nothing between them."""
    command = b"\x08\x01\x22\x00"  # id 1, an empty connect
    data = asked(
        "POST /connection/http_stream",
        {"Content-Type": "application/octet-stream"},
        body=bytes([len(command)]) + command,
        version="1.0",
    )
    _, body = await streamed(server, data, (b"\x08\x01",))
    sizes = []
    while body:
        sizes.append(body[0])
        body = body[1 + body[0] :]
    assert len(sizes) == 2, "a reply and the push of the end, each shorter than 128 bytes"


async def test_emulation_by_http_1_0(server: ServerProcess) -> None:
    """A client whose stream and requests go through an HTTP/1.0 proxy subscribes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.client_port)
    async with asyncio.timeout(SECONDS):
        writer.write(STREAMS["HTTP streaming"][0])
        await reader.readuntil(b"\r\n\r\n")
        session = json.loads(await reader.readline())["connect"]
        command = json.dumps({"id": 2, "subscribe": {"channel": "open:a"}})
        body = json.dumps({"node": session["node"], "session": session["session"], "data": command}).encode()
        status, _, answer = await exchange(server.client_port, asked("POST /emulation", body=body, version="1.0"))
        assert (status, answer) == (204, b"")
        assert "subscribe" in json.loads(await reader.readline())
    writer.close()


async def test_a_call_of_the_api_by_http_1_0(server: ServerProcess) -> None:
    """The API port answers HTTP/1.0."""
    body = b'{"channel":"open:a","data":{}}'
    data = asked("POST /api/publish", {"X-API-Key": API_KEY}, body=body, version="1.0")
    status, _, answer = await exchange(server.api_port, data)
    assert status == 200
    assert "result" in json.loads(answer)


async def test_a_websocket_by_http_1_0_is_told_what_a_proxy_needs(server: ServerProcess) -> None:
    """The answer explains that WebSockets need HTTP/1.1 (RFC 6455, section 4.1)."""
    status, headers, body = await exchange(server.client_port, request().replace(b"HTTP/1.1", b"HTTP/1.0"))
    assert (status, headers["upgrade"]) == (426, "websocket")
    assert b"proxy_http_version" in body


# pages of other origins

PREFLIGHT = {"Origin": ORIGIN, "Access-Control-Request-Method": "POST"}


@pytest.mark.parametrize(
    ("wanted", "allowed"),
    [
        ("content-type,traceparent,x-b3-traceid", "content-type,traceparent,x-b3-traceid"),
        ("Content-Type, X-Requested-With", "Content-Type, X-Requested-With"),
        (None, "Content-Type"),
        ("", "Content-Type"),
        ("a b", "Content-Type"),
        ("a\u00e9", "Content-Type"),
        ("a" * 5000, "Content-Type"),
    ],
    ids=["tracing", "spaces", "none", "empty", "no list", "not ASCII", "too long"],
)
async def test_a_page_may_send_the_headers_that_it_wants_to(
    server: ServerProcess, wanted: str | None, allowed: str
) -> None:
    """The requested headers are allowed (Fetch Standard), and Vary lists what the answer depends on."""
    headers = PREFLIGHT if wanted is None else {**PREFLIGHT, "Access-Control-Request-Headers": wanted}
    for path in ("/emulation", "/connection/sse", "/connection/http_stream"):
        status, answer, body = await exchange(server.client_port, asked(f"OPTIONS {path}", headers))
        assert (status, body) == (204, b"")
        assert answer["access-control-allow-headers"] == allowed
        assert answer["access-control-allow-origin"] == ORIGIN
        assert answer["vary"] == "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"


async def test_another_origin_is_allowed_nothing(server: ServerProcess) -> None:
    """The answer is 403 without CORS headers, so that the page cannot read it."""
    wanted = {**PREFLIGHT, "Origin": "https://evil.example", "Access-Control-Request-Headers": "traceparent"}
    status, headers, _ = await exchange(server.client_port, asked("OPTIONS /emulation", wanted))
    assert status == 403
    assert not any(name.startswith("access-control") for name in headers)


async def test_an_answer_depends_on_the_origin(server: ServerProcess) -> None:
    """Answers without an Origin have Vary too, so that a cache does not serve them to other origins."""
    for headers in ({}, {"Origin": ORIGIN}):
        status, answer, _ = await exchange(server.client_port, asked("POST /emulation", headers, body=b"{}"))
        assert (status, answer["vary"]) == (400, "Origin")


# a socket that a proxy keeps

FIRST = request("/emulation", "OPTIONS", {"Host": "a"})
HANDSHAKE = request()


async def test_a_handshake_may_follow_other_requests_on_a_kept_socket(server: ServerProcess) -> None:
    """nginx, among others, sends any request on a socket that it has kept."""
    async with raw_stream(server.client_port) as stream:
        for _ in range(2):
            await stream.send(FIRST)
            assert (await stream.response())[0] == 204
        await stream.connect("")
        await stream.send(frame(PING_FRAME, b"still there"))
        assert await stream.frame() == (PONG_FRAME, b"still there")


async def test_a_socket_with_a_handshake_after_other_requests_is_counted_once() -> None:
    """A server for two sockets takes two at a time, before and after, and no third."""
    limits: JsonObject = {"connections": 1, "handshakes": 1}
    async with ServerProcess("small", None, auth={"anonymous": True}, limits=limits) as small:

        async def connections() -> int:
            return whole_at(await small.admin("GET", "status"), "connections")

        for _ in range(3):
            async with raw_stream(small.client_port) as stream:
                await stream.send(FIRST)
                assert (await stream.response())[0] == 204
                await stream.connect("")
            await eventually(connections, lambda found: found == 0, what="the client has left", within=SECONDS)
        async with raw_stream(small.client_port) as first, raw_stream(small.client_port) as second:
            for stream in (first, second):
                await stream.send(FIRST)
                assert (await stream.response())[0] == 204
            async with raw_stream(small.client_port) as third:
                await third.ended()


async def test_a_body_that_looks_like_a_handshake_opens_no_websocket(server: ServerProcess) -> None:
    """The client behind a proxy chooses it; /health is answered before the body was read."""
    async with raw_stream(server.client_port) as stream:
        await stream.send(request("/health", headers={"Host": "a", "Content-Length": str(len(HANDSHAKE))}))
        assert (await stream.response())[0] == 200
        await stream.send(HANDSHAKE)
        await stream.send(FIRST)
        assert (await stream.response())[0] == 204


@pytest.mark.parametrize("place", [5, len("GET /connection/websocket"), len(HANDSHAKE) - 2])
async def test_a_handshake_in_two_pieces_after_another_request(server: ServerProcess, place: int) -> None:
    """It opens a WebSocket, even when not its path was complete at first."""
    async with raw_stream(server.client_port) as stream:
        await stream.send(FIRST)
        assert (await stream.response())[0] == 204
        await stream.send(HANDSHAKE[:place])
        await asyncio.sleep(0.05)
        await stream.send(HANDSHAKE[place:])
        assert (await stream.response())[0] == 101
