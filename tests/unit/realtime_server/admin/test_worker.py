"""Control site of a worker."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from realtime_server.admin.worker import Report, decode_report
from realtime_server.core.ports.api import ServingState
from tests.unit.realtime_server.admin.control import Control, Probe, serving, status_of


@pytest.fixture
async def control(tmp_path: Path) -> AsyncIterator[Control]:
    """Serve a worker's control site."""
    made = Control(status_of(connections=7))
    async with serving(made, tmp_path / "socket"):
        yield made


async def ask(tmp_path: Path, method: str, path: str, body: str = "") -> tuple[int, bytes]:
    """Send a request to the site."""
    connector = aiohttp.UnixConnector(str(tmp_path / "socket"))
    async with (
        aiohttp.ClientSession("http://worker", connector=connector) as session,
        session.request(method, path, data=body) as response,
    ):
        return response.status, await response.read()


async def test_the_report_comes_back_as_it_was_sent(control: Control, tmp_path: Path) -> None:
    control.listening = False
    _, body = await ask(tmp_path, "GET", "/status")
    assert decode_report(body) == Report(control.now, listening=False)


@pytest.mark.parametrize(
    ("path", "body", "command", "state"),
    [
        ("/quiesce", "", "quiesce", ServingState.QUIESCED),
        ("/resume", "", "resume", ServingState.SERVING),
        ("/drain", '{"connections_per_second":2.5}', "drain 2.5", ServingState.DRAINING),
        ("/stop-drain", "", "stop_drain", ServingState.QUIESCED),
        ("/share", '{"connections_per_second":2.5}', "share 2.5", ServingState.SERVING),
        ("/shed", '{"connections":3,"connections_per_second":2}', "shed 3 2", ServingState.SERVING),
    ],
)
async def test_a_command_reaches_the_worker(
    control: Control, tmp_path: Path, path: str, body: str, command: str, state: ServingState
) -> None:
    """The answer contains the status after the command."""
    status, answer = await ask(tmp_path, "POST", path, body)
    assert status == 200
    assert control.commands == [command]
    assert decode_report(answer).status.state is state


@pytest.mark.parametrize("path", ["/nothing", "/status"])
async def test_other_commands_are_not_found(control: Control, tmp_path: Path, path: str) -> None:
    """An unknown command gets status 404 and has no effect."""
    status, _ = await ask(tmp_path, "POST", path)
    assert status in {404, 405}
    assert control.commands == []


@pytest.mark.usefixtures("control")
async def test_metrics_are_those_of_the_registry(tmp_path: Path) -> None:
    _, body = await ask(tmp_path, "GET", "/metrics")
    assert b'things{worker="0"} 1.0' in body


async def test_a_probe_is_started_and_its_result_reported(tmp_path: Path) -> None:
    probe = Probe()
    async with serving(Control(), tmp_path / "socket", probe=probe):
        _, before = await ask(tmp_path, "GET", "/status")
        _, after = await ask(tmp_path, "POST", "/probe")
    assert probe.starts == 1
    assert decode_report(before).status.probe is None
    assert decode_report(after).status.probe == probe.last
