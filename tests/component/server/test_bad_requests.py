"""Invalid requests to a server's ports: a status with the reason, one count, no effect on others."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import io
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

import aiohttp
import pytest

from tests.component.server.watch import HANDSHAKE_SECONDS, LEFT, MEBIBYTE, TOKEN, Counts, Watch
from tests.kit.deadline import eventually
from tests.kit.document import number_at, parse, text_at
from tests.kit.raw_client import PATH, UPGRADE, RawStream, raw_client, raw_stream, request
from tests.kit.server_process import API_KEY

pytestmark = pytest.mark.asyncio(loop_scope="module")


# handshakes


@contextlib.asynccontextmanager
async def answered(watch: Watch, data: bytes, status: int, reason: str) -> AsyncIterator[Mapping[str, str]]:
    """Assert the status of the answer to these bytes and the end of the connection; return the headers."""
    async with (
        watch.counts({("handshakes_rejected", reason): 1}),
        raw_stream(watch.server.client_port) as stream,
    ):
        await stream.send(data)
        answer, headers = await stream.response()
        assert answer == status
        yield headers
        await stream.ended()


HANDSHAKES: dict[str, tuple[bytes, int, str]] = {
    "another path": (request("/"), 404, "path"),
    "a path below": (request(PATH + "/a"), 404, "path"),
    "another path, no WebSocket": (request("/favicon.ico", headers={"Host": "a"}), 404, "path"),
    "no upgrade": (request(headers={"Host": "a"}), 426, "malformed"),
    "another upgrade": (request(headers={**UPGRADE, "Upgrade": "h2c"}), 426, "malformed"),
    "no key": (request(headers={k: v for k, v in UPGRADE.items() if k != "Sec-WebSocket-Key"}), 400, "malformed"),
    "bad key": (request(headers={**UPGRADE, "Sec-WebSocket-Key": "short"}), 400, "malformed"),
    "old version": (request(headers={**UPGRADE, "Sec-WebSocket-Version": "8"}), 400, "malformed"),
    "POST": (request(method="POST"), 405, "malformed"),
    "with a body": (request(headers={**UPGRADE, "Content-Length": "4"}) + b"body", 400, "malformed"),
    "no HTTP": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n\n", 400, "malformed"),
    "HTTP/1.0": (request().replace(b"HTTP/1.1", b"HTTP/1.0"), 426, "malformed"),
    "header without a colon": (request().replace(b"Upgrade: ", b"Upgrade "), 400, "malformed"),
    "long path": (request("/" + "a" * 10_000), 414, "head_too_large"),
    "long header": (request(headers={**UPGRADE, "Cookie": "a" * 10_000}), 431, "head_too_large"),
    "huge header": (request(headers={**UPGRADE, "Cookie": "a" * 4 * MEBIBYTE}), 431, "head_too_large"),
    "endless header": (request()[:-2] + b"Cookie: " + b"a" * 4 * MEBIBYTE, 431, "head_too_large"),
    "many headers": (request(headers={**UPGRADE, **{f"X-{n}": "a" for n in range(200)}}), 431, "head_too_large"),
}


@pytest.mark.parametrize(("data", "status", "reason"), HANDSHAKES.values(), ids=HANDSHAKES.keys())
async def test_what_is_no_handshake_gets_a_status(watch: Watch, data: bytes, status: int, reason: str) -> None:
    """The client can read the answer, however much it has sent."""
    async with answered(watch, data, status, reason):
        pass


@pytest.mark.parametrize("origin", ["https://evil.example", "https://app.example.evil.example", "null", ""])
async def test_an_origin_that_is_not_listed_gets_403(strict: Watch, origin: str) -> None:
    """Origins are compared exactly."""
    async with answered(strict, request(headers={**UPGRADE, "Origin": origin}), 403, "origin"):
        pass


async def test_clients_that_are_no_browsers_have_no_origin(strict: Watch) -> None:
    """Clients without an Origin are accepted, as browsers always send one."""
    for headers in (UPGRADE, {**UPGRADE, "Origin": "https://app.example"}):
        async with strict.counts(LEFT), raw_stream(strict.server.client_port) as stream:
            await stream.send(request(headers=headers))
            status, _ = await stream.response()
            assert status == 101


async def test_a_full_server_turns_away(strict: Watch) -> None:
    """Above limits.connections the status is 503; a place is free again once a client has left."""
    expected: Counts = {("handshakes_rejected", "connection_limit"): 3, ("disconnects", "3000"): 2}
    async with strict.counts(expected):
        async with raw_client(strict.server.url) as second:
            await second.connect(TOKEN)
            for _ in range(3):
                async with raw_stream(strict.server.client_port) as third:
                    await third.send(request())
                    status, headers = await third.response()
                    assert (status, headers["retry-after"]) == (503, "1")
                    await third.ended()
            await second.subscribe("open:still-here")
        await eventually(
            lambda: strict.gauge("connections"), lambda now: now == 1, what="one connection", within=5, every=0.01
        )
        async with raw_client(strict.server.url) as third_again:
            await third_again.connect(TOKEN)


async def silent(stream: RawStream) -> None:
    """Send nothing."""
    await stream.ended()


async def half(stream: RawStream) -> None:
    """Send a part of the handshake."""
    await stream.send(request()[:-2])
    await stream.ended()


async def slowloris(stream: RawStream) -> None:
    """Send one header after the other."""
    numbers = itertools.count()
    await stream.send(request()[:-2])
    await stream.dribble(lambda: b"X-%d: a\r\n" % next(numbers), every=0.05)


@pytest.mark.parametrize("behave", [silent, half, slowloris])
async def test_a_handshake_that_does_not_end_is_ended(
    watch: Watch, behave: Callable[[RawStream], Awaitable[None]]
) -> None:
    """It ends after listen.handshake_seconds; many at once keep nobody from connecting."""
    many = 50

    async def one() -> float:
        # before the connection: the server may accept long before this event loop runs on
        began = time.monotonic()
        async with raw_stream(watch.server.client_port) as stream:
            await behave(stream)
            return time.monotonic() - began

    async with watch.counts({("handshakes_rejected", "timeout"): many, **LEFT}):
        tasks = [asyncio.create_task(one(), name=f"one-{number}") for number in range(many)]
        async with raw_client(watch.server.url) as client:
            await client.connect(TOKEN)
            await watch.unharmed()
        times = await asyncio.gather(*tasks)
        assert min(times) > HANDSHAKE_SECONDS * 0.9


# the HTTP API

KEY = {"X-API-Key": API_KEY}
GZIP = {**KEY, "Content-Encoding": "gzip"}
MANY = 8 * MEBIBYTE
"""Maximum body size of a call."""
TOO_LARGE = f"the body is larger than {MANY} bytes"
NO_KEY = "unauthorized: send the API key in the header X-API-Key"
UNKNOWN = "unknown channel: the channel's namespace is not defined"
LARGE = b'"' + b"a" * MEBIBYTE + b'"'
PUBLISH = b'{"channel":"open:a","data":{}}'
CUT = r"the body is not JSON: \ud83d at byte 28 is half a surrogate pair: text was cut inside a character"
CALLS: dict[str, tuple[str, dict[str, str], bytes, int, int, str]] = {
    "no key": ("publish", {}, PUBLISH, 401, 401, NO_KEY),
    "wrong key": ("publish", {"X-API-Key": API_KEY + "a"}, PUBLISH, 401, 401, NO_KEY),
    "empty key": ("publish", {"X-API-Key": ""}, PUBLISH, 401, 401, NO_KEY),
    "key that is not ASCII": ("publish", {"X-API-Key": "ä"}, PUBLISH, 401, 401, NO_KEY),
    "another scheme": ("publish", {"Authorization": f"Bearer {API_KEY}"}, PUBLISH, 401, 401, NO_KEY),
    "not JSON": ("publish", KEY, b"hello", 400, 400, "the body is not JSON"),
    "not UTF-8": ("publish", KEY, PUBLISH.replace(b"{}", b'"\xff"'), 400, 400, "the body is not JSON: it is not UTF-8"),
    "half a surrogate pair": ("publish", KEY, PUBLISH.replace(b"{}", rb'"\ud83d"'), 400, 400, CUT),
    "NaN": ("publish", KEY, PUBLISH.replace(b"{}", b"NaN"), 400, 400, "the body is not JSON: JSON is malformed"),
    "nested too deeply": ("publish", KEY, b"[" * 100_000, 400, 400, "the body is nested too deeply"),
    "nested data": ("publish", KEY, b'{"data":' + b"[" * 100_000, 400, 400, "the body is nested"),
    "a list": ("publish", KEY, b"[]", 200, 107, "bad request"),
    "channel a number": ("publish", KEY, b'{"channel":1,"data":{}}', 200, 107, "bad request"),
    "no channel": ("publish", KEY, b'{"data":{}}', 200, 107, "bad request"),
    "no data": ("publish", KEY, b'{"channel":"open:a"}', 200, 107, "bad request"),
    "unknown channel": ("publish", KEY, b'{"channel":"nowhere:a","data":{}}', 200, 102, UNKNOWN),
    "unknown method": ("what", KEY, b"{}", 200, 104, "method not found"),
    "too much data": ("publish", KEY, PUBLISH.replace(b"{}", LARGE), 200, 106, "limit exceeded"),
    "too large": ("publish", KEY, b" " * (MANY + 1), 413, 413, TOO_LARGE),
    "too large when unpacked": ("publish", GZIP, gzip.compress(b" " * 100 * MEBIBYTE), 413, 413, TOO_LARGE),
    "not gzip": ("publish", GZIP, b"hello", 400, 400, "the body is not what its headers say"),
}  # fmt: skip


@pytest.mark.parametrize(("method", "headers", "body", "status", "code", "message"), CALLS.values(), ids=CALLS.keys())
async def test_a_wrong_call_of_the_api_is_answered(
    watch: Watch, method: str, headers: dict[str, str], body: bytes, status: int, code: int, message: str
) -> None:
    """The status or error says why, and is counted under the method."""
    counted: Counts = {("api_requests", method if method == "publish" else "unknown", str(status)): 1}
    timeout = aiohttp.ClientTimeout(total=10)
    async with watch.counts(counted), aiohttp.ClientSession(timeout=timeout) as session:
        url = f"http://127.0.0.1:{watch.server.api_port}/api/{method}"
        async with session.post(url, data=io.BytesIO(body), headers=headers) as response:
            answer = parse(await response.read())
            assert (response.status, number_at(answer, "error", "code")) == (status, code), answer
            assert text_at(answer, "error", "message").startswith(message), answer
