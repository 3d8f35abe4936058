"""Authorization and answers of the admin port."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from aiohttp import ClientSession

from tests.component.supervisor.processes import clients_of
from tests.kit.deadline import eventually
from tests.kit.document import whole_at
from tests.kit.redis_process import RedisProcess
from tests.kit.server_process import ADMIN_TOKEN, ServerProcess

pytestmark = pytest.mark.asyncio(loop_scope="module")

CALLS = (
    ("GET", "status"),
    ("POST", "quiesce"),
    ("POST", "resume"),
    ("POST", "drain"),
    ("DELETE", "drain"),
    ("POST", "shed"),
    ("GET", "nothing"),
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(redis: RedisProcess) -> AsyncIterator[ServerProcess]:
    """Start a server for all tests of this module, which leave it serving."""
    async with ServerProcess("admin", redis, workers=2) as process:
        yield process


async def ask(
    server: ServerProcess, method: str, path: str, *, token: str | None = f"Bearer {ADMIN_TOKEN}", body: str = ""
) -> tuple[int, object]:
    """Send a request to the admin port."""
    headers = {} if token is None else {"Authorization": token}
    url = f"http://127.0.0.1:{server.admin_port}{path}"
    async with ClientSession() as session, session.request(method, url, headers=headers, data=body) as response:
        return response.status, await response.json()


@pytest.mark.parametrize(("method", "name"), CALLS)
@pytest.mark.parametrize(
    "token", [None, "", "Bearer", "Bearer ", "Bearer wrong", f"Basic {ADMIN_TOKEN}", ADMIN_TOKEN, "Bearer é"]
)
async def test_nobody_gets_in_without_the_token(server: ServerProcess, method: str, name: str, token: str) -> None:
    """Unknown paths need the token too, and a refused call has no effect."""
    status, answer = await ask(server, method, f"/admin/v1/{name}", token=token)
    assert status == 401
    assert isinstance(answer, dict)
    assert answer["error"]["code"] == 401
    assert await server.state() == "serving"


@pytest.mark.parametrize(("given", "status"), [(ADMIN_TOKEN, 200), ("wrong", 401), ("é", 401)])
async def test_the_token_may_come_in_a_header_of_its_own(server: ServerProcess, given: str, status: int) -> None:
    """The header is for proxies that keep `Authorization`; it does not make up for a wrong token there."""
    headers = {"X-Admin-Token": given, "Authorization": f"Bearer {ADMIN_TOKEN}"}
    url = f"http://127.0.0.1:{server.admin_port}/admin/v1/status"
    async with ClientSession() as session, session.get(url, headers=headers) as response:
        assert response.status == status


@pytest.mark.parametrize("path", ["/health/live", "/health/ready"])
async def test_health_needs_no_token(server: ServerProcess, path: str) -> None:
    """The kubelet has no token."""
    status, _ = await ask(server, "GET", path, token=None)
    assert status == 200


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("drain", ""),
        ("drain", "{"),
        ("drain", "[]"),
        ("drain", "{}"),
        ("drain", "\xff"),
        ("drain", "[" * 10_000),
        ("drain", '{"connections_per_second": -1}'),
        ("drain", '{"connections_per_second": "50"}'),
        ("drain", '{"connections_per_second": true}'),
        ("drain", '{"connections_per_second": 1e300}'),
        ("drain", '{"connections_per_second": NaN}'),
        ("drain", '{"connections_per_second": null}'),
        ("share", '{"connections_per_second": 0}'),
        ("shed", '{"connections_per_second": 5}'),
        ("shed", '{"connections": 5}'),
        ("shed", '{"connections": 1.5, "connections_per_second": 5}'),
        ("shed", '{"connections": 0, "connections_per_second": 5}'),
        ("shed", '{"connections": 99999999999999999999, "connections_per_second": 5}'),
    ],
)
async def test_wrong_input_is_refused_with_a_reason(server: ServerProcess, name: str, body: str) -> None:
    """A refused call has no effect."""
    status, answer = await ask(server, "POST", f"/admin/v1/{name}", body=body)
    assert status == 400
    assert isinstance(answer, dict)
    assert answer["error"]["code"] == 400
    assert "must be" in answer["error"]["message"]
    assert await server.state() == "serving"


async def test_a_body_that_is_too_large_is_refused(server: ServerProcess) -> None:
    status, _ = await ask(server, "POST", "/admin/v1/drain", body=" " * 100_000)
    assert status == 413


async def test_what_is_not_there_is_not_found(server: ServerProcess) -> None:
    """The answer is JSON."""
    assert await ask(server, "GET", "/admin/v1/nothing") == (404, {"error": {"code": 404, "message": "not found"}})
    assert (await ask(server, "GET", "/admin/v1/drain"))[0] == 405


async def test_readiness_says_why_not(server: ServerProcess) -> None:
    """The reason is for people who look at a pod."""
    await server.admin("POST", "quiesce")
    answer = await ask(server, "GET", "/health/ready", token=None)
    await server.admin("POST", "resume")
    assert answer == (503, {"ready": False, "reason": "the server is quiesced"})


async def test_shedding_moves_so_many_and_goes_on_serving(server: ServerProcess) -> None:
    """The number is exact, however the connections are spread over the workers."""
    async with clients_of(server, 30) as clients:
        await server.admin("POST", "shed", {"connections": 11, "connections_per_second": 100})
        await eventually(
            lambda: server.admin("GET", "status"),
            lambda status: whole_at(status, "connections") == 19,
            what="11 connections moved",
            within=5,
        )
        assert await server.state() == "serving"
        for client in [client for client in clients if client.code is not None]:
            assert client.code == 3011


async def test_a_drain_can_change_its_rate_and_be_stopped(server: ServerProcess) -> None:
    """Afterwards the server stays quiesced until it is resumed."""
    async with clients_of(server, 10):
        status = await server.admin("POST", "drain", {"connections_per_second": 0.01})
        assert (status["state"], status["drain_rate"]) == ("draining", 0.01)
        status = await server.admin("POST", "drain", {"connections_per_second": 1000})
        assert status["drain_rate"] == 1000
        await eventually(server.state, lambda state: state == "drained", what="drained", within=5, every=0.05)
        status = await server.admin("DELETE", "drain")
        assert (status["state"], status["drain_rate"]) == ("quiesced", None)
    assert (await server.admin("POST", "resume"))["state"] == "serving"
