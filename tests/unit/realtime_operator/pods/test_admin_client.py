"""Tests of the client against a real admin site, on a Unix socket and on TCP, and of reports."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from aiohttp import web

from realtime_operator.planning.model.world import ProbeReport, Recent, ServerReport, ServerState, StoreReport
from realtime_operator.pods import admin_client
from realtime_operator.pods.admin_client import (
    AdminClient,
    ServerUnavailableError,
    UnknownCallError,
    read_report,
    read_store,
)
from realtime_server.core.ports.api import ServingState
from tests.kit.redis_process import free_port
from tests.unit.realtime_server.admin.control import Control, admin_application, status_of

TOKEN = "admin-token"


@dataclass(frozen=True, slots=True)
class Site:
    """A server's admin site with a stand-in for the worker, and a client of it."""

    address: str
    client: AdminClient
    control: Control
    token_file: Path


@asynccontextmanager
async def listening(application: web.Application, transport: str, folder: Path) -> AsyncIterator[tuple[str, int]]:
    """Run an application on a socket or a port; yield the address for the client, and the port."""
    address, port = (str(folder / "admin.sock"), 1) if transport == "socket" else ("127.0.0.1", free_port())
    runner = web.AppRunner(application, access_log=None, handle_signals=False, shutdown_timeout=0.1)
    await runner.setup()
    site = web.UnixSite(runner, address) if transport == "socket" else web.TCPSite(runner, address, port)
    try:
        await site.start()
        yield address, port
    finally:
        await runner.cleanup()


@pytest.fixture(params=["socket", "port"])
async def site(request: pytest.FixtureRequest) -> AsyncIterator[Site]:
    """A site of a server with one worker and seven connections."""
    with tempfile.TemporaryDirectory(prefix="rt-") as path:
        folder = Path(path)
        (folder / "token").write_text(TOKEN)
        control = Control(status_of(connections=7))
        async with (
            admin_application(control, folder) as application,
            listening(application, request.param, folder) as (address, port),
        ):
            client = AdminClient(port)
            yield Site(address, client, control, folder / "token")
            await client.close()


async def test_a_server_is_told_what_to_do(site: Site) -> None:
    """Every command reaches the server with its arguments."""
    await site.client.quiesce(site.address, TOKEN)
    await site.client.drain(site.address, TOKEN, 12.5)
    await site.client.resume(site.address, TOKEN)
    await site.client.shed(site.address, TOKEN, 3, 2.5)
    assert site.control.commands == ["quiesce", "drain 12.5", "resume", "shed 3 2.5"]


async def test_a_server_is_asked_how_it_is(site: Site) -> None:
    """A server reports its state, and is ready while it serves and accepts connections."""
    report = await site.client.report(site.address, TOKEN)
    assert report is not None
    totals, report = report.totals, replace(report, totals=None)
    assert totals is not None
    known = ServerReport(
        ServerState.SERVING, 7, workers=1, recent=Recent(30, 0, 0, 0), accepts_alternate_api_key=True, share=0
    )
    assert report == known
    assert await site.client.is_ready(site.address, TOKEN)
    await site.client.quiesce(site.address, TOKEN)
    report = await site.client.report(site.address, TOKEN)
    assert report == replace(known, state=ServerState.QUIESCED, totals=totals)
    assert not await site.client.is_ready(site.address, TOKEN)
    site.control.now = replace(site.control.now, state=ServingState.SERVING, backplane_healthy=False)
    assert not await site.client.is_ready(site.address, TOKEN)


async def test_a_probe_is_started_and_its_result_read(site: Site) -> None:
    """There is none before the first probe."""
    before = await site.client.report(site.address, TOKEN)
    await site.client.probe(site.address, TOKEN)
    after = await site.client.report(site.address, TOKEN)
    assert before is not None
    assert before.probe is None
    assert after is not None
    assert after.probe == ProbeReport("", has_token=True, seconds=0.1)


async def test_why_there_are_no_histories_is_passed_on(site: Site) -> None:
    """The server of this test has no Redis; without the token it does not even tell that."""
    with pytest.raises(ServerUnavailableError, match="only those in Redis can be exported"):
        await anext(site.client.export_history(site.address, TOKEN))
    with pytest.raises(ServerUnavailableError, match="only those in Redis"):
        await site.client.import_history(site.address, TOKEN, b"{}", replace=False)
    with pytest.raises(ServerUnavailableError, match="unauthorized"):
        await anext(site.client.export_history(site.address, "wrong"))


@pytest.mark.parametrize("transport", ["socket", "port"])
async def test_a_server_that_knows_no_histories_is_told_apart(transport: str) -> None:
    """It is of an earlier release."""
    with tempfile.TemporaryDirectory(prefix="rt-") as path:
        async with listening(web.Application(), transport, Path(path)) as (address, port):
            client = AdminClient(port)
            with pytest.raises(UnknownCallError):
                await client.import_history(address, TOKEN, b"", replace=False)
            await client.close()


