"""Development mode that ignores tokens: full permissions, loud warnings, and development only."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from realtime_operator.api.base import JsonObject, JsonValue
from tests.kit.raw_client import raw_client
from tests.kit.server_process import TOKEN_SECRET, ServerProcess
from tests.kit.tokens import connection_token

pytestmark = pytest.mark.asyncio(loop_scope="module")

CLOSED: JsonObject = {
    "name": "closed",
    "subscribe": "token",
    "publish": "nobody",
    "presence": True,
    "presence_for": "nobody",
    "history": {"size": 10, "ttl_seconds": 60},
    "history_for": "nobody",
}
CHANNELS = ("closed:a", "$closed:a", "closed:a#42")
SECONDS = 20


class LaxServer(ServerProcess):
    """Server that ignores tokens."""

    options = ("--ignore-tokens",)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lax() -> AsyncIterator[ServerProcess]:
    """Start one server for all tests of this module."""
    async with LaxServer("lax", None, development=True, namespaces=[CLOSED]) as server:
        yield server


TOKENS = {
    "none": "",
    "no token": "nonsense",
    "of another secret": connection_token("another-secret-of-enough-bytes-here", "alice"),
    "expired": connection_token(TOKEN_SECRET, "alice", lifetime=-1000),
}


@pytest.mark.parametrize("token", TOKENS.values(), ids=TOKENS.keys())
async def test_anybody_may_do_everything(lax: ServerProcess, token: str) -> None:
    """All kinds of channels are open, with a subscription token or none."""
    async with raw_client(lax.url) as client:
        await client.connect(token)
        commands: list[tuple[str, JsonValue]] = []
        for channel in CHANNELS:
            commands += [
                ("subscribe", {"channel": channel, "token": token}),
                ("publish", {"channel": channel, "data": 1}),
                ("presence", {"channel": channel}),
                ("history", {"channel": channel}),
                ("sub_refresh", {"channel": channel, "token": token or "any"}),
            ]
        commands.append(("refresh", {"token": token or "any"}))
        for number, (name, request) in enumerate(commands, start=2):
            command: JsonObject = {"id": number, name: request}
            reply = await client.command(**command)
            assert "error" not in reply, (command, reply)


async def test_it_says_so(lax: ServerProcess) -> None:
    """The log repeats a warning, and a metric allows an alert; other servers' metric is 0."""
    assert "tokens are ignored" in lax.log.read_text()
    assert 'realtime_server_tokens_ignored{worker="0"} 1.0' in await lax.metrics()
    async with ServerProcess("strict", None, development=True) as strict:
        assert 'realtime_server_tokens_ignored{worker="0"} 0.0' in await strict.metrics()
        assert "tokens are ignored" not in strict.log.read_text()


@pytest.mark.parametrize(
    ("config", "environment", "message"),
    [
        ({}, {}, "set development to true"),
        ({"development": False}, {}, "set development to true"),
        ({"development": True}, {"KUBERNETES_SERVICE_HOST": "10.96.0.1"}, "is refused in Kubernetes"),
    ],
    ids=["default", "production", "a pod"],
)
async def test_it_is_refused_outside_of_development(
    tmp_path: Path, config: JsonObject, environment: dict[str, str], message: str
) -> None:
    """The server refuses before opening anything; the configuration alone cannot turn the mode on."""
    file = tmp_path / "config.json"
    file.write_text(json.dumps(config))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", "realtime_server", "run", "--ignore-tokens", "--config", str(file),
        env={**os.environ, **environment}, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(SECONDS):
        output, errors = await process.communicate()
    assert (process.returncode, output) == (2, b"")
    assert errors.startswith(b"error: --ignore-tokens: ")
    assert message in errors.decode()
    assert errors.count(b"\n") == 1
