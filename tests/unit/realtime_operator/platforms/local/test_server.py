"""Tests of the observation of a server: a sleeping process, and a real admin site on its socket."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from aiohttp import web

from realtime_operator.planning.model.world import Server, ServerState
from realtime_operator.platforms.local.process import Process
from realtime_operator.platforms.local.server import CRASHED, STARTING, LocalServer
from realtime_operator.platforms.local.state_folder import StateFolder
from realtime_operator.pods.admin_client import AdminClient
from realtime_server.core.ports.api import ServingState, WorkerStatus
from tests.unit.realtime_server.admin.control import Control, admin_application, status_of

NAME = "chat-a-b"
TOKEN = "admin-token"


@pytest.fixture
async def server(folder: StateFolder) -> AsyncIterator[LocalServer]:
    """A running process without an admin site."""
    process = Process(NAME, folder.log(NAME), lambda: None)
    made = LocalServer(
        name=NAME,
        cluster="chat",
        revision="a",
        replica_set="chat-a",
        process=process,
        admin_socket=folder.admin_socket(NAME),
        created_at=datetime.now(UTC),
    )
    await made.start(("/bin/sh", "-c", "echo started; exec sleep 60"), folder.path / "config.json", folder.run)
    yield made
    process.kill()
    await process.ended()


@asynccontextmanager
async def answering(server: LocalServer, folder: StateFolder, control: Control) -> AsyncIterator[None]:
    """Run the admin site of the server."""
    (folder.run / "token").write_text(TOKEN)
    async with admin_application(control, folder.run) as application:
        runner = web.AppRunner(application, access_log=None, handle_signals=False, shutdown_timeout=0.1)
        await runner.setup()
        await web.UnixSite(runner, str(server.admin_socket)).start()
        yield
        await runner.cleanup()


async def observed(server: LocalServer) -> Server:
    """Return the server as observed."""
    client = AdminClient()
    try:
        return await server.observe(client, TOKEN)
    finally:
        await client.close()


async def test_one_that_starts_is_not_ready(server: LocalServer) -> None:
    """The server has the kubelet's reason, so that planning knows that it has no connections."""
    seen = await observed(server)
    assert (seen.name, seen.revision, seen.ready, seen.report) == (NAME, "a", False, None)
    assert (seen.waiting_reason, seen.waiting_message, seen.serving) == (STARTING, None, True)


async def test_one_that_answers_is_ready(server: LocalServer, folder: StateFolder) -> None:
    async with answering(server, folder, Control(status_of(connections=3))):
        seen = await observed(server)
    assert (seen.ready, seen.waiting_reason, seen.address) == (True, None, str(server.admin_socket))
    assert seen.report is not None
    assert (seen.report.state, seen.report.connections) == (ServerState.SERVING, 3)


async def test_one_that_answers_no_more_is_not_starting(server: LocalServer, folder: StateFolder) -> None:
    """The server may hold connections, and must not count as one that never started."""
    async with answering(server, folder, Control()):
        await observed(server)
    seen = await observed(server)
    assert (seen.ready, seen.report, seen.waiting_reason) == (False, None, None)


async def test_the_times_of_readiness_are_those_of_its_changes(server: LocalServer, folder: StateFolder) -> None:
    """What waits for them must not begin anew with each observation."""
    unready = [await observed(server), await observed(server)]
    async with answering(server, folder, Control()):
        ready = [await observed(server), await observed(server)]
    lost = await observed(server)
    assert unready[0].unready_since == unready[1].unready_since is not None
    assert ready[0].ready_since == ready[1].ready_since is not None
    assert {one.ready_since for one in (*unready, lost)} == {one.unready_since for one in ready} == {None}
    assert lost.unready_since is not None
    assert unready[0].unready_since != lost.unready_since


async def test_one_without_its_backplane_is_not_ready(server: LocalServer, folder: StateFolder) -> None:
    async with answering(server, folder, Control(replace(status_of(), backplane_healthy=False))):
        seen = await observed(server)
    assert not seen.ready
    assert seen.report is not None


class Arriving(Control):
    """A server that gets its backplane after the first query."""

    def status(self) -> WorkerStatus:
        asked, self.now = self.now, replace(self.now, backplane_healthy=True)
        return asked


async def test_one_that_has_just_reached_its_backplane_has_not_lost_it(
    server: LocalServer, folder: StateFolder
) -> None:
    """Readiness is read before the report: the opposite order would raise a false alarm during a start."""
    async with answering(server, folder, Arriving(replace(status_of(), backplane_healthy=False))):
        seen = [await observed(server), await observed(server)]
    assert [(one.ready, one.report and one.report.backplane_healthy) for one in seen] == [(False, True), (True, True)]


async def test_one_that_did_not_hear_of_its_quiescence_is_told_again(server: LocalServer, folder: StateFolder) -> None:
    """A quiesce that did not reach the server is repeated until it is confirmed."""
    server.quiesce()
    assert server.quiesced_at is not None
    control = Control()
    async with answering(server, folder, control):
        seen = await observed(server)
        await observed(server)
    assert control.commands == ["quiesce"]
    assert (seen.serving, seen.quiesced_at) == (False, server.quiesced_at)


async def test_one_that_drains_is_not_quiesced_again(server: LocalServer, folder: StateFolder) -> None:
    """A quiesce would end the drain."""
    server.quiesce()
    control = Control(status_of(ServingState.DRAINING))
    async with answering(server, folder, control):
        await observed(server)
    assert control.commands == []


async def test_one_that_is_resumed_serves(server: LocalServer) -> None:
    server.quiesce()
    server.resume()
    seen = await observed(server)
    assert (seen.serving, seen.quiesced_at) == (True, None)


async def test_one_that_ended_by_itself_has_crashed(server: LocalServer) -> None:
    pid = server.process.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    await server.process.ended()
    seen = await observed(server)
    assert server.crashed
    assert (seen.ready, seen.waiting_reason, seen.terminating) == (False, CRASHED, False)
    assert seen.waiting_message in {"started", None}  # it may have been killed before it said so


async def test_one_that_was_asked_to_end_has_not_crashed(server: LocalServer) -> None:
    """A second SIGTERM would close its connections."""
    server.stop()
    server.stop()
    await server.process.ended()
    seen = await observed(server)
    assert not server.crashed
    assert (seen.terminating, seen.waiting_message) == (True, None)