async def test_metrics_need_no_token(site: Site) -> None:
    assert 'things{worker="0"} 1.0' in await site.client.metrics(site.address)


async def test_without_the_token_nothing_is_told(site: Site) -> None:
    """Without the token there is no report, and commands raise an error."""
    assert await site.client.report(site.address, "wrong") is None
    assert await site.client.report(site.address, "") is None
    with pytest.raises(ServerUnavailableError, match="/admin/v1/quiesce"):
        await site.client.quiesce(site.address, "wrong")
    assert site.control.commands == []


async def test_a_token_may_have_white_space_around_it(site: Site) -> None:
    """White space around a token, as `echo` leaves it in a Secret, is ignored, as by the server."""
    site.token_file.write_text(f"{TOKEN}\n")
    await site.client.quiesce(site.address, f"{TOKEN}\n")
    assert site.control.commands == ["quiesce"]


async def test_what_a_server_refuses_is_an_error(site: Site) -> None:
    with pytest.raises(ServerUnavailableError, match="/admin/v1/shed"):
        await site.client.shed(site.address, TOKEN, 0, 1)


@pytest.mark.parametrize("address", ["/no/such/socket", f"/{'x' * 200}", "127.0.0.1", "::1"])
async def test_a_server_that_is_not_there_is_unavailable(address: str) -> None:
    """Commands raise ServerUnavailableError; there is no report and no readiness."""
    client = AdminClient(free_port())
    for call in (client.quiesce(address, TOKEN), client.drain(address, TOKEN, 1), client.metrics(address)):
        with pytest.raises(ServerUnavailableError):
            await call
    assert await client.report(address, TOKEN) is None
    assert not await client.is_ready(address, TOKEN)
    await client.close()


def _text(text: str) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def answer(_request: web.Request) -> web.StreamResponse:
        return web.Response(text=text)

    return answer


@pytest.mark.parametrize("transport", ["socket", "port"])
@pytest.mark.parametrize("text", ["", "<html>", "[]", "null", '{"state": "serving"}'])
async def test_an_answer_that_is_no_report_is_none(transport: str, text: str) -> None:
    """Answers of another program count as unavailable."""
    application = web.Application()
    application.router.add_get("/admin/v1/status", _text(text))
    with tempfile.TemporaryDirectory(prefix="rt-") as folder:
        async with listening(application, transport, Path(folder)) as (address, port):
            client = AdminClient(port)
            assert await client.report(address, TOKEN) is None
            await client.close()


@pytest.mark.parametrize("transport", ["socket", "port"])
async def test_a_server_that_hangs_is_unavailable_in_time(transport: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that does not answer delays others for a bounded time only."""
    monkeypatch.setattr(admin_client, "CALL_SECONDS", 0.05)
    hanging = asyncio.Event()

    async def hang(_request: web.Request) -> web.StreamResponse:
        await hanging.wait()
        return web.Response()

    application = web.Application()
    application.router.add_post("/admin/v1/quiesce", hang)
    with tempfile.TemporaryDirectory(prefix="rt-") as folder:
        async with listening(application, transport, Path(folder)) as (address, port):
            client = AdminClient(port)
            with pytest.raises(ServerUnavailableError, match="/admin/v1/quiesce: TimeoutError"):
                await client.quiesce(address, TOKEN)
            hanging.set()
            await client.close()


def test_a_report_is_read() -> None:
    """Unknown fields of a report are ignored."""
    document = {
        "server": "a", "state": "draining", "connections": 7, "seconds_since_last_accept": 1.5,
        "accept_cost_seconds": None, "drain_rate": 50, "backplane_healthy": True, "workers": 2, "new": "field",
    }  # fmt: skip
    expected = ServerReport(ServerState.DRAINING, 7, 1.5, None, 50.0, backplane_healthy=True, workers=2)
    assert read_report(document) == expected


def test_the_state_of_redis_is_read() -> None:
    """Servers of earlier releases, and those that do not know it yet, report none."""
    store = {"used_bytes": 5, "limit_bytes": 10, "evicts": False, "primary": "redis-0:6379"}
    assert read_store(store) == StoreReport(5, 10, "redis-0:6379")
    assert read_store(None) is None


@pytest.mark.parametrize("document", [{}, {"state": "odd", "connections": 1}, {"state": "serving", "connections": "x"}])
def test_a_report_that_cannot_be_understood_is_an_error(document: dict[str, object]) -> None:
    with pytest.raises((KeyError, ValueError)):
        read_report(document)


async def test_one_of_several_tokens_is_enough(site: Site) -> None:
    """While the token is rotated, a server has read the former or the new one."""
    for tokens in ((TOKEN, "other"), ("other", TOKEN)):
        report = await site.client.report(site.address, tokens)
        assert report is not None
        assert report.connections == 7
    for refused in (("other", "another"), ()):
        assert await site.client.report(site.address, refused) is None
        with pytest.raises(ServerUnavailableError):
            await site.client.drain(site.address, refused, 1.0)
