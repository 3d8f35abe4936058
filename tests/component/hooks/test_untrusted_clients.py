"""One client with arbitrary input, and 39 others that must not be affected."""

from __future__ import annotations

import itertools
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass

import pytest
import pytest_asyncio
from aiohttp import web

from realtime_operator.api.base import JsonObject, JsonValue
from tests.kit.deadline import eventually
from tests.kit.document import dig, parse
from tests.kit.http_backend import HttpBackend
from tests.kit.raw_client import TEXT, UPGRADE, RawClient, frame, raw_client, raw_stream, request
from tests.kit.server_process import ServerProcess

HONEST = 39
ATTEMPTS = 8
"""Number of attempts, more than the failures that open a breaker."""
TIMEOUT_SECONDS = 1


def answer(body: JsonObject) -> JsonObject | web.Response:
    """Act as the client's data says; otherwise admit it under the name that it gives."""
    status = dig(body, "data", "status")
    if isinstance(status, int):
        return web.Response(status=status)
    return {"result": {"user": body.get("name", ""), "data": {}}}


def delay(body: JsonObject) -> float:
    """Delay the answer where the client's data says so."""
    return 10.0 if dig(body, "data", "slow") else 0.0


@dataclass(frozen=True, slots=True)
class Place:
    """Server with its backend."""

    server: ServerProcess
    backend: HttpBackend

    async def outcomes(self, hook: str) -> dict[str, int]:
        """Return the outcomes of a hook's calls."""
        found = {}
        for line in (await self.server.metrics()).splitlines():
            name, _, value = line.partition(" ")
            if name.startswith(f'realtime_server_hook_requests_total{{hook="{hook}",outcome="'):
                found[name.split('"')[3]] = int(float(value))
        return found


@pytest_asyncio.fixture
async def place() -> AsyncIterator[Place]:
    """Start a server that asks its backend about connects and calls."""
    backend = HttpBackend({"connect": answer, "rpc": answer}, delay=delay)
    hooks: JsonObject = {
        name: {"url": backend.url(name), "timeout_seconds": TIMEOUT_SECONDS} for name in ("connect", "rpc")
    }
    forward: JsonValue = ["authorization", "cookie"]
    async with backend, ServerProcess("shared", None, hooks={**hooks, "forward_headers": forward}) as server:
        yield Place(server, backend)


async def nobody_else_is_refused(place: Place) -> None:
    """Assert that all other clients connect and get replies, and that the server is healthy."""
    async with AsyncExitStack() as opened:
        clients = [await opened.enter_async_context(raw_client(place.server.url)) for _ in range(HONEST)]
        for number, client in enumerate(clients):
            assert "connect" in await client.command(id=1, connect={"name": f"honest-{number}"})
        for client in clients:
            assert "rpc" in await client.command(id=2, rpc={"method": "hello"})
    assert 'realtime_server_disconnects_total{code="3004"' not in await place.server.metrics()
    assert "Traceback" not in place.server.log.read_text()


HEADERS: Mapping[str, tuple[JsonObject, int | None]] = {
    "framing and host": ({"Authorization": "x", "Host": "evil", "Content-Length": "0"}, None),
    "another framing": ({"Transfer-Encoding": "chunked"}, None),
    "another connection": ({"Connection": "close, cookie", "Upgrade": "h2c", "Expect": "100-continue"}, None),
    "a signature": ({"X-Realtime-Signature": "t=1,v1=0"}, None),
    "an encoding of the answer": ({"Accept-Encoding": "zstd"}, None),
    "two lines": ({"Authorization": "x\r\nX-Evil: 1"}, 107),
    "a zero": ({"Authorization": "\0"}, 107),
    "a name of two lines": ({"X-A: 1\r\nX-Evil": "1"}, 107),
    "no name": ({"": "1"}, 107),
    "a name twice": ({"Cookie": "a", "cookie": "b"}, 107),
    "beyond ASCII": ({"Authorization": "ä"}, None),
    "too large": ({"Cookie": "a" * 9000}, 107),
}


@pytest.mark.parametrize(("headers", "code"), HEADERS.values(), ids=HEADERS.keys())
async def test_headers_of_a_connect_command_do_no_harm(place: Place, headers: JsonObject, code: int | None) -> None:
    """Listed headers reach the backend, and illegal ones are refused with 107 and counted."""
    for _ in range(ATTEMPTS):
        async with raw_client(place.server.url) as client:
            reply = await client.command(id=1, connect={"name": "hostile", "headers": headers})
            assert dig(reply, "error", "code") == code, reply
    for asked in place.backend.requests:
        assert asked.headers["host"] == f"127.0.0.1:{place.backend.port}"
        assert asked.headers["content-length"] == str(len(asked.raw))
        assert not {"x-evil", "transfer-encoding", "upgrade", "expect", "x-realtime-signature"} & asked.headers.keys()
        assert asked.headers.get("authorization") == headers.get("Authorization")
    counted = {"invalid-headers": ATTEMPTS} if code else {"ok": ATTEMPTS}
    assert await place.outcomes("connect") == counted
    await nobody_else_is_refused(place)


