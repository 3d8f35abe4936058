"""Server API on the port for clients, where configured: the same calls, keys and answers."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Mapping

import aiohttp
import pytest
import pytest_asyncio

from tests.kit.raw_client import raw_client, raw_stream, request
from tests.kit.server_process import API_KEY, ServerProcess

pytestmark = pytest.mark.asyncio(loop_scope="module")

KEY = {"X-API-Key": API_KEY}
PUBLISH = b'{"channel":"open:a","data":{"n":1}}'
LIMIT = 8 * 1024 * 1024


class BothPorts(ServerProcess):
    """Server that takes calls on both ports."""

    def __init__(self, name: str) -> None:
        super().__init__(name, None, auth={"anonymous": True})
        self._changes["api"] = {"key_file": str(self.folder / "api-key"), "on_client_port": True}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server() -> AsyncIterator[ServerProcess]:
    """Start one server for all tests of this module, which leave it serving."""
    async with BothPorts("both") as process:
        yield process


async def answer_of(port: int, method: str, path: str, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
    """Return the answer of a port to a request."""
    timeout = aiohttp.ClientTimeout(total=20)
    async with (
        aiohttp.ClientSession(timeout=timeout) as session,
        session.request(method, f"http://127.0.0.1:{port}{path}", headers=headers, data=io.BytesIO(body)) as response,
    ):
        return response.status, await response.read()


@pytest.mark.parametrize(
    ("method", "path", "headers", "body", "status"),
    [
        ("POST", "/api/publish", KEY, PUBLISH, 200),
        ("POST", "/api/publish", {"Authorization": f"apikey {API_KEY}"}, PUBLISH, 200),
        ("POST", "/api/batch", KEY, b'{"commands":[{"publish":' + PUBLISH + b'},{"what":{}}]}', 200),
        ("POST", "/api/publish", {}, PUBLISH, 401),
        ("POST", "/api/publish", {"X-API-Key": "wrong"}, PUBLISH, 401),
        ("POST", "/api/what", KEY, b"{}", 200),
        ("POST", "/api/publish", KEY, b"hello", 400),
        ("POST", "/api/publish", KEY, PUBLISH.replace(b"1", b"[" * 10_000), 400),
        ("POST", "/api/publish", KEY, b" " * (LIMIT + 1), 413),
        ("POST", "/api/publish", KEY, b'{"channel":"open:a","data":"' + b"a" * LIMIT + b'"}', 413),
        ("POST", "/api/publish", KEY, b'{"channel":"open:a","data":"' + b"a" * 600_000 + b'"}', 200),
        ("GET", "/api/openapi.json", {}, b"", 200),
    ],
    ids=["publish", "another header", "batch", "no key", "wrong key", "no method", "no JSON", "nested", "too large",
         "much too large", "larger than clients may send", "document"],
)  # fmt: skip
async def test_both_ports_answer_alike(
    server: ServerProcess, method: str, path: str, headers: Mapping[str, str], body: bytes, status: int
) -> None:
    """Status and body are the same."""
    found = await answer_of(server.client_port, method, path, headers, body)
    assert found == await answer_of(server.api_port, method, path, headers, body)
    assert found[0] == status


async def test_a_call_reaches_clients_of_the_same_port(server: ServerProcess) -> None:
    """An application needs only one address."""
    async with raw_client(server.url) as client:
        await client.connect("")
        await client.subscribe("open:a")
        status, _ = await answer_of(server.client_port, "POST", "/api/publish", KEY, PUBLISH)
        assert status == 200
        assert await client.publication() == {"n": 1}


@pytest.mark.parametrize("method", ["GET", "OPTIONS", "HEAD"])
async def test_it_is_not_for_pages(server: ServerProcess, method: str) -> None:
    """No preflight is answered, because a key in a page would be public."""
    headers = {"Origin": "https://app.example", "Access-Control-Request-Headers": "x-api-key"}
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, f"http://127.0.0.1:{server.client_port}/api/publish", headers=headers) as response,
    ):
        assert (response.status, response.headers["Allow"]) == (405, "POST")
        assert not any(name.lower().startswith("access-control") for name in response.headers)


async def test_a_kept_connection_is_given_up_by_an_answer(server: ServerProcess) -> None:
    """The connection closes with an answer when the server is to leave: otherwise a call under way could be lost."""
    headers = {"Host": "a", **KEY, "Content-Length": str(len(PUBLISH))}
    call = request("/api/publish", "POST", headers) + PUBLISH
    try:
        async with raw_stream(server.client_port) as kept:
            await kept.send(call)
            status, answer = await kept.response()
            assert (status, "connection" in answer) == (200, False)
            await server.admin("POST", "quiesce")
            await kept.send(call)
            status, answer = await kept.response()
            assert (status, answer["connection"]) == (200, "close")
            await kept.ended()
    finally:
        await server.admin("POST", "resume")
