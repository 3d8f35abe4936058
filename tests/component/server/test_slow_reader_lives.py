"""Client that reads slowly without pausing, over a real socket: the namespace's policy applies."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from realtime_operator.api.base import JsonValue
from tests.kit.api import ServerApi
from tests.kit.raw_client import CLOSE, TEXT, RawStream, frame, raw_stream
from tests.kit.server_process import TOKEN_SECRET
from tests.kit.tls_server import server_with_or_without_tls
from tests.kit.tokens import connection_token

HEARTBEAT: JsonValue = {"interval_seconds": 4, "timeout_seconds": 2}
NAMESPACES: JsonValue = [{"name": "log", "slow_consumer": "dropOldest"}]
LIMITS: JsonValue = {"outbox_bytes": 524_288}
READ_PER_SECOND = 200_000
PUBLISHED_BYTES = 25_000
PUBLISHED_PER_SECOND = 40
"""Number of publications per second, five times what the client reads."""
SECONDS = 14
"""Duration: three pings, and less than reading a backlog in the kernel would take."""


async def read_slowly(stream: RawStream, seconds: float) -> tuple[int, list[int]]:
    """Read at READ_PER_SECOND and answer pings; return the numbers of pings and of reported drops."""
    pings, dropped = 0, []
    began, read = time.monotonic(), 0
    while time.monotonic() - began < seconds:
        first, payload = await stream.frame()
        assert first != CLOSE, (payload, time.monotonic() - began)
        for line in payload.splitlines():
            document = json.loads(line)
            if document == {}:
                pings += 1
                await stream.send(frame(TEXT, b"{}"))
            elif "tags" in document["push"]["pub"]:
                dropped.append(int(document["push"]["pub"]["tags"]["realtime.dropped"]))
        read += len(payload)
        await asyncio.sleep(max(0.0, began + read / READ_PER_SECOND - time.monotonic()))
    return pings, dropped


@contextlib.asynccontextmanager
async def flooded(api: ServerApi, channel: str) -> AsyncIterator[None]:
    """Publish more than is read while the body runs."""

    async def flood() -> None:
        while True:
            await api.call("publish", channel=channel, data="x" * PUBLISHED_BYTES)
            await asyncio.sleep(1 / PUBLISHED_PER_SECOND)

    task = asyncio.create_task(flood(), name="flood")
    try:
        yield
        assert not task.done()
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "TLS"])
async def test_a_slow_reader_that_never_pauses_is_not_taken_for_dead(tmp_path: Path, *, encrypted: bool) -> None:
    """Excess publications are dropped and reported, and the client's backlog stays below its pong's time limit."""
    server, tls = server_with_or_without_tls(
        tmp_path, encrypted=encrypted, heartbeat=HEARTBEAT, namespaces=NAMESPACES, limits=LIMITS
    )
    async with (
        server,
        raw_stream(server.client_port, receive_buffer=16_384, tls=tls) as stream,
        server.api() as api,
    ):
        await stream.connect(connection_token(TOKEN_SECRET, "user-0"))
        await stream.subscribe("log:a")
        async with flooded(api, "log:a"):
            pings, dropped = await read_slowly(stream, SECONDS)
        assert pings >= 2
        assert sum(dropped) > 50
