"""The program of `helm test` against a real server."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from tests.kit.chart import CHART
from tests.kit.server_process import API_KEY, ServerProcess

PROGRAM = (CHART / "files" / "message_test.py").read_text()
END_SECONDS = 20


async def run(*arguments: str) -> asyncio.subprocess.Process:
    """Start the program as the pod does."""
    return await asyncio.create_subprocess_exec(
        sys.executable, "-I", "-c", PROGRAM, *arguments,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip


async def test_a_message_is_published_and_received(tmp_path: Path) -> None:
    """The program waits while no server answers, and ends when the message has arrived."""
    key = tmp_path / "api-key"
    key.write_text(API_KEY + "\n")
    server = ServerProcess("helm-test", None, auth={"anonymous": True})
    clients = server.url.replace("ws://", "http://").removesuffix("/connection/websocket")
    program = await run(clients, server.api().address, str(key))
    assert program.stdout is not None
    first = await asyncio.wait_for(program.stdout.readline(), END_SECONDS)
    assert first.startswith(b"not yet: ")
    async with server:
        said, _ = await asyncio.wait_for(program.communicate(), END_SECONDS)
    assert program.returncode == 0, said
    assert b"published and received: hello at " in said.splitlines()[-1]


async def test_a_wrong_key_is_no_success(tmp_path: Path) -> None:
    """The program goes on trying, until the pod's deadline ends it."""
    key = tmp_path / "api-key"
    key.write_text("wrong")
    async with ServerProcess("helm-test", None, auth={"anonymous": True}) as server:
        clients = server.url.replace("ws://", "http://").removesuffix("/connection/websocket")
        program = await run(clients, server.api().address, str(key))
        assert program.stdout is not None
        assert b"401" in await asyncio.wait_for(program.stdout.readline(), END_SECONDS)
        assert program.returncode is None
        program.kill()
        await program.wait()
