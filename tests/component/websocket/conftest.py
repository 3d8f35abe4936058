"""Servers with an echo endpoint, for the tests of one module."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from realtime_operator.api.base import JsonValue
from tests.component.websocket.framing_cases import LIMIT
from tests.kit.server_process import ServerProcess


class EchoServer(ServerProcess):
    """One that answers each message at `/echo` with itself, and takes as many as there are."""

    options = ("--echo",)

    def __init__(self, name: str, **changes: JsonValue) -> None:
        limits: JsonValue = {"message_bytes": LIMIT, "messages_per_second": 10_000_000, "outbox_bytes": 16 * LIMIT}
        super().__init__(name, None, limits=limits, **changes)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def echo() -> AsyncIterator[EchoServer]:
    """Without compression, which is the default."""
    async with EchoServer("echo") as server:
        yield server


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def compressing() -> AsyncIterator[EchoServer]:
    """With compression of all messages that it makes smaller."""
    async with EchoServer("echo-compressing", compression={"enabled": True, "threshold_bytes": 0}) as server:
        yield server
