"""The echo endpoint is there when it is asked for on the command line, and then the log says so."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from realtime_operator.api.base import JsonObject
from tests.component.websocket.conftest import EchoServer
from tests.kit.server_process import ServerProcess

pytestmark = pytest.mark.asyncio(loop_scope="module")

SECONDS = 10


async def test_it_answers_each_message_with_itself(echo: EchoServer) -> None:
    """Without a token, and for longer than a client may take to say who it is; other clients are served as ever."""
    async with asyncio.timeout(30), connect(f"ws://127.0.0.1:{echo.client_port}/echo", proxy=None) as client:
        await client.send("text")
        assert await client.recv() == "text"
        await asyncio.sleep(12)
        await client.send(b"bytes")
        assert await client.recv() == b"bytes"
    assert "echo endpoint" in echo.log.read_text()


async def test_it_is_not_there_by_default() -> None:
    """Not found, like any other path."""
    async with ServerProcess("no-echo", None) as server:
        with pytest.raises(InvalidStatus) as refused:
            await connect(f"ws://127.0.0.1:{server.client_port}/echo", proxy=None)
        assert refused.value.response.status_code == 404
        assert "echo" not in server.log.read_text()


@pytest.mark.parametrize(
    ("config", "environment"),
    [({"backplane": {"redis": {"address": "127.0.0.1:1"}}}, {}), ({}, {"REALTIME_REVISION": "bcdfghjkmn"})],
    ids=["Redis", "revision"],
)
async def test_it_is_refused_where_a_server_looks_like_production(
    tmp_path: Path, config: JsonObject, environment: dict[str, str]
) -> None:
    """Before anything is opened."""
    file = tmp_path / "config.json"
    file.write_text(json.dumps(config))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", "realtime_server", "run", "--echo", "--config", str(file),
        env={**os.environ, **environment}, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(SECONDS):
        output, errors = await process.communicate()
    assert (process.returncode, output) == (2, b"")
    assert errors.startswith(b"error: --echo: is for tests")