ORDERS: Mapping[str, tuple[JsonObject, str]] = {
    "bad request": ({"status": 400}, "refused"),
    "too large": ({"status": 413}, "refused"),
    "elsewhere": ({"status": 302}, "refused"),
    "too often": ({"status": 429}, "refused"),
    "failure": ({"status": 500}, "status"),
    "away": ({"status": 503}, "status"),
    "slow": ({"slow": True}, "timeout"),
}


@pytest.mark.parametrize(("order", "outcome"), ORDERS.values(), ids=ORDERS.keys())
async def test_what_one_client_makes_of_the_connect_hook_is_its_own_affair(
    place: Place, order: JsonObject, outcome: str
) -> None:
    """Others are admitted, even from the same address."""
    async with AsyncExitStack() as opened:
        clients = [await opened.enter_async_context(raw_client(place.server.url)) for _ in range(ATTEMPTS)]
        for client in clients:  # at once: none is answered before the last has asked
            await client.say(json.dumps({"id": 1, "connect": {"data": order}}))
        assert [dig(await client.reply(1), "error", "code") for client in clients] == [100] * ATTEMPTS
    assert await place.outcomes("connect") == {outcome: ATTEMPTS}
    await nobody_else_is_refused(place)


@pytest.mark.parametrize(("order", "outcome"), ORDERS.values(), ids=ORDERS.keys())
async def test_what_one_client_makes_of_a_call_is_its_own_affair(place: Place, order: JsonObject, outcome: str) -> None:
    """An admitted client's failing method does not affect others."""
    async with raw_client(place.server.url) as client:
        assert "connect" in await client.command(id=1, connect={"name": "hostile"})
        for number in range(2, 2 + ATTEMPTS):
            reply = await client.command(id=number, rpc={"method": "report", "data": order})
            assert dig(reply, "error", "code") == 100
    assert await place.outcomes("rpc") == {outcome: ATTEMPTS}
    await nobody_else_is_refused(place)


async def test_a_client_that_always_fails_does_not_keep_an_open_breaker_open(place: Place) -> None:
    """After an outage the breaker closes, although one client keeps causing failures."""
    async with AsyncExitStack() as opened:
        clients = [await opened.enter_async_context(raw_client(place.server.url)) for _ in range(HONEST)]
        for number, client in enumerate(clients):
            assert "connect" in await client.command(id=1, connect={"name": f"honest-{number}"})
        await place.backend.__aexit__()
        for client in clients:
            assert dig(await client.command(id=2, rpc={"method": "a"}), "error", "code") == 100
        await place.backend.__aenter__()
        hostile = await opened.enter_async_context(raw_client(place.server.url))
        assert "connect" in await hostile.command(id=1, connect={"name": "hostile"})

        async def answered() -> bool:
            number = next(numbers)
            await hostile.command(id=number, rpc={"method": "a", "data": {"status": 500}})
            return "rpc" in await clients[0].command(id=number, rpc={"method": "a"})

        numbers = itertools.count(3)
        await eventually(answered, bool, what="an answer for an honest client", within=20, every=0.05)
    await nobody_else_is_refused(place)


@pytest.mark.parametrize("value", [b"id=\xe9", b"id=\xff\xfe", "id=\u00e9".encode()], ids=["latin-1", "none", "UTF-8"])
async def test_headers_of_a_request_that_are_no_text_do_no_harm(place: Place, value: bytes) -> None:
    """The backend gets a replacement character where a header is not UTF-8."""
    opening = request(headers={**UPGRADE, "Cookie": "VALUE"}).replace(b"VALUE", value)
    async with raw_stream(place.server.client_port) as stream:
        await stream.send(opening)
        assert (await stream.response())[0] == 101
        await stream.send(frame(TEXT, b'{"id":1,"connect":{}}'))
        _, payload = await stream.frame()
    assert "connect" in parse(payload)
    [asked] = place.backend.requests
    assert asked.headers["cookie"] == value.decode(errors="replace")
    await nobody_else_is_refused(place)


async def test_a_bad_value_reaches_no_backend(place: Place) -> None:
    """The backend gets JSON that every parser accepts."""
    async with raw_client(place.server.url) as client:
        await refused(client, '{"id":1,"connect":{"data":"\\ud83d"}}')
        assert "connect" in await client.command(id=1, connect={"name": "hostile"})
        for number in range(2, 2 + ATTEMPTS):
            await refused(client, f'{{"id":{number},"rpc":{{"method":"a","data":"\\ud83d"}}}}')
    assert place.backend.bodies("rpc") == []
    await nobody_else_is_refused(place)


async def refused(client: RawClient, command: str) -> None:
    """Send a command and expect error 107."""
    await client.say(command)
    assert dig(await client.document(), "error", "code") == 107
